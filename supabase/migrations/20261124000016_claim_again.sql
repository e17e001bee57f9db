-- A claim that committed and whose answer was lost must not keep its email: asked again, it is
-- granted again. Until now the email stayed with a living worker that did not know of it.

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
      else jsonb_build_object('status', r ->> 'kind')
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
