-- Claims that nobody sees: what readers are told of them, whom a death is blamed on, and plans.

-- release_emails: as before; the entry of a claim without a fence really has no sequence.
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

  with item as materialized (
    select i.*, e.fenced_at is not null as was_fenced, mailer.ceil_ms(v_now + i.delay_ms * interval '1 ms') as again_at,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint, reason text,
      delay_ms bigint)) with ordinality
      as i (id, token, reason, delay_ms, n)
    left join lateral (select e.fenced_at from mailer.emails e where e.id = i.id limit 1) e on true
  ),
  moved as (
    update mailer.emails e set
      state = 'pending',
      worker_id = null,
      fenced_at = null,
      message_date = case when exists (select from mailer.attempts a
        where a.email_id = i.id and a.outcome = 'uncertain') then e.message_date end,
      next_attempt_at = greatest(e.next_attempt_at, i.again_at),
      due_since = case when i.again_at <= e.next_attempt_at or e.next_attempt_at = e.returned_until
        then e.due_since else e.next_attempt_at end,
      returned_until = case when i.again_at <= e.next_attempt_at then e.returned_until
        when i.reason is distinct from 'destination_backed_off' then i.again_at end,
      sequence = e.sequence + (e.fenced_at is not null)::integer
    from item i
    where e.id = i.id and i.turn = 1 and e.state = 'sending' and e.claim_token = i.token
    returning e.*
  )
  select jsonb_agg(case when m.id is not null then jsonb_build_object('applied', true,
        'id', m.id, 'owner_id', m.owner_id, 'sequence', case when i.was_fenced then m.sequence end,
        'reason', i.reason, 'delay_ms',
        mailer.ms_until(m.next_attempt_at, v_now))
      else jsonb_build_object('applied', false) end order by i.n)
  into v_rows
  from item i left join moved m on m.id = i.id and i.turn = 1 and m.claim_token = i.token;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor, 'claim.returned', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'pending', 'reason', r ->> 'reason')
  from jsonb_array_elements(v_rows) r
  where (r ->> 'applied')::boolean;

  return (
    select json_agg(case when (r ->> 'applied')::boolean
      then json_build_object('applied', true, 'delay_ms', r -> 'delay_ms')
      else json_build_object('applied', false) end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
  )::text;
end
$$;

-- release_email: as before, but a claimed email is not said to be sending.
create or replace function mailer.release_email(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
  v_row mailer.emails;
  v_now timestamptz;
  v_due timestamptz;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state <> 'held' then
    return jsonb_build_object('kind', 'not_held', 'state',
      mailer.shown_state(v_email.state, v_email.fenced_at))::text;
  end if;
  v_now := date_trunc('milliseconds', clock_timestamp());
  v_due := case when v_args ? 'scheduled_at'
    then coalesce(mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz), v_now)
    else greatest(v_email.next_attempt_at, v_now) end;
  v_row := mailer.replay_row(v_email, v_due, v_args ? 'scheduled_at', false);
  return mailer.replayed_answer(v_email, v_row, v_args, 'released');
end
$$;

-- replay_email: as before, but a claimed email is not said to be sending.
create or replace function mailer.replay_email(args text) returns text
language plpgsql
as $$
declare
  v_head integer := strpos(args || E'\n', E'\n');
  v_args jsonb := left(args, v_head - 1);
  v_lines text[] := string_to_array(substr(args, v_head + 1), E'\n');
  v_change jsonb := v_args -> 'change';
  v_email mailer.emails;
  v_row mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state not in ('failed', 'uncertain', 'partially_sent', 'held') then
    return jsonb_build_object('kind', 'not_a_dead_letter', 'state',
      mailer.shown_state(v_email.state, v_email.fenced_at))::text;
  end if;
  if v_change is not null then
    if v_email.version <> (v_args ->> 'version')::integer
      or v_email.attempts <> (v_args ->> 'attempts')::smallint
      or v_email.wrapped_key is distinct from v_args ->> 'wrapped_key' then
      return '{"kind":"conflict"}';
    end if;
    perform mailer.edit_row(v_email, v_change, v_lines);
  end if;
  v_row := mailer.replay_row(v_email,
    coalesce(mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz),
      date_trunc('milliseconds', clock_timestamp())),
    v_args ->> 'scheduled_at' is not null, coalesce(v_change ? 'content', false));
  return mailer.replayed_answer(v_email, v_row, v_args, 'replayed');
