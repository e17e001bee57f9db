-- release_emails: returns claimed emails, no attempt spent.
--
-- args: [{ id, token, reason, delay_ms }]
-- answer: [{ applied: true, delay_ms: until it is due } | { applied: false }]
--
-- Guarantees: only the holder of the token; the caller vouches that no body was sent. Due again
-- after delay_ms, never earlier than it was. An email that has to wait goes on being due, except
-- for a domain's own back-off (`destination_backed_off`), which is that mail's retry. The entry is
-- claim.returned; that of a claim without a fence, which nobody has heard of, has no sequence.
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

call mailer.offer('release_emails', 'worker');
