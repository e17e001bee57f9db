-- settle_attempts: the one write that ends an attempt.
--
-- args: [{ id, token, transport, region, outcome, next_state, retry_in_ms | null,
--          smtp_code | null, enhanced_code | null, reply | null, failure_group | null,
--          failure_domain | null, is_counted: false when the attempt counts against nothing, and
--          emails.attempts_before rises with it,
--          recipients: [{ position, status, smtp_code, enhanced_code, reply }] }]
-- answer: [{ applied: true, state, attempt, delay_ms | null: until the next attempt, null when
--            there is none }
--          | { applied: false, state | null }]
--
-- Guarantees: attempt row, recipients, state and journal in one transaction; only the holder
-- of the token; a second call with the same token changes nothing, and a stale holder's
-- leaves a journal entry. next_attempt_at is now + retry_in_ms by the database's clock.
-- failure_group and failure_domain are keyed fingerprints; an attempt that refused nobody leaves
-- those of an earlier one, except that an uncertain one has its own or none.
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
      region text, outcome text, next_state text,
      retry_in_ms bigint, is_counted boolean, smtp_code smallint, enhanced_code text, reply text,
      failure_group text, failure_domain text, recipients jsonb)) with ordinality
      as i (id, token, transport, region, outcome, next_state,
        retry_in_ms, is_counted, smtp_code, enhanced_code, reply, failure_group, failure_domain,
        recipients, n)
    left join lateral (select e.id, e.state, e.owner_id, e.worker_id, e.claimed_at, e.fenced_at,
        e.message_date, e.attempts, e.claim_token
      from mailer.emails e where e.id = i.id limit 1) e on true
  ),
  moved as (
    update mailer.emails e set
      state = i.next_state,
      attempts = e.attempts + 1,
      attempts_before = e.attempts_before + case when i.is_counted is false then 1 else 0 end,
      worker_id = null,
      fenced_at = null,
      -- Once an attempt was uncertain, every later one repeats its Date.
      message_date = case when i.outcome = 'uncertain' or (i.next_state = 'pending'
        and exists (select from mailer.attempts a
          where a.email_id = i.id and a.outcome = 'uncertain')) then e.message_date end,
      sent_at = case when i.outcome in ('sent', 'partial') then v_now else e.sent_at end,
      next_attempt_at = coalesce(i.retry_at, e.next_attempt_at),
      failure_group = case when i.outcome = 'uncertain' or i.failure_group is not null
        then i.failure_group else e.failure_group end,
      failure_domain = case when i.outcome = 'uncertain' or i.failure_group is not null
        then i.failure_domain else e.failure_domain end,
      -- One entry for the email, one more for every recipient that bounced now.
      sequence = e.sequence + 1 + i.bounced
    from item i
    where e.id = any (v_asked) and e.id = i.id and i.is_ours
    returning i.n, e.id, e.owner_id, e.state, e.attempts, e.sequence, e.next_attempt_at,
      case when e.state = 'pending' then mailer.ms_until(e.next_attempt_at, v_now) end
        as delay_ms
  ),
  recorded as (
    insert into mailer.attempts (email_id, number, owner_id, claim_token, worker_id, region,
      transport, started_at, fenced_at, message_date, ended_at, outcome, smtp_code,
      enhanced_code, reply, is_counted)
    select i.id, i.attempts + 1, i.owner_id, i.token, i.worker_id, i.region, i.transport,
      i.claimed_at, i.fenced_at, i.message_date, v_now, i.outcome, i.smtp_code,
      i.enhanced_code, i.reply, i.is_counted is not false
    from item i where i.is_ours
  )
  select json_agg(case when i.is_ours
      then json_build_object('applied', true, 'state', m.state, 'attempt', m.attempts, 'delay_ms', m.delay_ms)
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

call mailer.offer('settle_attempts', 'worker');
