-- What one call promises whatever the server, the database or the role is set to, and what another
-- transaction's lock may cost: the email that it locks, and no other.

-- call_as: as 20261124000027_accept_and_claim.sql says, and
--
-- - the claims may say { lock_timeout_ms }: how long to wait for another transaction's lock
--   (default 3000); a call that carries many emails says less, since all of them wait;
-- - what it writes is on the disk before it answers, also where synchronous_commit is off. Any
--   other setting of it (local, remote_write, remote_apply) is the operator's choice and stays;
-- - instants and intervals become text in one way, whatever DateStyle, IntervalStyle and TimeZone
--   are: cursors are such text, and are read again by the next call.
--
-- All of it holds for this transaction alone, so that it works behind a pooler in transaction mode.
create or replace function mailer_api.call_as(claims text, fn text, args text) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  v_claims json := claims;
  v_role text := v_claims ->> 'role';
  v_answer text;
begin
  if current_setting('role') in ('anon', 'authenticated') then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = format('The database role %s may not call.', current_setting('role'));
  end if;
  if not exists (
    select from mailer.functions f where f.name = call_as.fn and v_role = any (f.roles)
  ) then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = format('The role %s may not call %s.', coalesce(v_role, 'without a name'), fn);
  end if;
  if coalesce(v_claims ->> 'sub', '') = '' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'The claims name no sub.';
  end if;
  perform set_config('request.jwt.claims', claims, true);
  perform set_config('lock_timeout', coalesce(v_claims ->> 'lock_timeout_ms', '3000'), true);
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  if current_setting('DateStyle') <> 'ISO, MDY' then
    perform set_config('DateStyle', 'ISO, MDY', true);
  end if;
  if current_setting('IntervalStyle') <> 'postgres' then
    perform set_config('IntervalStyle', 'postgres', true);
  end if;
  if current_setting('TimeZone') <> 'UTC' then
    perform set_config('TimeZone', 'UTC', true);
  end if;
  if v_role = 'user' then
    return mailer.run_as_owner(fn, args);
  elsif fn = 'accept_emails' then
    return mailer.accept_emails(args);
  elsif fn = 'claim_emails' then
    return mailer.claim_emails(args);
  elsif fn = 'fence_attempts' then
    return mailer.fence_attempts(args);
  elsif fn = 'settle_attempts' then
    return mailer.settle_attempts(args);
  end if;
  execute format('select mailer.%I($1)', fn) using args into v_answer;
  return v_answer;
end
$$;

-- claim_emails: as 20261124000029_claim_ahead.sql says, but:
--
-- args: { …, waits | absent }; true: it waits for a row that another transaction has locked, up to
--   lock_timeout. Otherwise such an email is left out, so that the others are not held up:
-- answer: … | { kind: "locked" }: nothing was changed, ask again.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  c_suspect_from constant smallint := 2;
  -- What encrypting adds to a message.
  c_seal_bytes constant integer := 28;
  -- Longer than a worker keeps what it was given too early.
  c_left_to_others_ms constant integer := 3600000;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  -- How large a message may be to come behind the answer, or within it.
  v_bytes_max integer := (v_args ->> 'inline_bytes_max')::integer;
  v_asked uuid[] := array(
    select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i);
  -- Those of them that are locked now, and may be changed.
  v_held uuid[];
  v_is_behind boolean := coalesce((v_args ->> 'texts_behind')::boolean, false);
  v_reads_packed boolean := coalesce((v_args ->> 'reads_packed')::boolean, false);
  v_ids uuid[];
  v_owners text[];
  v_kinds text[];
  v_sequences integer[];
  v_attempts integer[];
  v_answer text;
