-- What an operator sees: figures for metrics and `doctor`.

-- read_figures: how things stand in the whole database, whoever asks.
-- args {}
-- answer { now, server_version, by_status: { <status>: n }, due, oldest_due_ms, workers_alive,
--          workers_died, unsealed, oldest_unsealed_ms, counted_max, key_fingerprint | null }
--   by_status: emails that are not done with: pending, sending and the dead letters; those that
--     ended well are not counted, since that costs more the longer the service runs
--   workers_alive: living processes that send; workers_died: those that ended without goodbye
--     within the last day
--   key_fingerprint: of the encryption key this database was first used with; null: not used yet
--   counted_max: counting stops there, so that a large backlog costs no more than this
create function mailer.read_figures(args text) returns text
language plpgsql
as $$
declare
  c_max constant integer := 1000000;
  c_alive constant interval := '5 seconds';
  v_now timestamptz := clock_timestamp();
  v_pending bigint;
  v_due bigint;
  v_oldest timestamptz;
  v_sending bigint;
  v_dead jsonb;
  v_unsealed bigint;
  v_unsealed_since timestamptz;
begin
  select count(*) into v_pending from (
    select from mailer.emails e where e.state = 'pending' limit c_max) q;
  select count(*), min(q.next_attempt_at) into v_due, v_oldest from (
    select e.next_attempt_at from mailer.emails e
    where e.state = 'pending' and e.next_attempt_at <= v_now limit c_max) q;
  select count(*) into v_sending from (
    select from mailer.emails e where e.state = 'sending' limit c_max) q;
  select coalesce(jsonb_object_agg(g.state, g.n), '{}') into v_dead from (
    select q.state, count(*) as n from (
      select e.state from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent') limit c_max) q
    group by q.state) g;
  select count(*), min(q.at) into v_unsealed, v_unsealed_since from (
    select j.at from mailer.journal j where j.position is null order by j.id limit c_max) q;
  return jsonb_build_object('now', v_now, 'server_version', current_setting('server_version'),
    'by_status', jsonb_build_object('pending', v_pending, 'sending', v_sending,
      'failed', 0, 'uncertain', 0, 'held', 0, 'partially_sent', 0) || v_dead,
    'due', v_due, 'oldest_due_ms', coalesce(mailer.ms_until(v_now, v_oldest), 0),
    'workers_alive', (select count(*) from mailer.workers w
      where w.role <> 'api' and w.stopped_at is null and w.beat_at > v_now - c_alive),
    'workers_died', (select count(*) from mailer.workers w
      where w.stopped_at is null and w.beat_at between v_now - interval '1 day' and v_now - c_alive),
    'unsealed', v_unsealed,
    'oldest_unsealed_ms', coalesce(mailer.ms_until(v_now, v_unsealed_since), 0),
    'counted_max', c_max, 'key_fingerprint', (select s.value from mailer.settings s
      where s.name = 'encryption_key'))::text;
end
$$;

revoke execute on function mailer.read_figures(text) from public;
grant execute on function mailer.read_figures(text) to mailer_service;

insert into mailer.functions (name, roles) values ('read_figures', array['service']);
