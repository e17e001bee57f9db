-- dead_letter_groups: dead letters that failed alike, the largest group first.
-- args { filter, limit, offset };
-- answer { groups: [{ group, count, by_status: { <status>: n }, first_at, last_at,
--   sample: its newest email, with recipients and attempts }], total }.
create or replace function mailer.dead_letter_groups(args text) returns text
language plpgsql stable set search_path = '' set jit = off
as $$
declare
  v_args jsonb := args;
  v_answer text;
begin
  execute format($sql$
    with by_status as (
      select %s as name, e.state, count(*) as n,
        min(coalesce(e.dead_at, e.next_attempt_at)) as first_at,
        max(coalesce(e.dead_at, e.next_attempt_at)) as last_at,
        (array_agg(e.id order by coalesce(e.dead_at, e.next_attempt_at) desc, e.id desc))[1]
          as sample
      from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent') and %s
      group by 1, 2
    ),
    grouped as (
      select b.name, sum(b.n)::bigint as n, jsonb_object_agg(b.state, b.n) as states,
        min(b.first_at) as first_at, max(b.last_at) as last_at,
        (array_agg(b.sample order by b.last_at desc))[1] as sample,
        count(*) over () as total
      from by_status b group by b.name
      order by 2 desc, 5 desc, 1 limit %s offset %s
    )
    select json_build_object(
      'groups', coalesce(json_agg(json_build_object('group', g.name, 'count', g.n,
        'by_status', g.states, 'first_at', g.first_at, 'last_at', g.last_at,
        'sample', mailer.email_json(e) || jsonb_build_object(
          'recipients', mailer.recipients_json(e.id), 'attempts', mailer.attempts_json(e.id)))
        order by g.n desc, g.last_at desc, g.name), '[]'),
      'total', coalesce(max(g.total), 0))::text
    from grouped g join mailer.emails e on e.id = g.sample$sql$,
    mailer.dead_group_sql(), mailer.filter_sql(v_args -> 'filter'),
    (v_args ->> 'limit')::integer, (v_args ->> 'offset')::integer) into v_answer;
  return v_answer;
end
$$;

call mailer.offer('dead_letter_groups', 'user', 'admin');
