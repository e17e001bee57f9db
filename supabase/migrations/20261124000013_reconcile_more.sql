-- The reconciler as a part of its own: poison emails, silent regions, jobs that wait too long.

-- crashes counts deaths of workers that held the email un-fenced, whoever was to blame. From
-- the second on it is a suspect, which is claimed only in isolation: no other suspect is under
-- way in the same process. crashes_alone counts the deaths during such a claim.
alter table mailer.emails
  add column crashes_alone smallint not null default 0,
  -- The running claim was made in isolation.
  add column isolated boolean not null default false;

-- An attempt that was settled, by whatever outcome, clears an email of suspicion; so does a
-- person who sends it again.
create function mailer.reset_crashes() returns trigger
language plpgsql
as $$
begin
  new.crashes := 0;
  new.crashes_alone := 0;
  new.isolated := false;
  return new;
end
$$;
create trigger emails_cleared before update of attempts, state on mailer.emails
  for each row when (old.crashes > 0 and (new.attempts > old.attempts
    or (new.state = 'pending' and old.state not in ('pending', 'sending'))))
  execute function mailer.reset_crashes();

-- claim_emails: the right to send, and the judgement whether to.
--
-- args: { worker_id, region, transport, inline_bytes_max,
--         items: [{ id, wake, isolated, again }] }
--   again: an earlier call for this item by this worker had no answer, and may have committed
-- answer, one per item:
--   { kind: "claimed", token, attempt, attempts_before, max_retries, max_age_seconds,
--     age_ms, on_uncertain, owner_id, wrapped_key, sender, message_date | null,
--     message (base64) | null when larger than inline_bytes_max, message_bytes,
--     recipients: [{ position, address }] (still to be tried), sent_before, bounced_before }
--   { kind: "not_due", due_in_ms }
--   { kind: "suspect" }                   its workers died; claim it again with isolated, while
--                                         no other suspect is under way in this process
--   { kind: "stale" }                     another wake, another state, or gone: drop the job
--   { kind: "expired" } | { kind: "held" }   too late; the state says so now
--
-- Guarantees: of any number of claims for one wake one is granted; never before
-- next_attempt_at by the database's clock; the token rises with every claim. A claim whose
-- answer was lost is granted again when its worker asks again, until it is fenced: under a new
-- token, so that whoever may hold the former one is refused at the fence.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  c_suspect_from constant smallint := 2;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  v_rows jsonb;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i))
  order by e.id for update;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, coalesce(i.isolated, false) as isolated,
      coalesce(i.again, false) as again, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer,
      isolated boolean, again boolean)) with ordinality as i (id, wake, isolated, again, n)
  ),
  judged as materialized (
    select i.n, i.id, i.isolated, e.next_attempt_at, case
        when i.again and i.turn = 1 and e.state = 'sending' and e.wake = i.wake
          and e.worker_id = v_worker and e.fenced_at is null then 'claimed'
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        when e.crashes >= c_suspect_from and not i.isolated then 'suspect'
        else 'claimed'
      end as kind
    from item i left join mailer.emails e on e.id = i.id
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = v_now,
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.*
  )
  select coalesce(jsonb_agg(case j.kind
      when 'claimed' then jsonb_build_object('kind', j.kind, 'id', m.id,
        'sequence', m.sequence, 'token', m.claim_token, 'attempt', m.attempts + 1,
        'attempts_before', m.attempts_before, 'max_retries', m.max_retries,
        'max_age_seconds', m.max_age_seconds,
        'age_ms', mailer.ms_until(v_now, m.age_from),
        'on_uncertain', m.on_uncertain, 'owner_id', m.owner_id,
        'wrapped_key', m.wrapped_key, 'sender', m.sender, 'message_date', m.message_date,
        'message_bytes', m.message_bytes)
      when 'not_due' then jsonb_build_object('kind', j.kind,
        'due_in_ms', mailer.ms_until(j.next_attempt_at, v_now))
      when 'stale' then jsonb_build_object('kind', j.kind)
      when 'suspect' then jsonb_build_object('kind', j.kind)
      else jsonb_build_object('kind', j.kind, 'id', m.id, 'owner_id', m.owner_id,
        'sequence', m.sequence)
    end order by j.n), '[]')
  into v_rows
  from judged j left join moved m on m.id = j.id and j.kind in ('claimed', 'expired', 'held');

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor,
    case r ->> 'kind' when 'claimed' then 'email.sending' else 'email.' || (r ->> 'kind') end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    case r ->> 'kind'
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', r -> 'attempt',
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', r ->> 'kind', 'reason', 'too_late')
    end
  from jsonb_array_elements(v_rows) r
  where r ? 'sequence';

  return (
    select json_agg(case when r ->> 'kind' <> 'claimed' then r::json else json_build_object(
        'kind', 'claimed', 'token', r -> 'token', 'attempt', r -> 'attempt',
        'attempts_before', r -> 'attempts_before', 'max_retries', r -> 'max_retries',
        'max_age_seconds', r -> 'max_age_seconds', 'age_ms', r -> 'age_ms',
        'on_uncertain', r -> 'on_uncertain', 'owner_id', r -> 'owner_id',
        'wrapped_key', r -> 'wrapped_key', 'sender', r -> 'sender',
        'message_date', r -> 'message_date', 'message_bytes', r -> 'message_bytes',
        'message', case when octet_length(c.message) <= (v_args ->> 'inline_bytes_max')::integer
          then encode(c.message, 'base64') end,
        'recipients', (select json_agg(json_build_object('position', t.position,
            'address', t.address) order by t.position)
          from mailer.recipients t
          where t.email_id = c.email_id and t.status in ('pending', 'deferred')),
        'sent_before', (select count(*) from mailer.recipients t
          where t.email_id = c.email_id and t.status = 'sent'),
        'bounced_before', (select count(*) from mailer.recipients t
          where t.email_id = c.email_id and t.status in ('bounced', 'suppressed')))
      end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
    left join mailer.contents c on c.email_id = (r ->> 'id')::uuid and r ->> 'kind' = 'claimed'
  )::text;
end
$$;

-- Processes that are dead to the caller: silent for dead_after_ms, or stopped. Those of another
-- region only after five seconds more: their own region finds them first, if it lives, and
-- queues what they held at once. One that has stopped in this very moment counts: PGlite's clock
-- goes by milliseconds.
create function mailer.dead_workers(caller uuid, caller_region text, dead_after_ms bigint)
returns setof mailer.workers
language sql stable
as $$
  select w.* from mailer.workers w
  where w.id <> caller and coalesce(w.stopped_at, w.beat_at + dead_after_ms * interval '1 ms')
    <= clock_timestamp() - case when w.region = caller_region then interval '0'
      else interval '5 seconds' end
$$;

-- Regions with pending emails in which nothing has sent for silent_ms, or that nobody ever
-- heard of. Hops from region to region on the index, whatever number of emails there is.
create function mailer.silent_regions(silent_ms bigint) returns setof text
language sql stable
as $$
  with recursive named as (
    (select e.region from mailer.emails e where e.state = 'pending' order by e.region limit 1)
    union all
    select (select e.region from mailer.emails e
      where e.state = 'pending' and e.region > n.region order by e.region limit 1)
    from named n where n.region is not null
  )
  select n.region from named n left join mailer.regions r on r.name = n.region
  where n.region is not null
    and (r.name is null or r.beat_at < clock_timestamp() - silent_ms * interval '1 ms')
$$;

-- beat: a process says that it lives, and hears whether there is work for the reconciler.
-- args { worker_id, region, role, reply_timeout_ms, dead_after_ms, can_send };
-- answer { now, was_reaped, has_dead, has_due }.
-- was_reaped: the others thought it dead since its last beat. has_dead: a process has newly
-- died. has_due: an email of the region is due and not in the queue. Both cost one probe.
--
-- A region lives by its processes that can send (can_send: has workers, and a queue that
-- answers): one that only accepts cannot send what it has.
create or replace function mailer.beat(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_id uuid := (v_args ->> 'worker_id')::uuid;
  v_region text := v_args ->> 'region';
  v_was_reaped boolean;
begin
  select w.reaped_at is not null into v_was_reaped from mailer.workers w where w.id = v_id;
  insert into mailer.workers as w (id, region, role, started_at, beat_at, reply_timeout_ms)
  values (v_id, v_region, v_args ->> 'role', v_now, v_now,
    (v_args ->> 'reply_timeout_ms')::integer)
  on conflict (id) do update set beat_at = v_now, reaped_at = null, stopped_at = null;
  insert into mailer.regions as r (name, beat_at) values (v_region, v_now)
  on conflict (name) do update set beat_at = v_now
    where r.beat_at < v_now - interval '500 ms'
      and coalesce((v_args ->> 'can_send')::boolean, v_args ->> 'role' <> 'api');
  return jsonb_build_object('now', v_now, 'was_reaped', coalesce(v_was_reaped, false),
    'has_dead', exists (select from mailer.dead_workers(v_id, v_region,
      coalesce((v_args ->> 'dead_after_ms')::bigint, 5000)) w where w.reaped_at is null),
    -- In this order, since the planner takes a bare exists for a scan that ends soon.
    'has_due', coalesce((select e.next_attempt_at <= v_now from mailer.emails e
      where e.region = v_region and e.state = 'pending' and e.queued_at is null
      order by e.next_attempt_at limit 1), false))::text;
end
$$;

-- take_over: frees what dead workers held.
--
-- args { worker_id (the caller, never dead), region, dead_after_ms, silent_ms,
--        everything: bool }
-- answer { released, held: [id], crashed_workers, orphans: [{ id, token, attempt,
--          attempts_before, max_retries, max_age_seconds, age_ms, on_uncertain, region }] }
--
-- Un-fenced emails of dead workers are pending again at once (safe: the fence checks token and
-- state); at most 1,000 in one call. Each counts a crash, unless its worker left in order; one
-- that was claimed in isolation a third time in vain is held: it is the poison. The fenced ones
-- are named as orphans once 1.2 times their worker's reply timeout has passed, for the caller to
-- settle as uncertain: those of its own region, and of silent ones. What a living worker has
-- held for longer than any conversation can last is freed by the same two rules, so that no
-- fault of its own keeps an email for ever. everything: all that is sending is an orphan,
-- whoever holds it (the embedded database at boot, under the folder's lock).
create or replace function mailer.take_over(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  -- Longer than a conversation before the fence may take, and its settle after it.
  c_longest constant interval := '15 minutes';
  c_poison_from constant smallint := 3;
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
  v_dead := case when v_everything
    then array(select w.id from mailer.workers w where w.id <> v_me)
    else array(select w.id
      from mailer.dead_workers(v_me, v_region, (v_args ->> 'dead_after_ms')::bigint) w) end;
  -- What a newly dead process had put into the queue may never have got there. What is due may
  -- be held by a dead worker that had not claimed it: under a new wake it need not wait until
  -- the queue finds the stalled job. Nothing is in the queue long before its time.
  v_new := array(select w.id from mailer.workers w
    where w.id = any (v_dead) and w.reaped_at is null order by w.id for update skip locked);
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
      and (e.worker_id = any (v_dead) or e.claimed_at < v_now - c_longest)
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
  from mailer.emails e join mailer.workers w on w.id = e.worker_id
  where e.state = 'sending' and e.fenced_at is not null
    and ((v_everything and e.worker_id = any (v_dead))
      or ((e.region = v_region or not exists (select from mailer.regions r
          where r.name = e.region and r.beat_at
            >= v_now - (v_args ->> 'silent_ms')::bigint * interval '1 ms'))
        and ((e.worker_id = any (v_dead)
            and e.fenced_at < v_now - 1.2 * w.reply_timeout_ms * interval '1 ms')
          or e.fenced_at < v_now - 1.2 * w.reply_timeout_ms * interval '1 ms' - c_longest)));

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

-- queue_due: emails of a region that belong into its queue and are not in it; says so in their
-- rows, under the wake they have. Due first.
--
-- args { region, worker_id, horizon_ms, limit }
-- answer { emails: [{ id, wake, delay_ms }], has_more }
--
-- Not in it: queued_at is null; or older than the queue's marker. (What the queue lost or keeps
-- waiting all the same is found by overdue_emails.) Nothing to do costs two probes.
create or replace function mailer.queue_due(args text) returns text
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

-- overdue_emails: emails of a region that are due for overdue_ms, queued for as long, and still
-- not claimed; a page of them in order of their time, for the caller to look their jobs up.
--
-- args { region, overdue_ms, limit, after: { next_attempt_at, id } | null }
-- answer { emails: [{ id, wake }], last: { next_attempt_at, id } | null (a full page's),
--          until: up to here all were seen; emails queued a little after their time included }
create function mailer.overdue_emails(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_until timestamptz := clock_timestamp()
    - (v_args ->> 'overdue_ms')::bigint * interval '1 ms';
  v_after timestamptz := coalesce((v_args #>> '{after,next_attempt_at}')::timestamptz,
    '-infinity');
  v_after_id uuid := coalesce((v_args #>> '{after,id}')::uuid,
    '00000000-0000-0000-0000-000000000000');
  v_rows jsonb;
begin
  select coalesce(jsonb_agg(to_jsonb(p) order by p.next_attempt_at, p.id), '[]') into v_rows
  from (
    select e.id, e.wake, e.next_attempt_at from mailer.emails e
    where e.region = v_args ->> 'region' and e.state = 'pending'
      and e.next_attempt_at >= v_after and e.next_attempt_at <= v_until
      and (e.next_attempt_at > v_after or e.id > v_after_id) and e.queued_at < v_until
    order by e.next_attempt_at, e.id limit (v_args ->> 'limit')::integer) p;
  return jsonb_build_object(
    'emails', (select coalesce(jsonb_agg(jsonb_build_object('id', r -> 'id', 'wake', r -> 'wake')
      order by n), '[]') from jsonb_array_elements(v_rows) with ordinality as q (r, n)),
    'last', case when jsonb_array_length(v_rows) >= (v_args ->> 'limit')::integer
      then v_rows -> -1 end,
    'until', v_until - (v_args ->> 'overdue_ms')::bigint * interval '1 ms')::text;
end
$$;

-- adopt_emails: takes due emails of silent regions into the caller's, queued there by it.
--
-- args { region, worker_id, silent_ms, dead_after_ms, limit }
-- answer { emails: [{ id, wake, from_region }] }
--
-- Guarantees: each is adopted by one caller; the wake rises, so that a job of the region it
-- came from does nothing when that returns; a region without a living worker adopts nothing.
create function mailer.adopt_emails(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_silent text[];
  v_rows jsonb;
begin
  if exists (select from mailer.workers w
    where w.region = v_region and w.role <> 'api' and w.stopped_at is null
      and w.beat_at >= v_now - (v_args ->> 'dead_after_ms')::bigint * interval '1 ms')
  then
    v_silent := array(select s from mailer.silent_regions((v_args ->> 'silent_ms')::bigint) s
      where s <> v_region);
  end if;
  if array_length(v_silent, 1) is null then
    return '{"emails":[]}';
  end if;
  with due as (
    select e.id, e.region as from_region from mailer.emails e
    where e.region = any (v_silent) and e.state = 'pending' and e.next_attempt_at <= v_now
    limit (v_args ->> 'limit')::integer for update skip locked
  ),
  moved as (
    update mailer.emails e set region = v_region, wake = e.wake + 1, queued_at = v_now,
      queued_by = (v_args ->> 'worker_id')::uuid, sequence = e.sequence + 1
    from due d where e.id = d.id
    returning e.id, e.owner_id, e.sequence, e.wake, d.from_region
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer, jsonb_build_object('status', 'pending',
      'reason', 'region_silent', 'from_region', r -> 'from_region', 'region', v_region)
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('emails', (
    select coalesce(jsonb_agg(jsonb_build_object('id', r -> 'id', 'wake', r -> 'wake',
      'from_region', r -> 'from_region')), '[]')
    from jsonb_array_elements(v_rows) r))::text;
end
$$;

-- region_standing: how a region stands. args { region, dead_after_ms, silent_ms, count_max };
-- answer { oldest_due_ms, due_unclaimed (counted up to count_max), workers_alive,
--          regions: all that were ever heard of,
--          dead_regions: silent, and with pending emails or heard of within a day }.
create function mailer.region_standing(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_silent_ms bigint := (v_args ->> 'silent_ms')::bigint;
begin
  return jsonb_build_object(
    'oldest_due_ms', coalesce((select mailer.ms_until(v_now, e.next_attempt_at)
      from mailer.emails e where e.region = v_region and e.state = 'pending'
      order by e.next_attempt_at limit 1), 0),
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

revoke execute on function mailer.reset_crashes(),
  mailer.dead_workers(uuid, text, bigint), mailer.silent_regions(bigint),
  mailer.overdue_emails(text), mailer.adopt_emails(text), mailer.region_standing(text)
  from public;
grant execute on function mailer.reset_crashes(),
  mailer.dead_workers(uuid, text, bigint), mailer.silent_regions(bigint),
  mailer.overdue_emails(text), mailer.adopt_emails(text), mailer.region_standing(text)
  to mailer_service;

insert into mailer.functions (name, roles) values
  ('overdue_emails', array['service']),
  ('adopt_emails', array['service']),
  ('region_standing', array['service']);
