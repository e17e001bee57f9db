-- page_json: a page of a list that is ordered by creation, { <p_name>: [], next: { created_at (text with
-- microseconds), id } | null }. p_rows is one row longer than p_limit where there is a next page.
create or replace function mailer.page_json(p_name text, p_rows jsonb[], p_limit integer) returns jsonb
language sql stable
as $$
  select jsonb_build_object(p_name, to_jsonb(p_rows[1:p_limit]), 'next',
    case when cardinality(p_rows) > p_limit then jsonb_build_object(
      'created_at', (p_rows[p_limit] ->> 'created_at')::timestamptz::text, 'id', p_rows[p_limit] -> 'id') end)
$$;

grant execute on function mailer.page_json(text, jsonb[], integer) to mailer_owner;
