-- key_processes: which keys the living processes write with.
-- args {}; answer [{ key_id | null, count }]
create or replace function mailer.key_processes(args text) returns text
language sql stable
as $$
  select coalesce(json_agg(json_build_object('key_id', q.key_id, 'count', q.n)
    order by q.key_id), '[]')::text
  from (select w.key_id, count(*) as n from mailer.workers w
    where w.stopped_at is null and w.beat_at > now() - interval '15 seconds'
    group by w.key_id) q
$$;

call mailer.offer('key_processes', 'keys');
