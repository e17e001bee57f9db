-- Messages may be stored compressed, and claims and settlements write down what they did without
-- building every row of it as JSON twice.
--
-- Where rows are looked up for each item, `lateral … limit 1` or the ids beside the join say so: a
-- join may be planned as a read of a whole index for each item while the table is small, and that
-- plan stays as it grows, until it is analyzed again. Of a table that was analyzed while it was
-- empty the planner may still take another index that holds the id.
--
-- A message whose ciphertext is shorter than the message was compressed before it was encrypted.

-- claim_emails: as 20261124000013_reconcile_more.sql and 20261124000026_plain_texts.sql say, but:
--
-- args: { …, reads_packed | absent }
-- A program of before reads no compressed messages: to it such an email is not due for so long
-- that it gives it back to the queue, by rewake_email, and one that can read it comes by.
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
  v_is_behind boolean := coalesce((v_args ->> 'texts_behind')::boolean, false);
  v_reads_packed boolean := coalesce((v_args ->> 'reads_packed')::boolean, false);
  v_ids uuid[];
  v_owners text[];
  v_kinds text[];
  v_sequences integer[];
  v_attempts integer[];
  v_answer text;
begin
  perform 1 from mailer.emails e where e.id = any (v_asked) order by e.id for update;
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
      claimed_at = v_now,
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = any (v_asked) and e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.id, e.owner_id, e.sequence, e.claim_token, e.attempts, e.attempts_before,
      e.max_retries, e.max_age_seconds, e.age_from, e.on_uncertain, e.wrapped_key, e.sender,
      e.message_date, e.message_bytes, j.n
  ),
  answered as (
    select j.n, j.kind, m.id, m.owner_id, m.sequence, m.attempts + 1 as attempt,
      case when v_is_behind and octet_length(c.message) <= v_bytes_max
        then encode(c.message, 'base64') end as text,
      case j.kind
        when 'claimed' then json_build_object('kind', j.kind, 'token', m.claim_token,
          'attempt', m.attempts + 1, 'attempts_before', m.attempts_before,
          'max_retries', m.max_retries, 'max_age_seconds', m.max_age_seconds,
          'age_ms', mailer.ms_until(v_now, m.age_from), 'on_uncertain', m.on_uncertain,
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

-- settle_attempts: as 20261124000012_dead_letters.sql says.
create or replace function mailer.settle_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_asked uuid[] := array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i);
  v_now timestamptz;
  v_actor text := mailer.claim_sub();
  v_answer text;
  -- Of those that were settled, in the order of the items.
  v_ids uuid[];
  v_owners text[];
  v_states text[];
  v_attempts integer[];
  v_sequences integer[];
  v_bounced bigint[];
  v_places bigint[];
  v_next timestamptz[];
  v_has_bounced boolean;
  v_has_stale boolean;
  v_recipient record;
begin
  perform 1 from mailer.emails e where e.id = any (v_asked) order by e.id for update;
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
    left join lateral (select e.id, e.state, e.owner_id, e.worker_id, e.claimed_at, e.fenced_at,
        e.message_date, e.attempts, e.claim_token
      from mailer.emails e where e.id = i.id limit 1) e on true
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
    where e.id = any (v_asked) and e.id = i.id and i.is_ours
    returning i.n, e.id, e.owner_id, e.state, e.attempts, e.wake, e.sequence, e.next_attempt_at,
      case when e.queued_at is not null then mailer.ms_until(e.next_attempt_at, v_now) end
        as delay_ms
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
  select json_agg(case when i.is_ours
      then json_build_object('applied', true, 'state', m.state, 'attempt', m.attempts,
        'wake', m.wake, 'delay_ms', m.delay_ms)
      else json_build_object('applied', false, 'state', i.old_state) end order by i.n)::text,
    array_agg(m.id order by i.n) filter (where i.is_ours),
    array_agg(m.owner_id order by i.n) filter (where i.is_ours),
    array_agg(m.state order by i.n) filter (where i.is_ours),
    array_agg(m.attempts order by i.n) filter (where i.is_ours),
    array_agg(m.sequence order by i.n) filter (where i.is_ours),
    array_agg(i.bounced order by i.n) filter (where i.is_ours),
    array_agg(i.n order by i.n) filter (where i.is_ours),
    array_agg(case when m.state = 'pending' then m.next_attempt_at end order by i.n)
      filter (where i.is_ours),
    coalesce(bool_or(i.bounced > 0 and i.is_ours), false), bool_or(not i.is_ours)
  into v_answer, v_ids, v_owners, v_states, v_attempts, v_sequences, v_bounced, v_places, v_next,
    v_has_bounced, v_has_stale
  from item i left join moved m on m.n = i.n;

  -- One by one: a join of unknown lists with this table may be planned as a read of all of it.
  for v_recipient in
    select e.id as email_id, t.*
    from unnest(v_ids, v_places) as e (id, n)
    cross join lateral jsonb_to_recordset(v_items -> (e.n::integer - 1) -> 'recipients')
      as t (position smallint, status text, smtp_code smallint, enhanced_code text, reply text)
  loop
    update mailer.recipients t set status = v_recipient.status,
      smtp_code = v_recipient.smtp_code, enhanced_code = v_recipient.enhanced_code,
      reply = v_recipient.reply
    where t.email_id = v_recipient.email_id and t.position = v_recipient.position
      and t.status in ('pending', 'deferred');
  end loop;

  perform mailer.lock_journal();
  -- Ids, and with them positions, follow the sequence: what bounced comes first.
  if v_has_bounced then
    insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
    select e.owner_id, v_actor, 'email.bounced', e.id,
      e.sequence - e.bounced - 1
        + (row_number() over (partition by e.id order by t.position))::integer,
      jsonb_strip_nulls(jsonb_build_object('status', e.state, 'attempt', e.attempt,
        'recipient', t.position, 'smtp_code', t.smtp_code, 'enhanced_code', t.enhanced_code))
    from unnest(v_ids, v_owners, v_states, v_attempts, v_sequences, v_bounced, v_places)
      as e (id, owner_id, state, attempt, sequence, bounced, n)
    cross join lateral jsonb_to_recordset(v_items -> (e.n::integer - 1) -> 'recipients')
      as t (position smallint, status text, smtp_code smallint, enhanced_code text)
    where e.bounced > 0 and t.status = 'bounced'
    order by e.n, t.position;
  end if;
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select e.owner_id, v_actor,
    case
      when i.outcome = 'uncertain' then 'email.uncertain'
      when e.state = 'pending' then 'email.deferred'
      when i.outcome in ('sent', 'partial') then 'email.sent'
      else 'email.failed'
    end,
    e.id, e.sequence,
    jsonb_strip_nulls(jsonb_build_object('status', e.state, 'attempt', e.attempt,
      'outcome', i.outcome, 'smtp_code', i.smtp_code, 'enhanced_code', i.enhanced_code,
      'transport', i.transport, 'region', i.region, 'next_attempt_at', e.next_attempt_at))
  from unnest(v_ids, v_owners, v_states, v_attempts, v_sequences, v_places, v_next)
    as e (id, owner_id, state, attempt, sequence, n, next_attempt_at)
  cross join lateral jsonb_to_record(v_items -> (e.n::integer - 1)) as i (outcome text,
    smtp_code smallint, enhanced_code text, transport text, region text);
  if v_has_stale then
    -- What a stale holder says of an attempt that is not recorded; counted: of an `exists` a plan
    -- may be made that reads all attempts into a hash first.
    insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
    select e.owner_id, v_actor, 'attempt.stale', e.id, null,
      jsonb_build_object('status', e.state, 'outcome', i.outcome)
    from jsonb_to_recordset(v_items) as i (id uuid, token bigint, outcome text)
    cross join lateral (select e.id, e.owner_id, e.state
      from mailer.emails e where e.id = i.id limit 1) e
    where 0 = (select count(*) from mailer.attempts a
      where a.email_id = i.id and a.claim_token = i.token);
  end if;
  return v_answer;
end
$$;

-- rewake_email: as 20261124000004_deliver.sql says, but what is due already waits for a
-- second, so that it does not go round and round where nobody can read it.
create or replace function mailer.rewake_email(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  update mailer.emails e set wake = e.wake + 1, queued_at = clock_timestamp(),
    queued_by = (v_args ->> 'queued_by')::uuid
  where e.id = (v_args ->> 'id')::uuid and e.wake = (v_args ->> 'wake')::integer
    and e.state = 'pending'
  returning * into v_email;
  return jsonb_build_object('wake', v_email.wake, 'delay_ms',
    greatest(mailer.ms_until(v_email.next_attempt_at, clock_timestamp()), 1000))::text;
end
$$;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000028"}';
