-- find_changeable: which emails a filter means, to be changed in chunks by change_emails, or to be
-- replayed by replay_emails.
-- args { change: as change_emails, or "replay", scheduled_at, shift_seconds, filter, limit };
-- answer { matched, by_state: { <state>: n }, ids: the oldest by id, at most limit }.
create or replace function mailer.find_changeable(args text) returns text
language plpgsql stable set search_path = '' set jit = off
as $$
declare
  v_args jsonb := args;
  v_answer text;
begin
  execute format($sql$
    with found as materialized (select e.id, e.state from mailer.emails e where %s and %s)
    select json_build_object('matched', (select count(*) from found),
      'by_state', (select coalesce(json_object_agg(s.state, s.n), '{}')
        from (select f.state, count(*) as n from found f group by f.state) s),
      'ids', coalesce((select json_agg(q.id) from (
        select f.id from found f order by f.id limit %s) q), '[]'))::text$sql$,
    mailer.bulk_condition(v_args), mailer.filter_sql(v_args -> 'filter'),
    (v_args ->> 'limit')::integer) into v_answer;
  return v_answer;
end
$$;

call mailer.offer('find_changeable', 'user', 'admin');
