-- Fewer and cheaper calls on the way of an email: one that is due at once can be claimed as it is
-- accepted, by the process that has it in its hands; what is called for every email is dispatched
-- without planning a statement for it.

-- As said before, but a function whose body is stable cannot be put in place where it is used
-- while it calls itself immutable: it was planned and run once for every email.
create or replace function mailer.ceil_ms(t timestamptz) returns timestamptz
language sql stable
return date_trunc('milliseconds', t + interval '999 microseconds');

-- An email starts as pending, or with its first claim.
create or replace function mailer.check_edge() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if tg_op = 'INSERT' then
    raise exception 'an email starts as pending or claimed, not as %', new.state
      using errcode = 'check_violation';
  end if;
  if (case old.state
    when 'pending' then new.state in ('sending', 'cancelled', 'expired', 'suppressed', 'held')
    when 'held' then new.state in ('pending', 'cancelled')
    when 'failed' then new.state = 'pending'
    when 'uncertain' then new.state = 'pending'
    when 'partially_sent' then new.state = 'pending'
    when 'sending' then new.state in ('pending', 'failed', 'partially_sent')
      or (old.fenced_at is not null and new.state in ('sent', 'uncertain'))
      or (old.fenced_at is null and new.state in ('cancelled', 'expired', 'suppressed', 'held'))
    else false
  end) then
    return new;
  end if;
  raise exception 'an email never goes from % (%) to %', old.state,
    case when old.fenced_at is null then 'not fenced' else 'fenced' end, new.state
    using errcode = 'check_violation';
end
$$;

drop trigger emails_start on mailer.emails;
create trigger emails_start before insert on mailer.emails
  for each row when (new.state <> 'pending' and not (new.state = 'sending'
    and new.claim_token = 1 and new.worker_id is not null and new.fenced_at is null))
  execute function mailer.check_edge();

-- refuse_requests: which requests store nothing, as { <place from 1>: answer }, and the keys of
-- the others are taken.
--
-- requests: [{ owner_id, idempotency: { path, key, fingerprint, response } | null,
--   quota: { per_day | null, pending | null } | null, emails: [{ id }] }]
-- answers: { kind: "replayed", response, created_at } | { kind: "reused" }
--   | { kind: "quota_exceeded", … }, as in 20261124000019_quotas.sql
create function mailer.refuse_requests(requests json, now_at timestamptz) returns jsonb
language plpgsql set search_path = '' set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_over jsonb := mailer.over_quota(requests, now_at);
  v_taken bigint[];
begin
  with request as materialized (
    select r ->> 'owner_id' as owner_id, r -> 'idempotency' ->> 'path' as path,
      r -> 'idempotency' ->> 'key' as key, r -> 'idempotency' as idempotency, n
    from json_array_elements(requests) with ordinality as q (r, n)
  ),
  first as materialized (
    select distinct on (owner_id, path, key) * from request
    where key is not null and not v_over ? n::text
    order by owner_id, path, key, n
  ),
  new_key as (
    insert into mailer.idempotency_keys (owner_id, path, key, created_at, fingerprint, response)
    select owner_id, path, key, now_at, idempotency ->> 'fingerprint',
      idempotency ->> 'response'
    from first
    order by owner_id, path, key
    on conflict do nothing
    returning owner_id, path, key
  )
  select array(select f.n from first f join new_key k using (owner_id, path, key))
    || array(select n from request where key is null)
  into v_taken;

  -- A statement of its own: it sees the keys that were just taken.
  return v_over || coalesce((
    select jsonb_object_agg(n, case when k.fingerprint = r -> 'idempotency' ->> 'fingerprint'
      then jsonb_build_object('kind', 'replayed', 'response', k.response,
        'created_at', k.created_at)
      else jsonb_build_object('kind', 'reused') end)
    from json_array_elements(requests) with ordinality as q (r, n)
    join mailer.idempotency_keys k on k.owner_id = r ->> 'owner_id'
      and k.path = r -> 'idempotency' ->> 'path' and k.key = r -> 'idempotency' ->> 'key'
    where not n = any (v_taken) and not v_over ? n::text
  ), '{}');
end
$$;

