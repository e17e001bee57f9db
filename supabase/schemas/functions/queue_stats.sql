-- queue_stats: counts of emails, the caller's own or, for an admin, everybody's.
-- args {}; answer { waiting, delayed, oldest_due_ms, by_status: { <status>: n } }.
-- By the states as readers are told them. A claimed email that is due is waiting; one that was
-- given back without an attempt is waiting, not delayed, since its own time.
--
-- by_status costs the same however many emails there are (email_counts_of); what is due is counted by
-- index, up to a million.
create or replace function mailer.queue_stats(args text) returns text
language plpgsql stable
set search_path = '' set jit = off
as $$
declare
  c_max constant integer := 1000000;
  v_sub text := mailer.whose(null);
  v_now timestamptz := now();
  v_counts jsonb := mailer.email_counts_of(v_sub) - 'accepted';
  v_waiting bigint := 0;
  v_oldest timestamptz;
  v_found record;
begin
  for v_found in
    -- What waits for its time, region by region: of an owner by the owners' index, where suspects of
    -- a crash are not, else by that of all.
    select q.n, q.since from mailer.pending_regions() r (region) cross join lateral (
      select count(*) as n, min(d.next_attempt_at) as since from (
        select e.next_attempt_at from mailer.emails e
        where v_sub is null and e.region = r.region and e.state = 'pending'
          and e.next_attempt_at <= v_now
          and e.next_attempt_at is distinct from e.returned_until
        limit c_max) d
      union all
      select count(*), min(d.next_attempt_at) from (
        select e.next_attempt_at from mailer.emails e
        where e.region = r.region and e.owner_id = v_sub and e.state = 'pending' and e.crashes < 2
          and e.next_attempt_at <= v_now
          and e.next_attempt_at is distinct from e.returned_until
        limit c_max) d
      union all
      select count(*), min(d.next_attempt_at) from (
        select e.next_attempt_at from mailer.emails e
        where e.region = r.region and e.owner_id = v_sub and e.state = 'pending' and e.crashes >= 2
          and e.next_attempt_at <= v_now
          and e.next_attempt_at is distinct from e.returned_until
        limit c_max) d) q
    union all
    -- Claimed emails that are not fenced.
    select count(*), min(e.next_attempt_at) from mailer.emails e
    where e.state = 'sending' and e.fenced_at is null and e.next_attempt_at <= v_now
      and e.next_attempt_at is distinct from e.returned_until
      and (v_sub is null or e.owner_id = v_sub)
    union all
    -- Returned emails, since their own time; those being sent do not wait.
    select count(*) filter (where e.state = 'pending' or e.fenced_at is null), min(e.due_since)
    from mailer.emails e
    where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
      and e.due_since <= v_now and (v_sub is null or e.owner_id = v_sub)
  loop
    v_waiting := v_waiting + v_found.n;
    v_oldest := least(v_oldest, v_found.since);
  end loop;
  return jsonb_build_object('by_status', (
      select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each(v_counts) c
      where c.value <> '0'),
    'waiting', v_waiting,
    'delayed', greatest(coalesce((v_counts ->> 'pending')::bigint, 0) - v_waiting, 0),
    'oldest_due_ms', coalesce(mailer.ms_until(v_now, v_oldest), 0))::text;
end
$$;

call mailer.offer('queue_stats', 'user', 'admin');
