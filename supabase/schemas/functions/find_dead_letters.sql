-- find_dead_letters: which ones a filter means, to be replayed in chunks. args { filter, limit };
-- answer { matched, by_status: { <status>: n }, ids: the oldest by id, at most limit }.
create or replace function mailer.find_dead_letters(args text) returns text
language plpgsql stable set search_path = '' set jit = off
as $$
declare
  v_args jsonb := args;
  v_answer text;
begin
  -- One whose key was destroyed can never be sent again.
  execute format($sql$
    with dead as materialized (
      select e.id, e.state from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent')
        and e.wrapped_key is not null and %s
    )
    select json_build_object('matched', (select count(*) from dead),
      'by_status', (select coalesce(json_object_agg(s.state, s.n), '{}')
        from (select d.state, count(*) as n from dead d group by d.state) s),
      'ids', coalesce((select json_agg(q.id) from (
        select d.id from dead d order by d.id limit %s) q), '[]'))::text$sql$,
    mailer.filter_sql(v_args -> 'filter'), (v_args ->> 'limit')::integer) into v_answer;
  return v_answer;
end
$$;

call mailer.offer('find_dead_letters', 'user', 'admin');
