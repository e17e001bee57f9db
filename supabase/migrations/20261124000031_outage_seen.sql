-- An outage is seen from everywhere: what each process knows of its transports and of its queue
-- travels with its heartbeat, and how long an email has been due counts from its own time. And due
-- emails can be listed whatever the queue knows of them.

-- What the process last said of itself; null: nothing yet. Never content, and no addresses.
alter table mailer.workers add column state jsonb;

-- An email that is given back without an attempt being spent, to be tried again later, is due all
-- the while: since due_since, as long as next_attempt_at is the moment it was given back until. Any
-- other change of next_attempt_at (a retry, an edit, a replay) ends that by itself.
alter table mailer.emails
  add column due_since timestamptz,
  add column returned_until timestamptz;

-- Also while it is tried again: with one email due, each probe of a transport that is down would
-- make it look as if nothing were. Other emails are in neither column and not in the index.
create index emails_returned on mailer.emails (region, due_since)
  where state in ('pending', 'sending') and next_attempt_at = returned_until;

-- report_state: keeps what a process says of itself, for others to read. args { worker_id, state };
-- answer { is_known }: false before its first beat, and once its row is gone.
create function mailer.report_state(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  update mailer.workers w set state = v_args -> 'state'
  where w.id = (v_args ->> 'worker_id')::uuid;
  return jsonb_build_object('is_known', found)::text;
end
$$;

-- read_fleet: the living processes, and what each said of itself last. args {};
-- answer [{ id, region, role, state | null }].
create function mailer.read_fleet(args text) returns text
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', w.id, 'region', w.region, 'role', w.role,
    'state', w.state) order by w.region, w.started_at), '[]')::text
  from mailer.workers w
  where w.stopped_at is null and w.beat_at > clock_timestamp() - interval '5 seconds'
$$;

-- due_emails: emails of a region that are due and not claimed, queued or not; longest due first.
-- args { region, due_ms: for at least so long, limit }; answer [{ id, wake, owner_id }].
create function mailer.due_emails(args text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_until timestamptz := clock_timestamp() - (v_args ->> 'due_ms')::bigint * interval '1 ms';
begin
  return (select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'wake', d.wake,
      'owner_id', d.owner_id) order by d.next_attempt_at), '[]')::text
    from (
      select e.id, e.wake, e.owner_id, e.next_attempt_at from mailer.emails e
      where e.region = v_args ->> 'region' and e.state = 'pending'
        and e.next_attempt_at <= v_until
      order by e.next_attempt_at limit (v_args ->> 'limit')::integer) d);
end
$$;

-- oldest_due: since when the email that is due longest has been due by its own time; null: none is.
-- of_region null: in all of them. An entry of an index for each region, however many emails.
create function mailer.oldest_due(of_region text) returns timestamptz
language sql stable
set search_path = ''
as $$
  with recursive waiting as (
    (select e.region from mailer.emails e
      where e.state = 'pending' and e.region >= coalesce(of_region, '')
      order by e.region limit 1)
    union all
    select (select e.region from mailer.emails e
      where e.state = 'pending' and e.region > n.region order by e.region limit 1)
    from waiting n where n.region is not null and of_region is null
  ),
  returned as (
    (select e.region from mailer.emails e
      where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
        and e.region >= coalesce(of_region, '')
      order by e.region limit 1)
    union all
    select (select e.region from mailer.emails e
      where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
        and e.region > n.region order by e.region limit 1)
    from returned n where n.region is not null and of_region is null
  )
  select min(d.since) from (
    select (select e.next_attempt_at from mailer.emails e
      where e.region = n.region and e.state = 'pending' and e.next_attempt_at <= clock_timestamp()
      order by e.next_attempt_at limit 1) as since
    from waiting n where n.region = coalesce(of_region, n.region)
    union all
    select (select e.due_since from mailer.emails e
      where e.region = n.region and e.state in ('pending', 'sending')
        and e.next_attempt_at = e.returned_until
      order by e.due_since limit 1)
    from returned n where n.region = coalesce(of_region, n.region)) d
$$;

revoke execute on function mailer.report_state(text), mailer.read_fleet(text),
  mailer.due_emails(text), mailer.oldest_due(text) from public;
grant execute on function mailer.report_state(text), mailer.read_fleet(text),
  mailer.due_emails(text), mailer.oldest_due(text) to mailer_service;
insert into mailer.functions (name, roles) values
  ('report_state', array['reconciler', 'service']),
  ('read_fleet', array['metrics', 'service']),
  ('due_emails', array['reconciler', 'service']);

