-- A worker audits itself: what the database says that it has claimed and its memory does not hold
-- is found within seconds, whatever lost it: an answer that never came, a commit that came after
-- its deadline, a fault of the program.

-- list_claims: claims of a worker that its memory should hold by now.
--
-- args { worker_id, lost: [id] }; answer [{ id, token, is_fenced }], at most 10,000
--
-- Named are fenced claims; of the others those claimed over a second ago, and those of `lost`, the
-- emails whose claim had no answer. What is claimed ahead of its time says that time as the moment
-- of its claim, and is not looked at before; 10 s are more than the furthest ahead, so a claim
-- that seems later than that was made before the clock was set back.
create function mailer.list_claims(args text) returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off
as $$
declare
  v_args jsonb := args;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_lost uuid[] := array(select l::uuid from jsonb_array_elements_text(v_args -> 'lost') l);
  v_now timestamptz := clock_timestamp();
begin
  return (
    select coalesce(json_agg(json_build_object('id', c.id, 'token', c.claim_token,
      'is_fenced', c.fenced_at is not null)), '[]')::text
    from (
      select e.id, e.claim_token, e.fenced_at from mailer.emails e
      where e.worker_id = v_worker and e.state = 'sending'
        and (e.fenced_at is not null or e.id = any (v_lost)
          or e.claimed_at not between v_now - interval '1 second' and v_now + interval '10 seconds')
      limit 10000
    ) c
  );
end
$$;

-- return_claims: ends claims of a worker that nobody in it holds.
--
-- args { worker_id, items: [{ id, token }] }
-- answer { returned: [{ id, wake, owner_id, delay_ms }], orphans: [{ id, token, attempt,
--          attempts_before, max_retries, max_age_seconds, age_ms, on_uncertain, region }] }
--
-- Guarantees: only claims of that worker under that token. One that is not fenced is pending again,
-- no attempt spent, queued by the caller; a fenced one stays as it is and is named as an orphan,
-- for the caller to settle as uncertain: nobody will ever answer for it. A row that another
-- transaction has locked is left as it is and in no answer; the next look finds it again.
create function mailer.return_claims(args text) returns text
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
    update mailer.emails e set state = 'pending', worker_id = null, wake = e.wake + 1,
      queued_at = v_now, queued_by = v_worker, isolated = false, sequence = e.sequence + 1
    from jsonb_to_recordset(v_args -> 'items') as i (id uuid, token bigint)
    where e.id = any (v_held) and e.id = i.id and e.claim_token = i.token
      and e.worker_id = v_worker and e.state is not distinct from 'sending'
      and e.fenced_at is null
    returning e.id, e.owner_id, e.sequence, e.wake,
      mailer.ms_until(e.next_attempt_at, v_now) as delay_ms
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'pending', 'reason', 'claim_lost')
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('orphans', v_orphans, 'returned', (
    select coalesce(jsonb_agg(r - 'sequence'), '[]') from jsonb_array_elements(v_rows) r))::text;
end
$$;

revoke execute on function mailer.list_claims(text), mailer.return_claims(text) from public;
grant execute on function mailer.list_claims(text), mailer.return_claims(text) to mailer_service;
insert into mailer.functions (name, roles) values
  ('list_claims', array['worker']),
  ('return_claims', array['worker']);

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000032"}';
