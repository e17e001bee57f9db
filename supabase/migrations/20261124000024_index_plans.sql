-- Claim, fence and settle at the speed of their indexes, whatever the tables hold. A plan that
-- a connection made while a table was small reads all of it, and is kept: at 5,000 emails a
-- fence read every email, a claim every message's row, a settlement every attempt.

-- As in 20261124000013_reconcile_more.sql, which says what it takes, answers and guarantees;
-- recipients are read once.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
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
        'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced)
      end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
    left join mailer.contents c on c.email_id = (r ->> 'id')::uuid and r ->> 'kind' = 'claimed'
    left join lateral (
      select count(*) filter (where t.status = 'sent') as sent,
        count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
        json_agg(json_build_object('position', t.position, 'address', t.address)
          order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
      from mailer.recipients t where t.email_id = c.email_id
    ) t on true
  )::text;
end
$$;

-- As in 20261124000004_deliver.sql.
create or replace function mailer.fence_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_answer text;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i))
  order by e.id for update;

  with item as (
    select i.id, i.token, i.message_date, i.n,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint,
      message_date timestamptz)) with ordinality as i (id, token, message_date, n)
  ),
  fenced as (
    update mailer.emails e set fenced_at = clock_timestamp(), message_date = i.message_date
    from item i
    where e.id = i.id and e.claim_token = i.token and e.state = 'sending'
      and e.fenced_at is null
    returning e.id, e.claim_token
  )
  select json_agg(case
      when f.id is not null and i.turn = 1 then json_build_object('granted', true)
      when e.state = 'cancelled' then json_build_object('granted', false, 'reason', 'cancelled')
      else json_build_object('granted', false, 'reason', 'stale')
    end order by i.n)::text
  into v_answer
  from item i
  left join fenced f on f.id = i.id and f.claim_token = i.token
  left join mailer.emails e on e.id = i.id;
  return v_answer;
end
$$;