-- release_emails: as 20261124000004_deliver.sql says, and: an email that has to wait goes on being
-- due, except for a domain's own back-off (`destination_backed_off`), which is that mail's retry.
create or replace function mailer.release_emails(args text) returns text
language plpgsql
set search_path = '' set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_now timestamptz;
  v_actor text := mailer.claim_sub();
  v_rows jsonb;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i))
  order by e.id for update;
  v_now := date_trunc('milliseconds', clock_timestamp());

  with item as (
    select i.*, mailer.ceil_ms(v_now + i.delay_ms * interval '1 ms') as again_at,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint, reason text,
      delay_ms bigint, horizon_ms bigint, queued_by uuid)) with ordinality
      as i (id, token, reason, delay_ms, horizon_ms, queued_by, n)
  ),
  moved as (
    update mailer.emails e set
      state = 'pending',
      worker_id = null,
      fenced_at = null,
      message_date = case when exists (select from mailer.attempts a
        where a.email_id = i.id and a.outcome = 'uncertain') then e.message_date end,
      wake = e.wake + 1,
      next_attempt_at = greatest(e.next_attempt_at, i.again_at),
      due_since = case when i.again_at <= e.next_attempt_at or e.next_attempt_at = e.returned_until
        then e.due_since else e.next_attempt_at end,
      returned_until = case when i.again_at <= e.next_attempt_at then e.returned_until
        when i.reason is distinct from 'destination_backed_off' then i.again_at end,
      queued_at = case when i.again_at <= v_now + i.horizon_ms * interval '1 ms'
        then clock_timestamp() end,
      queued_by = case when i.again_at <= v_now + i.horizon_ms * interval '1 ms'
        then i.queued_by end,
      sequence = e.sequence + 1
    from item i
    where e.id = i.id and i.turn = 1 and e.state = 'sending' and e.claim_token = i.token
    returning e.*
  )
  select jsonb_agg(case when m.id is not null then jsonb_build_object('applied', true,
        'id', m.id, 'owner_id', m.owner_id, 'sequence', m.sequence, 'wake', m.wake,
        'reason', i.reason, 'delay_ms', case when m.queued_at is not null
          then mailer.ms_until(m.next_attempt_at, v_now) end)
      else jsonb_build_object('applied', false) end order by i.n)
  into v_rows
  from item i left join moved m on m.id = i.id and i.turn = 1 and m.claim_token = i.token;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor, 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'pending', 'reason', r ->> 'reason')
  from jsonb_array_elements(v_rows) r
  where (r ->> 'applied')::boolean;

  return (
    select json_agg(case when (r ->> 'applied')::boolean
      then json_build_object('applied', true, 'wake', r -> 'wake', 'delay_ms', r -> 'delay_ms')
      else json_build_object('applied', false) end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
  )::text;
end
$$;

-- region_standing: as 20261124000013_reconcile_more.sql says; how long an email has been due counts
-- from its own time.
create or replace function mailer.region_standing(args text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_silent_ms bigint := (v_args ->> 'silent_ms')::bigint;
begin
  return jsonb_build_object(
    'oldest_due_ms', coalesce(mailer.ms_until(v_now, mailer.oldest_due(v_region)), 0),
    'due_unclaimed', (select count(*) from (select from mailer.emails e
      where e.region = v_region and e.state = 'pending' and e.next_attempt_at <= v_now
      limit (v_args ->> 'count_max')::integer) d),
    'workers_alive', (select count(*) from mailer.workers w
      where w.role <> 'api' and w.stopped_at is null
        and w.beat_at >= v_now - (v_args ->> 'dead_after_ms')::bigint * interval '1 ms'),
    'regions', (select coalesce(jsonb_agg(r.name order by r.name), '[]')
      from mailer.regions r),
    'dead_regions', (select coalesce(jsonb_agg(s.name order by s.name), '[]') from (
      select name from mailer.silent_regions(v_silent_ms) as name
      union
      select r.name from mailer.regions r
      where r.beat_at < v_now - v_silent_ms * interval '1 ms'
        and r.beat_at > v_now - interval '1 day') s))::text;
end
$$;

-- read_figures: as 20261124000014_operate.sql says; `due` counts those given back as well, and how
-- long the first has been due counts from its own time.
create or replace function mailer.read_figures(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  c_max constant integer := 1000000;
  c_alive constant interval := '5 seconds';
  v_now timestamptz := clock_timestamp();
  v_pending bigint;
  v_due bigint;
  v_returned bigint;
  v_sending bigint;
  v_dead jsonb;
  v_unsealed bigint;
  v_unsealed_since timestamptz;
begin
  select count(*) into v_pending from (
    select from mailer.emails e where e.state = 'pending' limit c_max) q;
  select count(*) into v_due from (
    select from mailer.emails e
    where e.state = 'pending' and e.next_attempt_at <= v_now limit c_max) q;
  select count(*) into v_returned from (
    select from mailer.emails e
    where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
      and e.state = 'pending' and e.next_attempt_at > v_now and e.due_since <= v_now limit c_max) q;
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
    'due', least(v_due + v_returned, c_max),
    'oldest_due_ms', coalesce(mailer.ms_until(v_now, mailer.oldest_due(null)), 0),
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

-- queue_stats: as 20261124000005_read.sql says; an email that was given back without an attempt is
-- waiting, not delayed, since its own time.
create or replace function mailer.queue_stats(args text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_sub text := case when mailer.claim_role() = 'user' then mailer.claim_sub() end;
  v_by_status jsonb;
  v_waiting bigint;
  v_oldest timestamptz;
begin
  select coalesce(jsonb_object_agg(state, n), '{}') into v_by_status from (
    select e.state, count(*) as n from mailer.emails e
    where v_sub is null or e.owner_id = v_sub group by e.state) s;
  select count(*) filter (where d.state = 'pending'), min(d.since) into v_waiting, v_oldest
  from (
    select e.state, e.next_attempt_at as since from mailer.emails e
    where e.state = 'pending' and e.next_attempt_at <= now()
      and e.next_attempt_at is distinct from e.returned_until
      and (v_sub is null or e.owner_id = v_sub)
    union all
    select e.state, e.due_since from mailer.emails e
    where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
      and e.due_since <= now() and (v_sub is null or e.owner_id = v_sub)) d;
  return jsonb_build_object('by_status', v_by_status, 'waiting', v_waiting,
    'delayed', coalesce((v_by_status ->> 'pending')::bigint, 0) - v_waiting,
    'oldest_due_ms', coalesce(mailer.ms_until(now(), v_oldest), 0))::text;
end
$$;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000031"}';