end
$$;

-- shred_email: as before, but a claimed email is not said to be sending.
create or replace function mailer.shred_email(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state in ('pending', 'sending', 'held') then
    return jsonb_build_object('kind', 'not_finished', 'status',
      mailer.shown_state(v_email.state, v_email.fenced_at))::text;
  end if;
  if v_email.wrapped_key is null then
    return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
  end if;
  update mailer.contents c set message = null, details = null where c.email_id = v_email.id;
  update mailer.recipients r set address = null, address_index = null, reply = null
  where r.email_id = v_email.id;
  update mailer.attempts a set reply = null where a.email_id = v_email.id;
  update mailer.emails e set wrapped_key = null, sender = null, subject = null,
    failure_group = null, failure_domain = null, version = e.version + 1,
    sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.shredded',
    v_email.id, v_email.sequence + 1, jsonb_build_object('status', v_email.state));
  return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
end
$$;

create index emails_claimed_of_owner on mailer.emails (owner_id)
  where state = 'sending' and fenced_at is null;

-- over_quota: as before; what is fenced is not pending any more. Two counts, each by an index of its
-- own: of both states in one there is none, and an owner's whole history would be read.
create or replace function mailer.over_quota(requests json, now_at timestamptz) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_today timestamptz := date_trunc('day', now_at, 'UTC');
  v_over jsonb := '{}';
  v_owner text;
  v_request record;
  v_today_count bigint;
  v_pending_count bigint;
  v_new integer;
begin
  for v_owner in
    select distinct r ->> 'owner_id' from json_array_elements(requests) r
    where json_typeof(r -> 'quota') = 'object' order by 1
  loop
    perform pg_advisory_xact_lock(hashtextextended(v_owner, 7382640003));
    v_today_count := null;
    v_pending_count := null;
    for v_request in
      select n, r, (r -> 'quota' ->> 'per_day')::bigint as per_day,
        (r -> 'quota' ->> 'pending')::bigint as pending
      from json_array_elements(requests) with ordinality as q (r, n)
      where r ->> 'owner_id' = v_owner order by n
    loop
      -- One that was answered before is answered again, whatever the quota.
      continue when exists (select from mailer.idempotency_keys k where k.owner_id = v_owner
        and k.path = v_request.r -> 'idempotency' ->> 'path'
        and k.key = v_request.r -> 'idempotency' ->> 'key')
        or exists (select from mailer.emails e
          where e.id = (v_request.r -> 'emails' -> 0 ->> 'id')::uuid);
      v_new := json_array_length(v_request.r -> 'emails');
      if v_request.per_day is not null then
        v_today_count := coalesce(v_today_count, (select count(*) from mailer.emails e
          where e.owner_id = v_owner and e.created_at >= v_today));
        if v_today_count + v_new > v_request.per_day then
          v_over := v_over || jsonb_build_object(v_request.n::text, jsonb_build_object(
            'kind', 'quota_exceeded', 'quota', 'per_day', 'used', v_today_count,
            'resets_in_seconds', ceil(extract(epoch from v_today + interval '1 day' - now_at))));
          continue;
        end if;
      end if;
      if v_request.pending is not null then
        v_pending_count := coalesce(v_pending_count, 
          (select count(*) from mailer.emails e
            where e.owner_id = v_owner and e.state = 'pending')
          + (select count(*) from mailer.emails e
            where e.owner_id = v_owner and e.state = 'sending' and e.fenced_at is null));
        if v_pending_count + v_new > v_request.pending then
          v_over := v_over || jsonb_build_object(v_request.n::text, jsonb_build_object(
            'kind', 'quota_exceeded', 'quota', 'pending', 'used', v_pending_count,
            'resets_in_seconds', null));
          continue;
        end if;
      end if;
      v_today_count := v_today_count + v_new;
      v_pending_count := v_pending_count + v_new;
    end loop;
  end loop;
  return v_over;