-- As in 20261124000012_dead_letters.sql; earlier attempts are looked at only for a stale
-- holder.
create or replace function mailer.settle_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_now timestamptz;
  v_actor text := mailer.claim_sub();
  v_rows jsonb;
  v_recipient record;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i))
  order by e.id for update;
  v_now := date_trunc('milliseconds', clock_timestamp());

  with item as materialized (
    select i.*, e.state as old_state, e.owner_id, e.worker_id, e.claimed_at, e.fenced_at,
      e.message_date, e.attempts, e.id is not null and e.state = 'sending'
        and e.claim_token = i.token
        and row_number() over (partition by i.id, i.token order by i.n) = 1 as is_ours,
      mailer.ceil_ms(v_now + i.retry_in_ms * interval '1 ms') as retry_at,
      (select count(*) from jsonb_to_recordset(i.recipients) as t (status text)
        where t.status = 'bounced') as bounced
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint, transport text,
      region text, horizon_ms bigint, queued_by uuid, outcome text, next_state text,
      retry_in_ms bigint, smtp_code smallint, enhanced_code text, reply text,
      failure_group text, failure_domain text, recipients jsonb)) with ordinality
      as i (id, token, transport, region, horizon_ms, queued_by, outcome, next_state,
        retry_in_ms, smtp_code, enhanced_code, reply, failure_group, failure_domain,
        recipients, n)
    left join mailer.emails e on e.id = i.id
  ),
  moved as (
    update mailer.emails e set
      state = i.next_state,
      attempts = e.attempts + 1,
      worker_id = null,
      fenced_at = null,
      -- Once an attempt was uncertain, every later one repeats its Date.
      message_date = case when i.outcome = 'uncertain' or (i.next_state = 'pending'
        and exists (select from mailer.attempts a
          where a.email_id = i.id and a.outcome = 'uncertain')) then e.message_date end,
      sent_at = case when i.outcome in ('sent', 'partial') then v_now else e.sent_at end,
      wake = e.wake + 1,
      next_attempt_at = coalesce(i.retry_at, e.next_attempt_at),
      queued_at = case when i.next_state = 'pending'
        and i.retry_at <= v_now + i.horizon_ms * interval '1 ms' then clock_timestamp() end,
      queued_by = case when i.next_state = 'pending'
        and i.retry_at <= v_now + i.horizon_ms * interval '1 ms' then i.queued_by end,
      failure_group = case when i.outcome = 'uncertain' or i.failure_group is not null
        then i.failure_group else e.failure_group end,
      failure_domain = case when i.outcome = 'uncertain' or i.failure_group is not null
        then i.failure_domain else e.failure_domain end,
      -- One entry for the email, one more for every recipient that bounced now.
      sequence = e.sequence + 1 + i.bounced
    from item i
    where e.id = i.id and i.is_ours
    returning e.*
  ),
  recorded as (
    insert into mailer.attempts (email_id, number, owner_id, claim_token, worker_id, region,
      transport, started_at, fenced_at, message_date, ended_at, outcome, smtp_code,
      enhanced_code, reply)
    select i.id, i.attempts + 1, i.owner_id, i.token, i.worker_id, i.region, i.transport,
      i.claimed_at, i.fenced_at, i.message_date, v_now, i.outcome, i.smtp_code,
      i.enhanced_code, i.reply
    from item i where i.is_ours
  )
  select jsonb_agg(case when i.is_ours then jsonb_build_object('applied', true,
        'id', i.id, 'owner_id', i.owner_id, 'state', m.state, 'attempt', m.attempts,
        'wake', m.wake, 'sequence', m.sequence, 'bounced', i.bounced,
        'next_attempt_at', m.next_attempt_at, 'outcome', i.outcome,
        'smtp_code', i.smtp_code, 'enhanced_code', i.enhanced_code,
        'transport', i.transport, 'region', i.region, 'recipients', i.recipients,
        'delay_ms', case when m.queued_at is not null
          then mailer.ms_until(m.next_attempt_at, v_now) end)
      else jsonb_build_object('applied', false, 'state', i.old_state, 'id', i.id,
        'owner_id', i.owner_id, 'outcome', i.outcome,
        -- Counted: of an `exists` a plan may be made that reads all attempts into a hash first.
        'is_known', 0 < (select count(*) from mailer.attempts a
          where a.email_id = i.id and a.claim_token = i.token))
    end order by i.n)
  into v_rows
  from item i left join moved m on m.id = i.id and i.is_ours;

  -- One by one: a join of unknown lists with this table may be planned as a read of all of it.
  for v_recipient in
    select (r ->> 'id')::uuid as email_id, t.*
    from jsonb_array_elements(v_rows) r
    cross join lateral jsonb_to_recordset(r -> 'recipients')
      as t (position smallint, status text, smtp_code smallint, enhanced_code text, reply text)
    where (r ->> 'applied')::boolean
  loop
    update mailer.recipients t set status = v_recipient.status,
      smtp_code = v_recipient.smtp_code, enhanced_code = v_recipient.enhanced_code,
      reply = v_recipient.reply
    where t.email_id = v_recipient.email_id and t.position = v_recipient.position
      and t.status in ('pending', 'deferred');
  end loop;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor,
    case
      when r ->> 'outcome' = 'uncertain' then 'email.uncertain'
      when r ->> 'state' = 'pending' then 'email.deferred'
      when r ->> 'outcome' in ('sent', 'partial') then 'email.sent'
      else 'email.failed'
    end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    jsonb_strip_nulls(jsonb_build_object('status', r ->> 'state', 'attempt', r -> 'attempt',
      'outcome', r ->> 'outcome', 'smtp_code', r -> 'smtp_code',
      'enhanced_code', r -> 'enhanced_code', 'transport', r ->> 'transport',
      'region', r ->> 'region', 'next_attempt_at',
      case when r ->> 'state' = 'pending' then r -> 'next_attempt_at' end))
  from jsonb_array_elements(v_rows) r
  where (r ->> 'applied')::boolean
  union all
  select r ->> 'owner_id', v_actor, 'email.bounced', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer - (r ->> 'bounced')::integer - 1
      + (row_number() over (partition by r ->> 'id' order by t.position))::integer,
    jsonb_strip_nulls(jsonb_build_object('status', r ->> 'state', 'attempt', r -> 'attempt',
      'recipient', t.position, 'smtp_code', t.smtp_code, 'enhanced_code', t.enhanced_code))
  from jsonb_array_elements(v_rows) r
  cross join lateral jsonb_to_recordset(r -> 'recipients')
    as t (position smallint, status text, smtp_code smallint, enhanced_code text)
  where (r ->> 'applied')::boolean and t.status = 'bounced'
  union all
  select r ->> 'owner_id', v_actor, 'attempt.stale', (r ->> 'id')::uuid, null,
    jsonb_build_object('status', r ->> 'state', 'outcome', r ->> 'outcome')
  from jsonb_array_elements(v_rows) r
  where not (r ->> 'applied')::boolean and not (r ->> 'is_known')::boolean
    and r ->> 'owner_id' is not null
  -- Ids, and with them positions, follow the sequence.
  order by 5 nulls last;

  return (
    select json_agg(case when (r ->> 'applied')::boolean
      then json_build_object('applied', true, 'state', r -> 'state', 'attempt', r -> 'attempt',
        'wake', r -> 'wake', 'delay_ms', r -> 'delay_ms')
      else json_build_object('applied', false, 'state', r -> 'state') end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
  )::text;
end
$$;

alter function mailer.schedule_emails(text)
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off;
alter function mailer.release_emails(text)
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000024"}';
