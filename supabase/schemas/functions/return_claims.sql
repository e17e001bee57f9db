-- return_claims: ends claims of a worker that nobody in it holds.
--
-- args { worker_id, items: [{ id, token }] }
-- answer { returned: [{ id, owner_id, delay_ms }], orphans: [{ id, token, attempt,
--          attempts_before, max_retries, max_age_seconds, age_ms, on_uncertain, region }] }
--
-- Guarantees: only claims of that worker under that token. One that is not fenced is pending again,
-- no attempt spent, and its entry is claim.returned; a fenced one stays as it is and is named as an
-- orphan, for the caller to settle as uncertain: nobody will ever answer for it. A row that another
-- transaction has locked is left as it is and in no answer; the next look finds it again.
create or replace function mailer.return_claims(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_ids uuid[] := array(
    select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i);
  v_held uuid[];
  v_now timestamptz;
  v_rows jsonb;
  v_orphans jsonb;
begin
  v_held := array(select e.id from mailer.emails e
    where e.id = any (v_ids) order by e.id for update skip locked);
  v_now := clock_timestamp();

  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'token', e.claim_token,
    'attempt', e.attempts + 1, 'attempts_before', e.attempts_before,
    'max_retries', e.max_retries, 'max_age_seconds', e.max_age_seconds,
    'age_ms', mailer.ms_until(v_now, e.age_from), 'on_uncertain', e.on_uncertain,
    'region', e.region)), '[]')
  into v_orphans
  from jsonb_to_recordset(v_args -> 'items') as i (id uuid, token bigint)
  cross join lateral (select * from mailer.emails e where e.id = i.id limit 1) e
  where e.id = any (v_held) and e.claim_token = i.token and e.worker_id = v_worker
    and e.state is not distinct from 'sending' and e.fenced_at is not null;

  with moved as (
    update mailer.emails e set state = 'pending', worker_id = null
    from jsonb_to_recordset(v_args -> 'items') as i (id uuid, token bigint)
    where e.id = any (v_held) and e.id = i.id and e.claim_token = i.token
      and e.worker_id = v_worker and e.state is not distinct from 'sending'
      and e.fenced_at is null
    returning e.id, e.owner_id,
      mailer.ms_until(e.next_attempt_at, v_now) as delay_ms
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), 'claim.returned', (r ->> 'id')::uuid, null,
    jsonb_build_object('status', 'pending', 'reason', 'claim_lost')
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('orphans', v_orphans, 'returned', (
    select coalesce(jsonb_agg(r), '[]') from jsonb_array_elements(v_rows) r))::text;
end
$$;

call mailer.offer('return_claims', 'worker');