end
$$;

-- filter_sql: as before, but by the stored state, which partial indexes are found by.
create or replace function mailer.filter_sql(filter jsonb) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_where text := 'true';
begin
  if mailer.claim_role() not in ('admin', 'service') then
    v_where := v_where || format(' and e.owner_id = %L', mailer.claim_sub());
  end if;
  if filter -> 'statuses' <> 'null' then
    v_where := v_where || format(' and e.state = any (%L::text[])', array(
      select jsonb_array_elements_text(filter -> 'statuses')
      union select 'sending' where filter -> 'statuses' ? 'pending'));
    if (filter -> 'statuses' ? 'pending') <> (filter -> 'statuses' ? 'sending') then
      v_where := v_where || format(' and (e.state <> ''sending'' or e.fenced_at is %snull)',
        case when filter -> 'statuses' ? 'sending' then 'not ' else '' end);
    end if;
  end if;
  if (filter ->> 'is_deferred')::boolean then
    v_where := v_where || ' and e.state in (''pending'', ''sending'')
      and (e.state = ''pending'' or e.fenced_at is null) and e.attempts > e.attempts_before';
  end if;
  if filter ->> 'tag' is not null then
    v_where := v_where || format(' and %L = any (e.tags)', filter ->> 'tag');
  end if;
  if filter -> 'metadata' <> 'null' then
    v_where := v_where || (select coalesce(string_agg(
      format(' and e.metadata ->> %L = %L', key, value), ''), '')
      from jsonb_each_text(filter -> 'metadata'));
  end if;
  if filter ->> 'address_index' is not null then
    v_where := v_where || format(' and exists (select from mailer.recipients r
      where r.email_id = e.id and r.owner_id = e.owner_id and r.address_index = any (%L::text[]))',
      mailer.texts_of(filter -> 'address_index'));
  end if;
  if filter ->> 'scheduled_after' is not null then
    v_where := v_where || format(' and e.scheduled_at >= %L', filter ->> 'scheduled_after');
  end if;
  if filter ->> 'scheduled_before' is not null then
    v_where := v_where || format(' and e.scheduled_at < %L', filter ->> 'scheduled_before');
  end if;
  if filter -> 'ids' <> 'null' then
    v_where := v_where || format(' and e.id = any (%L::uuid[])',
      array(select jsonb_array_elements_text(filter -> 'ids')));
  end if;
  if filter ->> 'group' is not null then
    v_where := v_where || format(' and %s = %L', mailer.dead_group_sql(), filter ->> 'group');
  end if;
  if filter ->> 'smtp_code' is not null then
    v_where := v_where || format(' and exists (select from mailer.recipients r
      where r.email_id = e.id and r.status in (''bounced'', ''deferred'')
        and r.smtp_code = %L)', filter ->> 'smtp_code');
  end if;
  if filter ->> 'failure_domain' is not null then
    v_where := v_where || format(' and e.failure_domain = any (%L::text[])',
      mailer.texts_of(filter -> 'failure_domain'));
  end if;
  return v_where;
end
$$;

