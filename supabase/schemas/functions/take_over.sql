-- take_over: frees what dead workers held.
--
-- args { worker_id (the caller, never dead), region, silent_ms, everything: bool,
--        dead: [{ id, beats }] }
-- answer { released, held: [id], crashed_workers, orphans: [{ id, token, attempt,
--          attempts_before, max_retries, max_age_seconds, age_ms, on_uncertain, region }] }
--
-- dead: processes whose last beat the caller has seen in five looks in a row; each is dead if that
-- still is its last. Dead as well are those found dead before, and those of the caller's region
-- that have stopped. everything: all that is sending is an orphan, whoever holds it (the embedded database at boot, under the folder's lock).
--
-- Un-fenced emails of dead workers are pending again at once (safe: the fence checks token and
-- state); at most 1,000 in one call. A death, unless the worker left in order, is blamed on what
-- had begun by the worker's last beat, or came due since, judged over all that it held and not only
-- over those 1,000; on all that was due when nobody can be blamed. An email that workers died with
-- six times is held. The fenced ones are named as orphans once 1.2 times their worker's reply
-- timeout has passed, for the caller to settle as uncertain: those of its own region, and of silent
-- ones. A fenced email of a process whose row is gone is an orphan, too, and its unfenced one is
-- pending again: nothing will ever be heard of it.
--
-- A worker that died before it could vouch (tables/timelines.sql) puts what was due by the failover in
-- doubt: claim_due holds it, or says that it may be doubled.
--
-- What a living worker has held for longer than any conversation can last is freed by the same two
-- rules, so that no fault of its own keeps an email for ever; but only once that worker has been
-- heard for as long without a gap, and, fenced, while it has no outcome to write: after an outage
-- of the database it still knows its replies. (Each worker audits itself within seconds; this is
-- the net.)
create or replace function mailer.take_over(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  -- Longer than a conversation before the fence may take, and its settle after it.
  c_longest constant interval := '15 minutes';
  -- Two deaths make a suspect; tried with 64 others, with 8, and twice alone it dies four times more.
  c_poison_from constant smallint := 6;
  -- Living is whose last beat is no further away, in whichever direction a clock was set.
  c_heard constant interval := '5 seconds';
  -- The reply timeout of a process whose row is gone: the longest that is usual.
  c_reply_timeout_ms constant integer := 600000;
  -- Others may have sent for a region that was silent for so long.
  c_silent constant interval := '30 seconds';
  v_now timestamptz := clock_timestamp();
  v_me uuid := (v_args ->> 'worker_id')::uuid;
  v_region text := v_args ->> 'region';
  v_everything boolean := coalesce((v_args ->> 'everything')::boolean, false);
  v_dead uuid[];
  v_new uuid[];
  v_guilty uuid[];
  v_lost uuid[];
  v_rows jsonb;
  v_orphans jsonb;
begin
  v_dead := case
    when v_everything then array(select w.id from mailer.workers w where w.id <> v_me)
    else array(select w.id from mailer.workers w
      left join jsonb_to_recordset(v_args -> 'dead') as d (id uuid, beats bigint) on d.id = w.id
      where w.id <> v_me and (w.beats = d.beats or w.reaped_at is not null
        or (w.stopped_at is not null and w.region = v_region)))
    end;
  v_new := array(select w.id from mailer.workers w
    where w.id = any (v_dead) and w.reaped_at is null
      -- Asked again of a row that has changed meanwhile: one that beats now is not dead.
      and (v_everything or w.stopped_at is not null
        or exists (select from jsonb_to_recordset(v_args -> 'dead') as d (id uuid, beats bigint)
          where d.id = w.id and d.beats = w.beats))
    order by w.id for update skip locked);
  if array_length(v_new, 1) is not null then
    update mailer.workers w set reaped_at = v_now where w.id = any (v_new);
    update mailer.regions r set doubt_until = t.since
    from mailer.workers w join mailer.timelines t on t.timeline = mailer.timeline()
    where w.id = any (v_new) and w.stopped_at is null and w.role <> 'api'
      and w.timeline <> t.timeline and t.since <> '-infinity'
      and r.doubt_until is distinct from t.since
      and (r.name = w.region or r.beat_at < t.since - c_silent);
  end if;

  -- Begun by the last beat, or due since: what only waited for its time killed nobody. claimed_at
  -- is never before an email's time. Judged over all that a worker held, since a look frees 1,000.
  v_guilty := array(select distinct w.id
    from mailer.workers w join mailer.emails e on e.worker_id = w.id
    where w.id = any (v_dead) and w.stopped_at is null
      and e.state = 'sending' and e.fenced_at is null
      and (e.id = any (w.begun)
        or e.claimed_at between w.beat_at - interval '1 second' and v_now));
  -- Those that are blamed come last: until then every look knows that somebody is.
  v_lost := array(
    select e.id from mailer.emails e
    left join lateral (select w.id, w.begun, w.beat_at, w.steady_since from mailer.workers w
      where w.id = e.worker_id limit 1) w on true
    where e.state = 'sending' and e.fenced_at is null
      and (e.worker_id = any (v_dead)
        -- A process that has just started may claim before its first beat has come through.
        or ((v_everything or e.claimed_at < v_now - interval '1 minute') and w.id is null)
        or (e.claimed_at < v_now - c_longest and w.beat_at between v_now - c_heard and v_now + c_heard
          and w.steady_since < v_now - c_longest))
    order by coalesce(e.id = any (w.begun)
      or e.claimed_at between w.beat_at - interval '1 second' and v_now, false), e.id
    limit 1000 for update of e skip locked);

  with blamed as materialized (
    select e.id, e.crashes, coalesce(e.worker_id = any (v_dead) and w.stopped_at is null
      and case when e.worker_id = any (v_guilty) then e.id = any (w.begun)
          or e.claimed_at between w.beat_at - interval '1 second' and v_now
        else e.claimed_at <= v_now end, false)::integer as crash
    from mailer.emails e join mailer.workers w on w.id = e.worker_id
    where e.id = any (v_lost)
    union all
    -- Its worker's row is gone.
    select e.id, e.crashes, 0 from mailer.emails e
    where e.id = any (v_lost)
      and not exists (select from mailer.workers w where w.id = e.worker_id)
  ),
  moved as (
    update mailer.emails e set state = case when b.crash = 1 and b.crashes + 1 >= c_poison_from
        then 'held' else 'pending' end,
      worker_id = null, crashes = e.crashes + b.crash,
      sequence = e.sequence + (b.crash = 1 and b.crashes + 1 >= c_poison_from)::integer
    from blamed b where e.id = any (v_lost) and e.id = b.id
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
    case r ->> 'state' when 'held' then 'email.held' else 'claim.returned' end,
    (r ->> 'id')::uuid, case r ->> 'state' when 'held' then (r ->> 'sequence')::integer end,
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

call mailer.offer('take_over', 'reconciler');
