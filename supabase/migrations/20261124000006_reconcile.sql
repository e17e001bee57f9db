-- Heartbeats, take-over of what dead workers held, and the rebuilding of the queue.

-- beat: a process says that it lives; also keeps its region alive.
-- args { worker_id, region, role, reply_timeout_ms }; answer { now, was_reaped }.
-- was_reaped: the others thought it dead since its last beat.
create function mailer.beat(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_was_reaped boolean;
begin
  select w.reaped_at is not null into v_was_reaped from mailer.workers w
  where w.id = (v_args ->> 'worker_id')::uuid;
  insert into mailer.workers as w (id, region, role, started_at, beat_at, reply_timeout_ms)
  values ((v_args ->> 'worker_id')::uuid, v_args ->> 'region', v_args ->> 'role', v_now, v_now,
    (v_args ->> 'reply_timeout_ms')::integer)
  on conflict (id) do update set beat_at = v_now, reaped_at = null, stopped_at = null;
  insert into mailer.regions as r (name, beat_at) values (v_args ->> 'region', v_now)
  on conflict (name) do update set beat_at = v_now
    where r.beat_at < v_now - interval '500 ms';
  return jsonb_build_object('now', v_now, 'was_reaped', coalesce(v_was_reaped, false))::text;
end
$$;

-- stop_worker: a process leaves in order; what it may still hold is taken over at once.
create function mailer.stop_worker(args text) returns text
language plpgsql
as $$
begin
  update mailer.workers w set stopped_at = clock_timestamp()
  where w.id = (args::jsonb ->> 'worker_id')::uuid;
  return 'true';
end
$$;

-- take_over: frees what dead workers held.
--
-- args { worker_id (the caller, never dead), dead_after_ms, everything: bool }
-- answer { released, crashed_workers, orphans: [{ id, token, attempt, attempts_before,
--          max_retries, max_age_seconds, age_ms, on_uncertain, region }] }
--
-- A worker is dead when its beat is silent for dead_after_ms, or when it has stopped. Its
-- un-fenced emails are pending again at once (safe: the fence checks token and state); the
-- fenced ones are named as orphans once 1.2 times its reply timeout has passed, for the caller
-- to settle as uncertain. What a living worker has held for longer than any conversation can
-- last is freed by the same two rules, so that no fault of its own keeps an email for ever.
-- everything: all that is sending is an orphan, whoever holds it (the
-- embedded database at boot, under the folder's lock).
create function mailer.take_over(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  -- Longer than a conversation before the fence may take, and its settle after it.
  c_longest constant interval := '15 minutes';
  v_now timestamptz := clock_timestamp();
  v_everything boolean := coalesce((v_args ->> 'everything')::boolean, false);
  v_dead uuid[];
  v_new uuid[];
  v_rows jsonb;
  v_orphans jsonb;
begin
  v_dead := array(
    select w.id from mailer.workers w
    where w.id <> (v_args ->> 'worker_id')::uuid and (v_everything or w.stopped_at is not null
      or w.beat_at < v_now - (v_args ->> 'dead_after_ms')::bigint * interval '1 ms'));
  -- What a newly dead process had put into the queue may never have got there. What is due may
  -- be held by a dead worker that had not claimed it: under a new wake it need not wait until
  -- the queue finds the stalled job.
  v_new := array(select w.id from mailer.workers w
    where w.id = any (v_dead) and w.reaped_at is null for update skip locked);
  if array_length(v_new, 1) is not null then
    update mailer.emails e set queued_at = null, queued_by = null,
      wake = e.wake + case when e.next_attempt_at <= v_now and exists (
        select from mailer.workers w where w.id = e.queued_by and w.stopped_at is null)
        then 1 else 0 end
    where e.state = 'pending' and e.queued_by = any (v_new)
      and e.region in (select w.region from mailer.workers w where w.id = any (v_new));
    update mailer.workers w set reaped_at = v_now where w.id = any (v_new);
  end if;

  with lost as (
    select e.id from mailer.emails e
    where e.state = 'sending' and e.fenced_at is null
      and (e.worker_id = any (v_dead) or e.claimed_at < v_now - c_longest)
    order by e.id limit 1000 for update skip locked
  ),
  moved as (
    update mailer.emails e set state = 'pending', worker_id = null, wake = e.wake + 1,
      queued_at = null, queued_by = null, crashes = e.crashes + 1, sequence = e.sequence + 1
    from lost l where e.id = l.id
    returning e.id, e.owner_id, e.sequence, e.crashes
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'token', e.claim_token,
    'attempt', e.attempts + 1, 'attempts_before', e.attempts_before,
    'max_retries', e.max_retries, 'max_age_seconds', e.max_age_seconds,
    'age_ms', mailer.ms_until(v_now, e.age_from), 'on_uncertain', e.on_uncertain, 'region', e.region)), '[]')
  into v_orphans
  from mailer.emails e join mailer.workers w on w.id = e.worker_id
  where e.state = 'sending' and e.fenced_at is not null
    and ((v_everything and e.worker_id = any (v_dead))
      or (e.worker_id = any (v_dead)
        and e.fenced_at < v_now - 1.2 * w.reply_timeout_ms * interval '1 ms')
      or e.fenced_at < v_now - 1.2 * w.reply_timeout_ms * interval '1 ms' - c_longest);

  -- Nobody needs the row of a process that is long gone and holds nothing.
  delete from mailer.workers w
  where w.id = any (v_dead) and w.beat_at < v_now - interval '1 day'
    and not exists (select from mailer.emails e
      where e.state = 'sending' and e.worker_id = w.id);

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'pending', 'reason', 'worker_dead')
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('released', jsonb_array_length(v_rows),
    'crashed_workers', (select count(*) from mailer.workers w
      where w.id = any (v_new) and w.stopped_at is null), 'orphans', v_orphans)::text;
