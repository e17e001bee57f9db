-- note_api_key_use: args { ids: [] }; answer {}. Writes at most once a minute for each key,
-- however many processes ask.
create or replace function mailer.note_api_key_use(args text) returns text
language plpgsql set search_path = ''
as $$
begin
  update mailer.api_keys k set last_used_at = date_trunc('minute', clock_timestamp())
  where k.id in (select value::uuid from jsonb_array_elements_text(args::jsonb -> 'ids'))
    and (k.last_used_at is null
      or k.last_used_at < date_trunc('minute', clock_timestamp()));
  return '{}';
end
$$;

call mailer.offer('note_api_key_use', 'authenticator');