-- queue_stats: as before, but what is claimed and due is waiting.
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
    select mailer.shown_state(e.state, e.fenced_at) as state, count(*) as n from mailer.emails e
    where v_sub is null or e.owner_id = v_sub group by 1) s;
  select count(*) filter (where d.state = 'pending'), min(d.since) into v_waiting, v_oldest
  from (
    select 'pending' as state, e.next_attempt_at as since from mailer.emails e
    where (e.state = 'pending' or (e.state = 'sending' and e.fenced_at is null))
      and e.next_attempt_at <= now()
      and e.next_attempt_at is distinct from e.returned_until
      and (v_sub is null or e.owner_id = v_sub)
    union all
    select mailer.shown_state(e.state, e.fenced_at), e.due_since from mailer.emails e
    where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
      and e.due_since <= now() and (v_sub is null or e.owner_id = v_sub)) d;
  return jsonb_build_object('by_status', v_by_status, 'waiting', v_waiting,
    'delayed', coalesce((v_by_status ->> 'pending')::bigint, 0) - v_waiting,
    'oldest_due_ms', coalesce(mailer.ms_until(now(), v_oldest), 0))::text;
end
$$;

-- read_figures: as before, but what is claimed is pending until its fence.
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
  v_claimed bigint;
  v_claimed_due bigint;
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
    select from mailer.emails e
    where e.state = 'sending' and e.fenced_at is not null limit c_max) q;
  select count(*), count(*) filter (where q.next_attempt_at <= v_now)
  into v_claimed, v_claimed_due
  from (select e.next_attempt_at from mailer.emails e
    where e.state = 'sending' and e.fenced_at is null limit c_max) q;
  select coalesce(jsonb_object_agg(g.state, g.n), '{}') into v_dead from (
    select q.state, count(*) as n from (
      select e.state from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent') limit c_max) q
    group by q.state) g;
  select count(*), min(q.at) into v_unsealed, v_unsealed_since from (
    select j.at from mailer.journal j where j.position is null order by j.id limit c_max) q;
  return jsonb_build_object('now', v_now, 'server_version', current_setting('server_version'),
    'by_status', jsonb_build_object('pending', least(v_pending + v_claimed, c_max), 'sending', v_sending,
      'failed', 0, 'uncertain', 0, 'held', 0, 'partially_sent', 0) || v_dead,
    'due', least(v_due + v_claimed_due + v_returned, c_max),
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

-- take_over: as before, but who is blamed does not depend on which 1,000 are freed first.
create or replace function mailer.take_over(args text) returns text
language plpgsql
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
    when v_args -> 'dead' is null then array(select w.id
      from mailer.dead_workers(v_me, v_region, (v_args ->> 'dead_after_ms')::bigint) w)
    else array(select w.id from mailer.workers w
      left join jsonb_to_recordset(v_args -> 'dead') as d (id uuid, beats bigint) on d.id = w.id
      where w.id <> v_me and (w.beats = d.beats or w.reaped_at is not null
        or (w.stopped_at is not null and w.region = v_region)))
    end;
  v_new := array(select w.id from mailer.workers w
    where w.id = any (v_dead) and w.reaped_at is null
      -- Asked again of a row that has changed meanwhile: one that beats now is not dead.
      and (v_everything or v_args -> 'dead' is null or w.stopped_at is not null
        or exists (select from jsonb_to_recordset(v_args -> 'dead') as d (id uuid, beats bigint)
          where d.id = w.id and d.beats = w.beats))
    order by w.id for update skip locked);
  if array_length(v_new, 1) is not null then
    update mailer.workers w set reaped_at = v_now where w.id = any (v_new);
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
      worker_id = null, isolated = false, crashes = e.crashes + b.crash,
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

-- A body that is replaced loses what was set of it since.
alter function mailer.beat(text) set search_path = '';
alter function mailer.cancel_email(text) set search_path = '';
alter function mailer.cancel_emails(text) set search_path = '';
alter function mailer.change_email(text) set search_path = '';
alter function mailer.edit_row(mailer.emails, jsonb, text[]) set search_path = '';
alter function mailer.hold_email(text) set search_path = '';
alter function mailer.release_email(text) set search_path = '';
alter function mailer.replay_email(text) set search_path = '';
alter function mailer.replayed_answer(mailer.emails, mailer.emails, jsonb, text) set search_path = '';
alter function mailer.take_over(text) set search_path = '';

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000039"}';
