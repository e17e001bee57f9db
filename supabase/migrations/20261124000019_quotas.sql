-- Quotas of an owner: emails accepted in a day, and emails that are pending.

create index emails_pending_of_owner on mailer.emails (owner_id) where state = 'pending';

-- over_quota: which of schedule_emails' requests would take their owner over a quota, as
-- { <place from 1>: answer }. Only where a request names a quota anything is locked or counted:
-- then one commit of that owner at a time, so that what is counted stays true until it is stored.
create function mailer.over_quota(requests json, now_at timestamptz) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_today timestamptz := date_trunc('day', now_at, 'UTC');
  v_over jsonb := '{}';
  v_owner text;
  v_request record;
  v_today_count bigint;
  v_pending_count bigint;
  v_new integer;
begin
  for v_owner in
    select distinct r ->> 'owner_id' from json_array_elements(requests) r
    where json_typeof(r -> 'quota') = 'object' order by 1
  loop
    perform pg_advisory_xact_lock(hashtextextended(v_owner, 7382640003));
    v_today_count := null;
    v_pending_count := null;
    for v_request in
      select n, r, (r -> 'quota' ->> 'per_day')::bigint as per_day,
        (r -> 'quota' ->> 'pending')::bigint as pending
      from json_array_elements(requests) with ordinality as q (r, n)
      where r ->> 'owner_id' = v_owner order by n
    loop
      -- One that was answered before is answered again, whatever the quota.
      continue when exists (select from mailer.idempotency_keys k where k.owner_id = v_owner
        and k.path = v_request.r -> 'idempotency' ->> 'path'
        and k.key = v_request.r -> 'idempotency' ->> 'key')
        or exists (select from mailer.emails e
          where e.id = (v_request.r -> 'emails' -> 0 ->> 'id')::uuid);
      v_new := json_array_length(v_request.r -> 'emails');
      if v_request.per_day is not null then
        v_today_count := coalesce(v_today_count, (select count(*) from mailer.emails e
          where e.owner_id = v_owner and e.created_at >= v_today));
        if v_today_count + v_new > v_request.per_day then
          v_over := v_over || jsonb_build_object(v_request.n::text, jsonb_build_object(
            'kind', 'quota_exceeded', 'quota', 'per_day', 'used', v_today_count,
            'resets_in_seconds', ceil(extract(epoch from v_today + interval '1 day' - now_at))));
          continue;
        end if;
      end if;
      if v_request.pending is not null then
        v_pending_count := coalesce(v_pending_count, (select count(*) from mailer.emails e
          where e.owner_id = v_owner and e.state = 'pending'));
        if v_pending_count + v_new > v_request.pending then
          v_over := v_over || jsonb_build_object(v_request.n::text, jsonb_build_object(
            'kind', 'quota_exceeded', 'quota', 'pending', 'used', v_pending_count,
            'resets_in_seconds', null));
          continue;
        end if;
      end if;
      v_today_count := v_today_count + v_new;
      v_pending_count := v_pending_count + v_new;
    end loop;
  end loop;
  return v_over;
end
$$;

revoke execute on function mailer.over_quota(json, timestamptz) from public;
grant execute on function mailer.over_quota(json, timestamptz) to mailer_service;

