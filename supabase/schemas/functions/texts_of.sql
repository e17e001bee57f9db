-- texts_of: a text or a list of texts, as a list.
create or replace function mailer.texts_of(value jsonb) returns text[]
language sql immutable
as $$
  select case jsonb_typeof(value)
    when 'array' then array(select jsonb_array_elements_text(value))
    else array[value #>> '{}'] end
$$;

grant execute on function mailer.texts_of(jsonb) to mailer_owner;