-- accept_emails: accepts whole requests; they are durable once it returns.
--
-- args, a line each:
--   1  { actor, worker_id | null, transport | null, region }   who claims, where an email says so
--   2  [{ owner_id, idempotency, quota, emails: [{ id }] }]    as refuse_requests takes them; []
--      when no request has a key or a quota
--   3  [{ request, id, owner_id, actor, origin | null, horizon_ms, queued_by, region,
--        scheduled_at | null, expires_at | null, max_lateness_seconds | null, on_late,
--        on_uncertain, max_retries, max_age_seconds, tags, metadata, wrapped_key, sender, subject,
--        message_bytes, message_line, details_line, is_claimed }]   request: its place from 1
--   4  [{ request, id, owner_id, position, kind, address, address_index }]
--   …  ciphertext of messages in base64, ciphertext of details; lines are counted from 1
-- answer: { refused: { <request>: answer of refuse_requests }, emails: [{ id, scheduled_at,
--   created_at, delay_ms | null, token | null }] }
--   delay_ms: null beyond the horizon, and when it is claimed; token: of the claim
--
-- Guarantees: everything of a request or nothing, in one transaction; the same ids again change
-- nothing; of two requests with one key a single one is stored; quotas hold, whoever accepts at
-- the same time. Claimed is only what is due; the claim is an entry of its own in the journal.
create function mailer.accept_emails(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_lines text[] := string_to_array(args, E'\n');
  v_head json := v_lines[1];
  v_worker uuid := v_head ->> 'worker_id';
  v_refused jsonb := '{}';
  v_skip integer[] := '{}';
  v_ids uuid[];
  v_owners text[];
  v_actors text[];
  v_origins text[];
  v_regions text[];
  v_due timestamptz[];
  v_delays bigint[];
  v_claimed boolean[];
  v_stored uuid[];
  v_is_new boolean;
  v_emails json;
begin
  if v_lines[2] <> '[]' then
    v_refused := mailer.refuse_requests(v_lines[2]::json, v_now);
    v_skip := array(select n::integer from jsonb_object_keys(v_refused) n);
  end if;

  with email as materialized (
    select e.*, coalesce(mailer.ceil_ms(e.scheduled_at), v_now) as due_at,
      e.is_claimed and coalesce(e.scheduled_at, v_now) <= v_now
        and coalesce(e.expires_at, 'infinity') > v_now as starts
    from json_to_recordset(v_lines[3]::json) as e (request integer, id uuid, owner_id text,
      actor text, origin text, horizon_ms bigint, queued_by uuid, region text,
      scheduled_at timestamptz, expires_at timestamptz, max_lateness_seconds integer,
      on_late text, on_uncertain text, max_retries smallint, max_age_seconds integer, tags jsonb,
      metadata jsonb, wrapped_key text, sender text, subject text, message_bytes integer,
      message_line integer, details_line integer, is_claimed boolean)
    where not e.request = any (v_skip)
  ),
  stored as (
    insert into mailer.emails (id, owner_id, region, created_at, scheduled_at,
      next_attempt_at, age_from, expires_at, max_lateness_seconds, on_late, on_uncertain,
      max_retries, max_age_seconds, tags, metadata, wrapped_key, sender, subject,
      message_bytes, state, claim_token, worker_id, claimed_at, sequence, queued_at, queued_by)
    select id, owner_id, region, v_now, due_at, due_at, due_at,
      coalesce(mailer.expiry_of(due_at, max_lateness_seconds), expires_at),
      max_lateness_seconds, on_late, on_uncertain, max_retries, max_age_seconds,
      array(select jsonb_array_elements_text(tags)), metadata, wrapped_key, sender, subject,
      message_bytes,
      case when starts then 'sending' else 'pending' end,
      case when starts then 1 else 0 end,
      case when starts then v_worker end,
      case when starts then v_now end,
      case when starts then 2 else 1 end,
      case when not starts and due_at <= v_now + horizon_ms * interval '1 ms'
        then clock_timestamp() end,
      case when not starts and due_at <= v_now + horizon_ms * interval '1 ms'
        then queued_by end
    from email
    order by id
    on conflict (id) do nothing
    returning id
  ),
  stored_contents as (
    insert into mailer.contents (email_id, owner_id, message, details)
    select id, owner_id, decode(v_lines[message_line], 'base64'), v_lines[details_line]
    from email
    on conflict do nothing
  ),
  stored_recipients as (
    insert into mailer.recipients (email_id, position, owner_id, kind, address, address_index)
    select r.id, r.position, r.owner_id, r.kind, r.address, r.address_index
    from json_to_recordset(v_lines[4]::json) as r (request integer, id uuid, owner_id text,
      position smallint, kind text, address text, address_index text)
    where not r.request = any (v_skip)
    on conflict do nothing
  )
  select array_agg(id), array_agg(owner_id), array_agg(actor), array_agg(origin),
    array_agg(region), array_agg(due_at), array_agg(starts),
    array_agg(case when not starts and due_at <= v_now + horizon_ms * interval '1 ms'
      then mailer.ms_until(due_at, v_now) end),
    (select array_agg(id) from stored)
  into v_ids, v_owners, v_actors, v_origins, v_regions, v_due, v_claimed, v_delays, v_stored
  from email;
  v_is_new := cardinality(v_stored) = cardinality(v_ids);

  if v_is_new then
    v_emails := (
      select json_agg(json_build_object('id', id, 'scheduled_at', due_at, 'created_at', v_now,
        'delay_ms', delay_ms, 'token', case when starts then 1 end))
      from unnest(v_ids, v_due, v_delays, v_claimed) as e (id, due_at, delay_ms, starts));
  else
    -- Some were here before: what is theirs counts, and a claim of ours that was not used yet.
    v_emails := (
      select json_agg(json_build_object('id', e.id, 'scheduled_at', e.scheduled_at,
        'created_at', e.created_at,
        'delay_ms', case when e.state = 'pending' and e.queued_at is not null
          then mailer.ms_until(e.next_attempt_at, v_now) end,
        'token', case when e.state = 'sending' and e.claim_token = 1 and e.fenced_at is null
          and e.worker_id = v_worker then 1 end))
      from unnest(v_ids) i (id) join mailer.emails e on e.id = i.id);
  end if;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select e.owner_id, case when s.claims then v_head ->> 'actor' else e.actor end,
    case when not s.claims then e.origin end,
    case when s.claims then 'email.sending' else 'email.scheduled' end, e.id, s.sequence,
    case when s.claims
      then jsonb_build_object('status', 'sending', 'attempt', 1,
        'transport', v_head -> 'transport', 'region', v_head -> 'region')
      else jsonb_build_object('status', 'pending', 'scheduled_at', e.due_at,
        'region', e.region) end
  from unnest(v_ids, v_owners, v_actors, v_origins, v_regions, v_due, v_claimed)
    as e (id, owner_id, actor, origin, region, due_at, starts)
  cross join (values (1, false), (2, true)) as s (sequence, claims)
  where (e.starts or not s.claims) and (v_is_new or e.id = any (v_stored))
  -- Ids, and with them positions, follow the sequence.
  order by s.sequence;

  return json_build_object('refused', v_refused, 'emails', coalesce(v_emails, '[]'::json));
end
$$;

revoke execute on function mailer.refuse_requests(json, timestamptz) from public;
revoke execute on function mailer.accept_emails(text) from public;
grant execute on function mailer.refuse_requests(json, timestamptz), mailer.accept_emails(text)
  to mailer_service;
insert into mailer.functions (name, roles) values ('accept_emails', array['accept']);

-- As in 20261124000024_index_plans.sql, but emails are found by the ids that were asked for and by
-- nothing else: whether one is being sent is asked in words that no index answers. That of all that
-- are being sent is small in every plan, and holds whatever was sent since the last vacuum: each
-- fence read thousands of its entries.
create or replace function mailer.fence_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_ids uuid[] := array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i);
  v_answer text;
begin
  perform 1 from mailer.emails e where e.id = any (v_ids) order by e.id for update;

  with item as (
    select i.id, i.token, i.message_date, i.n,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint,
      message_date timestamptz)) with ordinality as i (id, token, message_date, n)
  ),
  fenced as (
    update mailer.emails e set fenced_at = clock_timestamp(), message_date = i.message_date
    from item i
    where e.id = any (v_ids) and e.id = i.id and e.claim_token = i.token
      and e.state is not distinct from 'sending' and e.fenced_at is null
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

-- As in 20261124000020_tenancy.sql, but what is called for every email is named here: a statement
-- that is made for the call is parsed and planned each time.
create or replace function mailer_api.call_as(claims text, fn text, args text) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  v_role text := claims::json ->> 'role';
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
  if coalesce(claims::json ->> 'sub', '') = '' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'The claims name no sub.';
  end if;
  perform set_config('request.jwt.claims', claims, true);
  perform set_config('lock_timeout', '3s', true);
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

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000027"}';