-- schedule_emails: accepts whole requests; they are durable once it returns.
--
-- args: [{ owner_id, actor, origin | null, horizon_ms, queued_by,
--          idempotency: { path, key, fingerprint, response } | null,
--          quota: { per_day | null, pending | null } | null,
--          emails: [{ id, region, scheduled_at | null, expires_at | null,
--            max_lateness_seconds | null, on_late, on_uncertain, max_retries, max_age_seconds, tags, metadata, wrapped_key, sender,
--            subject, message_bytes, message_line, details_line,
--            recipients: [{ position, kind, address, address_index }] }] }]
--   and behind it, each on a line of its own and counted from 1, the large texts: ciphertext of
--   messages in base64, ciphertext of details. (Inside the JSON they would be parsed several
--   times over: 34 MB took 14 s that way.)
-- answer, one per request, in order:
--   { kind: "accepted", emails: [{ id, scheduled_at, created_at, wake, delay_ms | null }] }
--     (delay_ms null: beyond the horizon, not to be queued now)
--   { kind: "replayed", response, created_at }   a known key with the same body
--   { kind: "reused" }                           a known key with another body
--   { kind: "quota_exceeded", quota: "per_day" | "pending", used, resets_in_seconds | null }
--
-- Guarantees: everything or nothing, in one transaction; the same ids again change nothing;
-- of two requests with one key a single one is stored. No owner has more emails of one day (UTC)
-- or more pending ones than their quota, whoever accepts at the same time; a request that is
-- repeated is none that is new.
create or replace function mailer.schedule_emails(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_head integer := strpos(args || E'\n', E'\n');
  v_json json := left(args, v_head - 1);
  v_lines text[] := string_to_array(substr(args, v_head + 1), E'\n');
  v_stored uuid[];
  v_requests jsonb;
  v_answer text;
  -- What is refused, by the place of its request.
  v_over jsonb := mailer.over_quota(v_json, v_now);
begin
  with request as materialized (
    select r.*, r.idempotency ->> 'path' as path, r.idempotency ->> 'key' as key,
      row_number() over (
        partition by r.owner_id, r.idempotency ->> 'path', r.idempotency ->> 'key' order by r.n
      ) as turn
    from rows from (json_to_recordset(v_json) as (owner_id text, actor text, origin text,
      horizon_ms bigint, queued_by uuid, idempotency json, emails json)) with ordinality
      as r (owner_id, actor, origin, horizon_ms, queued_by, idempotency, emails, n)
  ),
  new_key as (
    insert into mailer.idempotency_keys (owner_id, path, key, created_at, fingerprint, response)
    select owner_id, path, key, v_now, idempotency ->> 'fingerprint', idempotency ->> 'response'
    from request
    where key is not null and turn = 1 and not v_over ? n::text
    order by owner_id, path, key
    on conflict do nothing
    returning owner_id, path, key
  ),
  accepted as materialized (
    select r.* from request r
    where not v_over ? r.n::text and (r.key is null or (r.turn = 1 and exists (
      select from new_key k
      where k.owner_id = r.owner_id and k.path = r.path and k.key = r.key)))
  ),
  email as materialized (
    select a.n, a.owner_id, a.horizon_ms, a.queued_by, e.*,
      coalesce(mailer.ceil_ms(e.asked_at), v_now) as due_at
    from accepted a, rows from (json_to_recordset(a.emails) as (id uuid, region text,
      scheduled_at timestamptz, expires_at timestamptz, max_lateness_seconds integer,
      on_late text, on_uncertain text,
      max_retries smallint, max_age_seconds integer, tags jsonb, metadata jsonb,
      wrapped_key text, sender text, subject text, message_bytes integer,
      message_line integer, details_line integer, recipients json)) with ordinality
      as e (id, region, asked_at, expires_at, max_lateness_seconds, on_late, on_uncertain,
        max_retries,
        max_age_seconds, tags, metadata, wrapped_key, sender, subject, message_bytes,
        message_line, details_line, recipients, place)
  ),
  stored as (
    insert into mailer.emails (id, owner_id, region, created_at, scheduled_at,
      next_attempt_at, age_from, expires_at, max_lateness_seconds, on_late, on_uncertain,
      max_retries, max_age_seconds, tags, metadata, wrapped_key, sender, subject, message_bytes, sequence,
      queued_at, queued_by)
    select id, owner_id, region, v_now, due_at, due_at, due_at,
      coalesce(mailer.expiry_of(due_at, max_lateness_seconds), expires_at),
      max_lateness_seconds, on_late, on_uncertain, max_retries, max_age_seconds,
      array(select jsonb_array_elements_text(tags)), metadata, wrapped_key, sender, subject,
      message_bytes, 1,
      case when due_at <= v_now + horizon_ms * interval '1 ms' then clock_timestamp() end,
      case when due_at <= v_now + horizon_ms * interval '1 ms' then queued_by end
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
    select e.id, r.position, e.owner_id, r.kind, r.address, r.address_index
    from email e, json_to_recordset(e.recipients)
      as r (position smallint, kind text, address text, address_index text)
    on conflict do nothing
  )
  select
    coalesce((select array_agg(id) from stored), '{}'),
    coalesce((select jsonb_agg(jsonb_build_object('n', r.n, 'owner_id', r.owner_id,
      'actor', r.actor, 'origin', r.origin, 'path', r.path, 'key', r.key,
      'fingerprint', r.idempotency ->> 'fingerprint',
      'ids', (select jsonb_agg(e.id order by e.place) from email e where e.n = r.n))
      order by r.n) from request r), '[]')
  into v_stored, v_requests;

  select coalesce(json_agg(case
      when v_over ? (r ->> 'n') then (v_over -> (r ->> 'n'))::json
      when jsonb_typeof(r -> 'ids') = 'array' then json_build_object('kind', 'accepted',
        'emails', (
          select json_agg(json_build_object('id', e.id, 'scheduled_at', e.scheduled_at,
            'created_at', e.created_at, 'wake', e.wake,
            'delay_ms', case when e.queued_at is not null
              then mailer.ms_until(e.next_attempt_at, v_now) end) order by i.place)
          from jsonb_array_elements_text(r -> 'ids') with ordinality as i (id, place)
          join mailer.emails e on e.id = i.id::uuid))
      when k.fingerprint = r ->> 'fingerprint' then json_build_object('kind', 'replayed',
        'response', k.response, 'created_at', k.created_at)
      else json_build_object('kind', 'reused')
    end order by n), '[]')::text
  into v_answer
  from jsonb_array_elements(v_requests) with ordinality as q (r, n)
  left join mailer.idempotency_keys k
    on k.owner_id = r ->> 'owner_id' and k.path = r ->> 'path' and k.key = r ->> 'key';

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select e.owner_id, r ->> 'actor', r ->> 'origin', 'email.scheduled', e.id, 1,
    jsonb_build_object('status', 'pending', 'scheduled_at', e.scheduled_at, 'region', e.region)
  from jsonb_array_elements(v_requests) as r
  cross join lateral jsonb_array_elements_text(r -> 'ids') as i (id)
  join mailer.emails e on e.id = i.id::uuid
  where e.id = any (v_stored) and jsonb_typeof(r -> 'ids') = 'array';

  return v_answer;
end
$$;