begin
  if coalesce((v_args ->> 'waits')::boolean, false) then
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_asked) order by e.id for update);
  else
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_asked) order by e.id for update skip locked);
  end if;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, coalesce(i.isolated, false) as isolated,
      coalesce(i.again, false) as again, coalesce(i.ahead_ms, 0) as ahead_ms, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer,
      isolated boolean, again boolean, ahead_ms integer)) with ordinality
      as i (id, wake, isolated, again, ahead_ms, n)
  ),
  judged as materialized (
    select i.n, i.id, i.isolated, e.next_attempt_at, case
        when e.id is not null and not i.id = any (v_held) then 'locked'
        when i.again and i.turn = 1 and e.state = 'sending' and e.wake = i.wake
          and e.worker_id = v_worker and e.fenced_at is null then 'claimed'
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now + i.ahead_ms * interval '1 ms' then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        when not v_reads_packed and exists (select from mailer.contents c
          where c.email_id = e.id and octet_length(c.message) < e.message_bytes + c_seal_bytes)
          then 'not_due'
        when e.crashes >= c_suspect_from and not i.isolated then 'suspect'
        else 'claimed'
      end as kind
    from item i
    left join lateral (select e.id, e.state, e.wake, e.worker_id, e.fenced_at, e.next_attempt_at,
        e.expires_at, e.on_late, e.message_bytes, e.crashes
      from mailer.emails e where e.id = i.id limit 1) e on true
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = greatest(v_now, e.next_attempt_at),
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = any (v_held) and e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.id, e.owner_id, e.sequence, e.claim_token, e.attempts, e.attempts_before,
      e.max_retries, e.max_age_seconds, e.age_from, e.on_uncertain, e.wrapped_key, e.sender,
      e.message_date, e.message_bytes, e.next_attempt_at, j.n,
      case when e.on_late <> 'send' then e.expires_at end as expires_at
  ),
  answered as (
    select j.n, j.kind, m.id, m.owner_id, m.sequence, m.attempts + 1 as attempt,
      case when v_is_behind and octet_length(c.message) <= v_bytes_max
        then encode(c.message, 'base64') end as text,
      case j.kind
        when 'claimed' then json_build_object('kind', j.kind, 'token', m.claim_token,
          'attempt', m.attempts + 1, 'attempts_before', m.attempts_before,
          'max_retries', m.max_retries, 'max_age_seconds', m.max_age_seconds,
          'age_ms', ceil(extract(epoch from v_now - m.age_from) * 1000)::bigint,
          'due_in_ms', mailer.ms_until(m.next_attempt_at, v_now),
          'expires_in_ms', case when m.expires_at is not null
            then mailer.ms_until(m.expires_at, v_now) end,
          'on_uncertain', m.on_uncertain,
          'owner_id', m.owner_id, 'wrapped_key', m.wrapped_key, 'sender', m.sender,
          'message_date', m.message_date, 'message_bytes', m.message_bytes,
          'message', case when not v_is_behind and octet_length(c.message) <= v_bytes_max
            then encode(c.message, 'base64') end,
          'has_message', v_is_behind and octet_length(c.message) <= v_bytes_max,
          'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced)
        when 'not_due' then json_build_object('kind', j.kind, 'due_in_ms',
          greatest(mailer.ms_until(j.next_attempt_at, v_now),
            case when j.next_attempt_at <= v_now then c_left_to_others_ms end))
        else json_build_object('kind', j.kind)
      end as answer
    from judged j
    left join moved m on m.n = j.n
    left join lateral (select c.email_id, c.message from mailer.contents c
      where c.email_id = m.id and j.kind = 'claimed' limit 1) c on true
    left join lateral (
      select count(*) filter (where t.status = 'sent') as sent,
        count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
        json_agg(json_build_object('position', t.position, 'address', t.address)
          order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
      from mailer.recipients t where t.email_id = c.email_id
    ) t on true
  )
  select coalesce(json_agg(answer order by n)::text, '[]')
      || coalesce(E'\f' || string_agg(text, E'\f' order by n), ''),
    array_agg(id), array_agg(owner_id), array_agg(kind), array_agg(sequence), array_agg(attempt)
  into v_answer, v_ids, v_owners, v_kinds, v_sequences, v_attempts
  from answered;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select e.owner_id, v_actor,
    case e.kind when 'claimed' then 'email.sending' else 'email.' || e.kind end,
    e.id, e.sequence,
    case e.kind
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', e.attempt,
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', e.kind, 'reason', 'too_late')
    end
  from unnest(v_ids, v_owners, v_kinds, v_sequences, v_attempts)
    as e (id, owner_id, kind, sequence, attempt)
  where e.id is not null;

  return v_answer;
end
$$;

-- fence_attempts: as 20261124000029_claim_ahead.sql says, but a row that another transaction has
-- locked is left out and answered { granted: false, reason: "locked" }; nothing was changed. It is
-- waited for, up to lock_timeout, when the first item says { waits: true }.
create or replace function mailer.fence_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_ids uuid[] := array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i);
  v_held uuid[];
  v_answer text;
begin
  if coalesce((v_items -> 0 ->> 'waits')::boolean, false) then
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_ids) order by e.id for update);
  else
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_ids) order by e.id for update skip locked);
  end if;

  with item as (
    select i.id, i.token, i.message_date, i.n,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint,
      message_date timestamptz)) with ordinality as i (id, token, message_date, n)
  ),
  fenced as (
    update mailer.emails e set fenced_at = clock_timestamp(), message_date = i.message_date
    from item i
    where e.id = any (v_held) and e.id = i.id and e.claim_token = i.token
      and e.state is not distinct from 'sending' and e.fenced_at is null
      and e.next_attempt_at <= clock_timestamp()
      and (e.on_late = 'send' or e.expires_at is null or e.expires_at >= clock_timestamp())
    returning e.id, e.claim_token
  )
  select json_agg(case
      when f.id is not null and i.turn = 1 then json_build_object('granted', true)
      when e.id is not null and not i.id = any (v_held)
        then json_build_object('granted', false, 'reason', 'locked')
      when e.state = 'cancelled' then json_build_object('granted', false, 'reason', 'cancelled')
      when e.state = 'sending' and e.claim_token = i.token and e.fenced_at is null and i.turn = 1
        then json_build_object('granted', false, 'reason', 'fence_failed')
      else json_build_object('granted', false, 'reason', 'stale')
    end order by i.n)::text
  into v_answer
  from item i
  left join fenced f on f.id = i.id and f.claim_token = i.token
  left join mailer.emails e on e.id = i.id;
  return v_answer;
end
$$;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000030"}';
