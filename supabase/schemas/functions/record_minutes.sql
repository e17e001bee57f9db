-- record_minutes: what a process did in some minutes.
--
-- args { worker_id, region, minutes: [{ minute, accepted, sent, partial, deferred, bounced,
--   uncertain, lateness: [n, ...] }] }
-- answer {}
--
-- Guarantees: figures are totals of the minute, so that writing them again changes nothing.
create or replace function mailer.record_minutes(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  insert into mailer.minutes (minute, worker_id, region, accepted, sent, partial, deferred, bounced,
    uncertain, lateness)
  select m.minute, (v_args ->> 'worker_id')::uuid, v_args ->> 'region', m.accepted, m.sent,
    m.partial, m.deferred, m.bounced, m.uncertain, m.lateness
  from jsonb_to_recordset(v_args -> 'minutes') as m (minute timestamptz, accepted integer,
    sent integer, partial integer, deferred integer, bounced integer, uncertain integer,
    lateness integer[])
  on conflict (minute, worker_id) do update set accepted = excluded.accepted, sent = excluded.sent,
    partial = excluded.partial, deferred = excluded.deferred, bounced = excluded.bounced,
    uncertain = excluded.uncertain, lateness = excluded.lateness;
  return '{}';
end
$$;

call mailer.offer('record_minutes', 'reconciler');
