-- read_figures: what an operator sees, for metrics and `doctor`: how things stand in the whole
-- database, whoever asks.
-- args {}
-- answer { now, server_version, by_status: { <status>: n }, due, oldest_due_ms, workers_alive,
--          workers_died, unsealed, oldest_unsealed_ms, journal_broken_since | null, counted_max,
--          key_fingerprint | null }
--   by_status: emails that are not done with: pending (a claim is, until its fence), sending and
--     the dead letters; those that ended well are not counted, since that costs more the longer
--     the service runs
--   due: counts those given back as well; how long the first has been due counts from its own time
--   workers_alive: living processes that send; workers_died: those that ended without goodbye
--     within the last day
--   journal_broken_since: since when the periodic verification finds an entry that does not verify
--   key_fingerprint: of the encryption key this database was first used with; null: not used yet
--   counted_max: counting stops there, so that a large backlog costs no more than this
create or replace function mailer.read_figures(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  c_max constant integer := 1000000;
  c_alive constant interval := '5 seconds';
  v_now timestamptz := clock_timestamp();
  v_counts jsonb := mailer.email_counts_of(null);
  v_due bigint;
  v_returned bigint;
  v_claimed_due bigint;
  v_dead jsonb;
  v_unsealed bigint;
  v_unsealed_since timestamptz;
begin
  select count(*) into v_due from (
    select from mailer.emails e
    where e.state = 'pending' and e.next_attempt_at <= v_now limit c_max) q;
  select count(*) into v_returned from (
    select from mailer.emails e
    where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
      and e.state = 'pending' and e.next_attempt_at > v_now and e.due_since <= v_now limit c_max) q;
  select count(*) filter (where q.next_attempt_at <= v_now) into v_claimed_due
  from (select e.next_attempt_at from mailer.emails e
    where e.state = 'sending' and e.fenced_at is null limit c_max) q;
  select coalesce(jsonb_object_agg(g.state, g.n), '{}') into v_dead from (
    select q.state, count(*) as n from (
      select e.state from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent')
        and e.dismissed_at is null limit c_max) q
    group by q.state) g;
  select c.unsealed, c.oldest_at into v_unsealed, v_unsealed_since from mailer.count_unsealed(c_max) c;
  return jsonb_build_object('now', v_now, 'server_version', current_setting('server_version'),
    'by_status', jsonb_build_object('pending', v_counts -> 'pending',
      'sending', v_counts -> 'sending', 'failed', 0, 'uncertain', 0, 'held', 0, 'partially_sent', 0) || v_dead,
    'due', least(v_due + v_claimed_due + v_returned, c_max),
    'oldest_due_ms', coalesce(mailer.ms_until(v_now, mailer.oldest_due(null)), 0),
    'workers_alive', (select count(*) from mailer.workers w
      where w.role <> 'api' and mailer.is_living(w, c_alive)),
    'workers_died', (select count(*) from mailer.workers w
      where w.stopped_at is null and w.beat_at > v_now - interval '1 day'
        and not mailer.is_living(w, c_alive)),
    'unsealed', v_unsealed,
    'oldest_unsealed_ms', coalesce(mailer.ms_until(v_now, v_unsealed_since), 0),
    'journal_broken_since', (select i.since from mailer.incidents i
      where i.kind = 'journal' and i.region = '' and i.name = 'chain'),
    'counted_max', c_max, 'key_fingerprint', (select s.value from mailer.settings s
      where s.name = 'encryption_key'))::text;
end
$$;

call mailer.offer('read_figures', 'metrics');