end
$$;

-- set_queue_marker: tells which value the region's queue carries. Another one than before
-- means that the queue was lost: all that was queued before now is void.
-- args { region, marker }; answer { is_new }.
create function mailer.set_queue_marker(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_region mailer.regions;
begin
  insert into mailer.regions (name, beat_at) values (v_args ->> 'region', clock_timestamp())
  on conflict (name) do nothing;
  select * into v_region from mailer.regions r where r.name = v_args ->> 'region' for update;
  if v_region.marker is not distinct from v_args ->> 'marker' then
    return '{"is_new":false}';
  end if;
  update mailer.regions r set marker = v_args ->> 'marker', marker_at = clock_timestamp(),
    is_swept = false
  where r.name = v_args ->> 'region';
  return '{"is_new":true}';
end
$$;

-- queue_due: emails of a region that belong into its queue and are not in it; says so in their
-- rows, under the wake they have. Due first.
--
-- args { region, worker_id, horizon_ms, limit }
-- answer { emails: [{ id, wake, delay_ms }], has_more }
--
-- Not in it: queued_at is null; or older than the queue's marker; or overdue by 60 s, and so
-- is queued_at (a job that is still there makes adding it again a no-op).
create function mailer.queue_due(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + (v_args ->> 'horizon_ms')::bigint * interval '1 ms';
  v_limit integer := (v_args ->> 'limit')::integer;
  v_region mailer.regions;
  v_ids uuid[];
  v_void uuid[];
  v_emails jsonb;
begin
  select * into v_region from mailer.regions r where r.name = v_args ->> 'region';
  v_ids := array(
    select e.id from mailer.emails e
    where e.region = v_region.name and e.state = 'pending' and e.queued_at is null
      and e.next_attempt_at <= v_until
    order by e.next_attempt_at limit v_limit for update skip locked);
  if not v_region.is_swept then
    v_void := array(
      select e.id from mailer.emails e
      where e.region = v_region.name and e.state = 'pending'
        and e.queued_at < v_region.marker_at and e.next_attempt_at <= v_until
      order by e.next_attempt_at limit v_limit for update skip locked);
    if coalesce(array_length(v_void, 1), 0) = 0 then
      update mailer.regions r set is_swept = true
      where r.name = v_region.name and r.marker_at = v_region.marker_at;
    end if;
    v_ids := v_ids || v_void;
  end if;
  v_ids := v_ids || array(
    select e.id from mailer.emails e
    where e.region = v_region.name and e.state = 'pending'
      and e.next_attempt_at < v_now - interval '60 seconds'
      and e.queued_at < v_now - interval '60 seconds'
    order by e.next_attempt_at limit v_limit for update skip locked);

  with moved as (
    update mailer.emails e set queued_at = v_now, queued_by = (v_args ->> 'worker_id')::uuid
    where e.id = any (v_ids) and e.state = 'pending'
    returning e.id, e.wake, e.next_attempt_at
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'wake', m.wake,
    'delay_ms', mailer.ms_until(m.next_attempt_at, v_now)) order by m.next_attempt_at), '[]')
  into v_emails from moved m;
  return jsonb_build_object('emails', v_emails,
    'has_more', jsonb_array_length(v_emails) >= v_limit)::text;
end
$$;

-- unqueue: jobs that could not be added, or were given up before their claim.
-- args { items: [{ id, wake }] }; answer: how many rows.
create function mailer.unqueue(args text) returns text
language plpgsql
as $$
declare
  v_count integer;
begin
  update mailer.emails e set queued_at = null, queued_by = null
  from jsonb_to_recordset(args::jsonb -> 'items') as i (id uuid, wake integer)
  where e.id = i.id and e.wake = i.wake and e.state = 'pending';
  get diagnostics v_count = row_count;
  return v_count::text;
end
$$;

-- check_key: compares the fingerprint of the encryption key with the one this database was
-- first used with. args { fingerprint }; answer { matches }.
create function mailer.check_key(args text) returns text
language plpgsql
as $$
declare
  v_fingerprint text := args::jsonb ->> 'fingerprint';
begin
  insert into mailer.settings (name, value) values ('encryption_key', v_fingerprint)
  on conflict (name) do nothing;
  return jsonb_build_object('matches', exists (select from mailer.settings s
    where s.name = 'encryption_key' and s.value = v_fingerprint))::text;
end
$$;

-- now: the database's clock, which alone decides what is due.
create function mailer.clock(args text) returns text
language sql volatile
as $$ select to_json(clock_timestamp())::text $$;

insert into mailer.functions (name, roles) values
  ('beat', array['service']),
  ('stop_worker', array['service']),
  ('take_over', array['service']),
  ('set_queue_marker', array['service']),
  ('queue_due', array['service']),
  ('unqueue', array['service']),
  ('check_key', array['service']),
  ('clock', array['service']);

-- Nothing of ours is for everybody.
revoke execute on all functions in schema mailer from public;
grant execute on all functions in schema mailer to mailer_service;
