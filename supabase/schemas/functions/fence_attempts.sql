-- fence_attempts: grants the right to send a message's body, once for each claim.
--
-- args [{ id, token, message_date, transport, region, waits }]; waits, of the first: wait for a row
--   that another transaction has locked, up to lock_timeout, instead of answering `locked`
-- answer, in their order: { granted: true }
--   | { granted: false, reason: cancelled | stale | paused | locked | fence_failed }
--
-- Guarantees: granted is only what is still claimed under this token, due by the clock here, not
-- too late, and not paused. An email not due yet, or too late by now, is answered `fence_failed`,
-- given back by the caller, and the next claim says what becomes of it. From here on the email is
-- `sending` to everybody: the entry email.sending stands with the fence, and no change, hold or
-- cancel is accepted any more.
--
-- Emails are found by the ids that were asked for and by nothing else: whether one is being sent is
-- asked in words that no index answers. The index of all that are being sent is small in every
-- plan, and holds whatever was sent since the last vacuum: each fence read thousands of its
-- entries.
create or replace function mailer.fence_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_asked uuid[] := array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i);
  v_held uuid[];
  v_has_pauses boolean;
  v_answer text;
  v_ids uuid[];
  v_owners text[];
  v_sequences integer[];
  v_attempts integer[];
  v_places bigint[];
begin
  -- Until the commit: a pause that returned was seen here, and one that is being made waits for this.
  perform pg_advisory_xact_lock_shared(7382640006);
  v_has_pauses := exists (select from mailer.pauses);
  if coalesce((v_items -> 0 ->> 'waits')::boolean, false) then
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_asked) order by e.id for update);
  else
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_asked) order by e.id for update skip locked);
  end if;

  with item as (
    select i.id, i.token, i.message_date, i.n,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint,
      message_date timestamptz)) with ordinality as i (id, token, message_date, n)
  ),
  fenced as (
    update mailer.emails e set fenced_at = clock_timestamp(), message_date = i.message_date,
      sequence = e.sequence + 1
    from item i
    where e.id = any (v_held) and e.id = i.id and e.claim_token = i.token
      and e.state is not distinct from 'sending' and e.fenced_at is null and i.turn = 1
      and e.next_attempt_at <= clock_timestamp()
      and (e.on_late = 'send' or e.expires_at is null or e.expires_at >= clock_timestamp())
      and not (v_has_pauses and mailer.is_paused(e.region, e.owner_id))
    returning i.n, e.id, e.owner_id, e.sequence, e.attempts + 1 as attempt
  )
  select json_agg(case
      when f.id is not null then json_build_object('granted', true)
      when e.id is not null and not i.id = any (v_held)
        then json_build_object('granted', false, 'reason', 'locked')
      when e.state = 'cancelled' then json_build_object('granted', false, 'reason', 'cancelled')
      when e.state = 'sending' and e.claim_token = i.token and e.fenced_at is null and i.turn = 1
        then json_build_object('granted', false, 'reason', case
          when v_has_pauses and mailer.is_paused(e.region, e.owner_id) then 'paused'
          else 'fence_failed' end)
      else json_build_object('granted', false, 'reason', 'stale')
    end order by i.n)::text,
    array_agg(f.id) filter (where f.id is not null),
    array_agg(f.owner_id) filter (where f.id is not null),
    array_agg(f.sequence) filter (where f.id is not null),
    array_agg(f.attempt) filter (where f.id is not null),
    array_agg(f.n) filter (where f.id is not null)
  into v_answer, v_ids, v_owners, v_sequences, v_attempts, v_places
  from item i
  left join fenced f on f.n = i.n
  left join lateral (select e.id, e.state, e.claim_token, e.fenced_at, e.region, e.owner_id
    from mailer.emails e where e.id = i.id limit 1) e on true;

  if v_ids is not null then
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
    select f.owner_id, mailer.claim_sub(), 'email.sending', f.id, f.sequence,
      jsonb_build_object('status', 'sending', 'attempt', f.attempt,
        'transport', v_items -> (f.n::integer - 1) -> 'transport',
        'region', v_items -> (f.n::integer - 1) -> 'region')
    from unnest(v_ids, v_owners, v_sequences, v_attempts, v_places)
      as f (id, owner_id, sequence, attempt, n);
  end if;
  return v_answer;
end
$$;

call mailer.offer('fence_attempts', 'worker');
