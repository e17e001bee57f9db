-- A dead process is told by a counter of its beats, and not by comparing clocks: a database clock
-- that was set back kept the dead alive, one set forward took living ones for dead.
--
-- Whoever looks keeps in its memory how many looks in a row found a process without a new beat; a
-- look that the database did not answer begins the count anew. Five make it dead: it is named to
-- take_over with the beat it was last seen at, and is dead only if that is still its last.

alter table mailer.workers
  -- Rises with every beat.
  add column beats bigint not null default 0,
  -- Since when its beats have come without a gap of ten seconds by the clock here. A clock that is
  -- set forward or back makes a gap.
  add column steady_since timestamptz,
  -- Outcomes that it knows and has not been able to write yet.
  add column settling integer not null default 0;

-- beat: as 20261124000013_reconcile_more.sql says, but:
--
-- args { …, settling | absent }: outcomes that the process knows and could not write yet.
-- answer { …, others: [{ id, region, beats, is_stopped }] }: every other process that nobody has
--   found dead yet, for the caller to count its looks.
create or replace function mailer.beat(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  c_gap constant interval := '10 seconds';
  v_now timestamptz := clock_timestamp();
  v_id uuid := (v_args ->> 'worker_id')::uuid;
  v_region text := v_args ->> 'region';
  v_was_reaped boolean;
begin
  select w.reaped_at is not null into v_was_reaped from mailer.workers w where w.id = v_id;
  insert into mailer.workers as w (id, region, role, started_at, beat_at, reply_timeout_ms, beats,
    steady_since, settling)
  values (v_id, v_region, v_args ->> 'role', v_now, v_now,
    (v_args ->> 'reply_timeout_ms')::integer, 1, v_now,
    coalesce((v_args ->> 'settling')::integer, 0))
  on conflict (id) do update set beat_at = v_now, beats = w.beats + 1, reaped_at = null,
    stopped_at = null, settling = excluded.settling,
    steady_since = case when v_now between w.beat_at and w.beat_at + c_gap
      then coalesce(w.steady_since, v_now) else v_now end;
  -- What lies ahead was written before the clock was set back: it would keep a dead region alive.
  update mailer.regions r set beat_at = v_now where r.beat_at > v_now + interval '1 second';
  insert into mailer.regions as r (name, beat_at) values (v_region, v_now)
  on conflict (name) do update set beat_at = v_now
    where r.beat_at < v_now - interval '500 ms'
      and coalesce((v_args ->> 'can_send')::boolean, v_args ->> 'role' <> 'api');
  return jsonb_build_object('now', v_now, 'was_reaped', coalesce(v_was_reaped, false),
    'has_dead', exists (select from mailer.dead_workers(v_id, v_region,
      coalesce((v_args ->> 'dead_after_ms')::bigint, 5000)) w where w.reaped_at is null),
    'others', coalesce((select jsonb_agg(jsonb_build_object('id', w.id, 'region', w.region,
        'beats', w.beats, 'is_stopped', w.stopped_at is not null))
      from mailer.workers w where w.id <> v_id and w.reaped_at is null), '[]'),
    -- In this order, since the planner takes a bare exists for a scan that ends soon.
    'has_due', coalesce((select e.next_attempt_at <= v_now from mailer.emails e
      where e.region = v_region and e.state = 'pending' and e.queued_at is null
      order by e.next_attempt_at limit 1), false))::text;
end
$$;

-- take_over: as 20261124000013_reconcile_more.sql says, but:
--
-- args { …, dead: [{ id, beats }] | absent }: processes whose last beat the caller has seen in five
--   looks in a row; each is dead if that still is its last. Dead as well are those found dead
--   before, and those of the caller's region that have stopped. Absent: an earlier program asks,
--   and the clock decides.
--
-- A fenced email of a process whose row is gone is an orphan, too, and its unfenced one is pending
-- again: nothing will ever be heard of it. What a living worker has held for too long is freed only
-- once that worker has been heard for as long without a gap, and, fenced, while it has no outcome
-- to write: after an outage of the database it still knows its replies. (Each worker audits
-- itself within seconds; this is the net.)
create or replace function mailer.take_over(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  -- Longer than a conversation before the fence may take, and its settle after it.
  c_longest constant interval := '15 minutes';
  c_poison_from constant smallint := 3;
  -- Living is whose last beat is no further away, in whichever direction a clock was set.
  c_heard constant interval := '5 seconds';
  -- The reply timeout of a process whose row is gone: the longest that is usual.
  c_reply_timeout_ms constant integer := 600000;
  v_now timestamptz := clock_timestamp();
  v_me uuid := (v_args ->> 'worker_id')::uuid;
  v_region text := v_args ->> 'region';
  v_everything boolean := coalesce((v_args ->> 'everything')::boolean, false);
  v_dead uuid[];
  v_new uuid[];
  c_batch constant integer := 10000;
  v_count integer;
  v_rows jsonb;
  v_orphans jsonb;
begin
  v_dead := case
    when v_everything then array(select w.id from mailer.workers w where w.id <> v_me)
    when v_args -> 'dead' is null then array(select w.id
      from mailer.dead_workers(v_me, v_region, (v_args ->> 'dead_after_ms')::bigint) w)
    else array(select w.id from mailer.workers w
      left join jsonb_to_recordset(v_args -> 'dead') as d (id uuid, beats bigint) on d.id = w.id
      where w.id <> v_me and (w.beats = d.beats or w.reaped_at is not null
        or (w.stopped_at is not null and w.region = v_region)))
    end;
  -- What a newly dead process had put into the queue may never have got there. What is due may
  -- be held by a dead worker that had not claimed it: under a new wake it need not wait until
  -- the queue finds the stalled job. Nothing is in the queue long before its time.
  v_new := array(select w.id from mailer.workers w
    where w.id = any (v_dead) and w.reaped_at is null
      -- Asked again of a row that has changed meanwhile: one that beats now is not dead.
      and (v_everything or v_args -> 'dead' is null or w.stopped_at is not null
        or exists (select from jsonb_to_recordset(v_args -> 'dead') as d (id uuid, beats bigint)
          where d.id = w.id and d.beats = w.beats))
    order by w.id for update skip locked);
  if array_length(v_new, 1) is not null then
    with queued as (
      select e.id from mailer.emails e
      where e.state = 'pending' and e.queued_by = any (v_new)
        and e.region in (select w.region from mailer.workers w where w.id = any (v_new))
        and e.next_attempt_at <= v_now + interval '1 hour'
      limit c_batch for update skip locked
    )
    update mailer.emails e set queued_at = null, queued_by = null,
      wake = e.wake + case when e.next_attempt_at <= v_now and exists (
        select from mailer.workers w where w.id = e.queued_by and w.stopped_at is null)
        then 1 else 0 end
    from queued q where e.id = q.id;
    get diagnostics v_count = row_count;
    -- There is more: the next beat finds them newly dead again, and nothing is locked for long.
    if v_count >= c_batch then
      v_new := '{}';
    end if;
    update mailer.workers w set reaped_at = v_now where w.id = any (v_new);
  end if;

  with lost as (
    select e.id,
      case when e.worker_id = any (v_dead) and exists (select from mailer.workers w
        where w.id = e.worker_id and w.stopped_at is null) then 1 else 0 end as crash
    from mailer.emails e
    where e.state = 'sending' and e.fenced_at is null
      and (e.worker_id = any (v_dead)
        -- A process that has just started may claim before its first beat has come through.
        or ((v_everything or e.claimed_at < v_now - interval '1 minute') and not exists (
          select from mailer.workers w where w.id = e.worker_id))
        or (e.claimed_at < v_now - c_longest and exists (
          select from mailer.workers w where w.id = e.worker_id
            and w.beat_at between v_now - c_heard and v_now + c_heard
            and w.steady_since < v_now - c_longest)))
    order by e.id limit 1000 for update skip locked
  ),
  judged as (
    select l.id, l.crash, l.crash * e.isolated::integer as alone,
      l.crash = 1 and e.isolated and e.crashes_alone + 1 >= c_poison_from as is_poison
    from lost l join mailer.emails e on e.id = l.id
  ),
  moved as (
    update mailer.emails e set state = case when j.is_poison then 'held' else 'pending' end,
      worker_id = null, wake = e.wake + 1, queued_at = null, queued_by = null,
      isolated = false, crashes = e.crashes + j.crash,
      crashes_alone = e.crashes_alone + j.alone, sequence = e.sequence + 1
    from judged j where e.id = j.id
    returning e.id, e.owner_id, e.sequence, e.state, e.crashes
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'token', e.claim_token,
    'attempt', e.attempts + 1, 'attempts_before', e.attempts_before,
    'max_retries', e.max_retries, 'max_age_seconds', e.max_age_seconds,
    'age_ms', mailer.ms_until(v_now, e.age_from), 'on_uncertain', e.on_uncertain,
    'region', e.region)), '[]')
  into v_orphans
  from mailer.emails e left join mailer.workers w on w.id = e.worker_id
  cross join lateral (select 1.2 * coalesce(w.reply_timeout_ms, c_reply_timeout_ms)
    * interval '1 ms' as longest) reply
  where e.state = 'sending' and e.fenced_at is not null
    and ((v_everything and (e.worker_id = any (v_dead) or w.id is null))
      or ((e.region = v_region or not exists (select from mailer.regions r
          where r.name = e.region and r.beat_at
            >= v_now - (v_args ->> 'silent_ms')::bigint * interval '1 ms'))
        and (((e.worker_id = any (v_dead) or w.id is null)
            -- The fence came before the death, also when the clock was set back in between.
            and least(e.fenced_at, w.reaped_at, w.stopped_at) < v_now - reply.longest)
          or (e.fenced_at < v_now - reply.longest - c_longest and w.settling = 0
            and w.beat_at between v_now - c_heard and v_now + c_heard
            and w.steady_since < v_now - reply.longest - c_longest))));

  -- Nobody needs the row of a process that is long gone and holds nothing.
  delete from mailer.workers w
  where w.id = any (v_dead) and w.beat_at < v_now - interval '1 day'
    and not exists (select from mailer.emails e
      where e.state = 'sending' and e.worker_id = w.id);

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(),
    case r ->> 'state' when 'held' then 'email.held' else 'email.released' end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    jsonb_build_object('status', r -> 'state', 'crashes', r -> 'crashes', 'reason',
      case r ->> 'state' when 'held' then 'poison' else 'worker_dead' end)
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object(
    'released', (select count(*) from jsonb_array_elements(v_rows) r
      where r ->> 'state' = 'pending'),
    'held', coalesce((select jsonb_agg(r -> 'id') from jsonb_array_elements(v_rows) r
      where r ->> 'state' = 'held'), '[]'),
    'crashed_workers', (select count(*) from mailer.workers w
      where w.id = any (v_new) and w.stopped_at is null), 'orphans', v_orphans)::text;
end
$$;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000034"}';
