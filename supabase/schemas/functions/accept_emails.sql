-- accept_emails: accepts whole requests; they are durable once it returns.
--
-- args, a line each:
--   1  { actor, worker_id | null, transport | null, region }   who claims, where an email says so
--   2  [{ owner_id, idempotency, quota, emails: [{ id }] }]    as refuse_requests takes them; []
--      when no request has a key or a quota
--   3  [{ request, id, owner_id, actor, origin | null, region, scheduled_at | null,
--        wall_clock | null, expires_at | null, max_lateness_seconds | null, on_late, on_uncertain, max_retries,
--        max_age_seconds, tags, metadata, wrapped_key, sender, subject, message_bytes,
--        message_line, details_line, is_claimed }]   request: its place from 1
--   4  [{ request, id, owner_id, position, kind, address, address_index }]
--   …  ciphertext of messages in base64, ciphertext of details; lines are counted from 1
-- answer: { refused: { <request>: answer of refuse_requests }, emails: [{ id, scheduled_at,
--   created_at, delay_ms | null, token | null }] }
--   delay_ms: until it is due, null when it is claimed; token: of the claim
--
-- Guarantees: everything of a request or nothing, in one transaction; the same ids again change
-- nothing; of two requests with one key a single one is stored; quotas hold, whoever accepts at
-- the same time. Claimed is only what is due and not paused; a claim has no entry in the journal.
create or replace function mailer.accept_emails(args text) returns text
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
  -- Nothing is claimed for a region or an owner whose sending is paused.
  v_has_pauses boolean := exists (select from mailer.pauses);
  v_emails json;
begin
  if v_lines[2] <> '[]' then
    v_refused := mailer.refuse_requests(v_lines[2]::json, v_now);
    v_skip := array(select n::integer from jsonb_object_keys(v_refused) n);
  end if;

  with email as materialized (
    select e.*, coalesce(mailer.ceil_ms(e.scheduled_at), v_now) as due_at,
      e.is_claimed and coalesce(e.scheduled_at, v_now) <= v_now
        and coalesce(e.expires_at, 'infinity') > v_now
        and not (v_has_pauses and mailer.is_paused(e.region, e.owner_id)) as starts
    from json_to_recordset(v_lines[3]::json) as e (request integer, id uuid, owner_id text,
      actor text, origin text, region text,
      scheduled_at timestamptz, wall_clock jsonb, expires_at timestamptz, max_lateness_seconds integer,
      on_late text, on_uncertain text, max_retries smallint, max_age_seconds integer, tags jsonb,
      metadata jsonb, wrapped_key text, sender text, subject text, message_bytes integer,
      message_line integer, details_line integer, is_claimed boolean)
    where not e.request = any (v_skip)
  ),
  stored as (
    insert into mailer.emails (id, owner_id, region, created_at, scheduled_at, wall_clock,
      next_attempt_at, age_from, expires_at, max_lateness_seconds, on_late, on_uncertain,
      max_retries, max_age_seconds, tags, metadata, wrapped_key, sender, subject,
      message_bytes, state, claim_token, worker_id, claimed_at, sequence)
    select id, owner_id, region, v_now, due_at, wall_clock, due_at, due_at,
      coalesce(mailer.expiry_of(due_at, max_lateness_seconds), expires_at),
      max_lateness_seconds, on_late, on_uncertain, max_retries, max_age_seconds,
      array(select jsonb_array_elements_text(tags)), metadata, wrapped_key, sender, subject,
      message_bytes,
      case when starts then 'sending' else 'pending' end,
      case when starts then 1 else 0 end,
      case when starts then v_worker end,
      case when starts then v_now end,
      1
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
    array_agg(case when not starts then mailer.ms_until(due_at, v_now) end),
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
        'delay_ms', case when e.state = 'pending'
          then mailer.ms_until(e.next_attempt_at, v_now) end,
        'token', case when e.state = 'sending' and e.claim_token = 1 and e.fenced_at is null
          and e.worker_id = v_worker then 1 end))
      from unnest(v_ids) i (id) join mailer.emails e on e.id = i.id);
  end if;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select e.owner_id, e.actor, e.origin, 'email.scheduled', e.id, 1,
    jsonb_build_object('status', 'pending', 'scheduled_at', e.due_at, 'region', e.region)
  from unnest(v_ids, v_owners, v_actors, v_origins, v_regions, v_due)
    as e (id, owner_id, actor, origin, region, due_at)
  where v_is_new or e.id = any (v_stored);

  return json_build_object('refused', v_refused, 'emails', coalesce(v_emails, '[]'::json));
end
$$;

call mailer.offer('accept_emails', 'accept');
