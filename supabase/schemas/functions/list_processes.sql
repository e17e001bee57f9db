-- list_processes: processes that live, and those that ended without goodbye within the last day. args
-- {}; answer at most 500 of [{ id, region, role, started_at, beat_at, beat_ms: since its last beat,
--   is_living, claimed: emails in hand, begun: of those, decrypted or sent, settling,
--   state: what it last said of itself | null }]
create or replace function mailer.list_processes(args text) returns text
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(q) order by q.region, q.started_at), '[]')::text
  from (
    select w.id, w.region, w.role, w.started_at, w.beat_at,
      mailer.ms_until(clock_timestamp(), w.beat_at) as beat_ms,
      mailer.is_living(w, interval '5 seconds') as is_living,
      (select count(*) from mailer.emails e where e.worker_id = w.id and e.state = 'sending')
        as claimed,
      cardinality(w.begun) as begun, w.settling, w.state
    from mailer.workers w
    where w.stopped_at is null and w.beat_at > clock_timestamp() - interval '1 day'
    order by w.beat_at desc limit 500
  ) q
$$;

call mailer.offer('list_processes', 'admin');
