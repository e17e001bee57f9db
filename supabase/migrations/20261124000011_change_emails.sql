-- Changing an email that exists: edit, reschedule, hold, release, replay; and max_lateness.
--
-- All of it runs under the caller's claims: as mailer_owner for a user, who then reaches the
-- rows of its own sub only, and as mailer_service for an admin.

-- expires_at follows the due time when this is set: so many seconds after it.
alter table mailer.emails add column max_lateness_seconds integer
  check (max_lateness_seconds > 0);

-- What an edit writes beside mailer.emails. A user's claims reach the content and the
-- recipients of its own emails, and never make a recipient of somebody else's.
grant update (message, details) on mailer.contents to mailer_owner;
grant insert, delete on mailer.recipients to mailer_owner;
grant delete on mailer.recipients to mailer_service;
create policy of_own_email on mailer.recipients as restrictive for insert to mailer_owner
  with check (exists (select from mailer.emails e
    where e.id = recipients.email_id and e.owner_id = recipients.owner_id));

-- When an email that is due at `due` is too late; null without max_lateness. PostgreSQL counts
-- further than year 9999, where our times end.
create function mailer.expiry_of(due timestamptz, max_lateness_seconds integer)
returns timestamptz
language sql stable
as $$
  select case when max_lateness_seconds is not null then least(
    due + max_lateness_seconds * interval '1 second',
    timestamptz '9999-12-31 23:59:59.999+00') end
$$;

-- replay_row: sends one email again to those who have not got it, or releases it when it is
-- held. For the functions that do so; not to be called through call_as.
--
-- v_email     the row, locked, in state failed, uncertain, partially_sent or held
-- v_due       when, in whole milliseconds
-- v_is_asked  v_due is what a person asked for and becomes scheduled_at; else that stays
-- v_is_edited the content was edited; else an attempt that was uncertain is repeated to the
--             byte, its Date included
-- answer: the row as it is now, or a row of nulls when nobody is left to send to; then
-- nothing was changed. The caller writes the journal: action mailer.replay_action, sequence of
-- the answer.
--
-- Guarantees: attempts stay in the record; after a replay max_retries and max_age count anew;
-- a person's word lifts an expires_at that would have passed by v_due, and max_lateness counts
-- from v_due; a worker's crashes are forgiven.
create function mailer.replay_row(v_email mailer.emails, v_due timestamptz,
  v_is_asked boolean, v_is_edited boolean, v_horizon_ms bigint, v_queued_by uuid)
returns mailer.emails
language plpgsql
as $$
declare
  v_was_held boolean := v_email.state = 'held';
  v_is_near boolean := v_due <= clock_timestamp() + v_horizon_ms * interval '1 ms';
  v_row mailer.emails;
begin
  if not exists (select from mailer.recipients r where r.email_id = v_email.id
    and (r.status in ('pending', 'deferred') or r.status = 'bounced' and not v_was_held)) then
    return null;
  end if;
  if not v_was_held then
    update mailer.recipients r set status = 'pending'
    where r.email_id = v_email.id and r.status in ('deferred', 'bounced');
  end if;
  update mailer.emails e set state = 'pending', version = e.version + 1, wake = e.wake + 1,
    scheduled_at = case when v_is_asked then v_due else e.scheduled_at end,
    next_attempt_at = v_due,
    age_from = v_due,
    expires_at = coalesce(mailer.expiry_of(v_due, e.max_lateness_seconds),
      case when e.expires_at > v_due then e.expires_at end),
    attempts_before = case when v_was_held then e.attempts_before else e.attempts end,
    crashes = 0,
    message_date = case when not v_is_edited then coalesce(e.message_date, (
      select a.message_date from mailer.attempts a
      where a.email_id = e.id and a.outcome = 'uncertain'
      order by a.number desc limit 1)) end,
    queued_at = case when v_is_near then clock_timestamp() end,
    queued_by = case when v_is_near then v_queued_by end,
    sequence = e.sequence + 1
  where e.id = v_email.id
  returning * into v_row;
  return v_row;
end
$$;

-- What the journal calls it when replay_row takes an email out of this state.
create function mailer.replay_action(from_state text) returns text
language sql immutable
as $$ select case from_state when 'held' then 'email.released' else 'email.replayed' end $$;

revoke execute on function mailer.expiry_of(timestamptz, integer),
  mailer.replay_row(mailer.emails, timestamptz, boolean, boolean, bigint, uuid),
  mailer.replay_action(text) from public;
grant execute on function mailer.expiry_of(timestamptz, integer),
  mailer.replay_row(mailer.emails, timestamptz, boolean, boolean, bigint, uuid),
  mailer.replay_action(text) to mailer_owner, mailer_service;

-- Why an email cannot be changed, as the code of a 409; null: it can. is_content: what is sent,
-- or to whom, would change, which is too late once somebody has it or may have it.
create function mailer.change_refusal(v_email mailer.emails, is_content boolean) returns text
language sql stable
as $$
  select case
    when v_email.state = 'sending' then 'in_flight'
    when v_email.state in ('sent', 'partially_sent') then 'already_sent'
    when v_email.state = 'uncertain' then 'outcome_uncertain'
    when v_email.state not in ('pending', 'held') then 'already_' || v_email.state
    when is_content and exists (select from mailer.recipients r
      where r.email_id = v_email.id and r.status = 'sent') then 'already_sent'
    when is_content and exists (select from mailer.attempts a
      where a.email_id = v_email.id and a.outcome = 'uncertain') then 'outcome_uncertain'
  end
$$;

-- edit_row: writes the fields of an edit but for scheduled_at. For the functions that change an
-- email; not to be called through call_as.
--
-- v_change, each only when it changes: { max_retries, max_age_seconds, on_uncertain, tags,
--   metadata, lateness: { expires_at | null, max_lateness_seconds | null, on_late },
--   content: { sender, subject, message_bytes, message_line, details_line },
--   recipients: [{ position, kind, address, address_index, is_new }] }
-- v_lines: ciphertext of message and details, as with schedule_emails.
--
-- Guarantees: recipients that are not named any more go, but for those who have got it; who is
-- named and not new keeps what is known of it. Raises invalid_content when nobody is left to
-- send to.
create function mailer.edit_row(v_email mailer.emails, v_change jsonb, v_lines text[])
returns void
language plpgsql
as $$
declare
  v_late jsonb := v_change -> 'lateness';
  v_content jsonb := v_change -> 'content';
  v_named jsonb := v_change -> 'recipients';
begin
  update mailer.emails e set
    max_retries = coalesce((v_change ->> 'max_retries')::smallint, e.max_retries),
    max_age_seconds = coalesce((v_change ->> 'max_age_seconds')::integer, e.max_age_seconds),
    on_uncertain = coalesce(v_change ->> 'on_uncertain', e.on_uncertain),
    on_late = coalesce(v_late ->> 'on_late', e.on_late),
    max_lateness_seconds = case when v_late is null then e.max_lateness_seconds
      else (v_late ->> 'max_lateness_seconds')::integer end,
    expires_at = case when v_late is null then e.expires_at
      else (v_late ->> 'expires_at')::timestamptz end,
    tags = case when v_change ? 'tags'
      then array(select jsonb_array_elements_text(v_change -> 'tags')) else e.tags end,
    metadata = coalesce(v_change -> 'metadata', e.metadata),
    sender = coalesce(v_content ->> 'sender', e.sender),
    subject = coalesce(v_content ->> 'subject', e.subject),
    message_bytes = coalesce((v_content ->> 'message_bytes')::integer, e.message_bytes)
  where e.id = v_email.id;
  if v_content is not null then
    update mailer.contents c set
      message = decode(v_lines[(v_content ->> 'message_line')::integer], 'base64'),
      details = v_lines[(v_content ->> 'details_line')::integer]
    where c.email_id = v_email.id;
  end if;
  if v_named is null then
    return;
  end if;

  delete from mailer.recipients r
  where r.email_id = v_email.id and r.status <> 'sent' and not exists (
    select from jsonb_to_recordset(v_named) as n (position smallint, is_new boolean)
    where n.position = r.position and not n.is_new);
  update mailer.recipients r set kind = n.kind, address = n.address,
    address_index = n.address_index
  from jsonb_to_recordset(v_named) as n (position smallint, kind text, address text,
    address_index text, is_new boolean)
  where r.email_id = v_email.id and r.position = n.position and not n.is_new
    and r.status <> 'sent';
  insert into mailer.recipients (email_id, position, owner_id, kind, address, address_index)
  select v_email.id, n.position, v_email.owner_id, n.kind, n.address, n.address_index
  from jsonb_to_recordset(v_named) as n (position smallint, kind text, address text,
    address_index text, is_new boolean)
  where n.is_new;
  if not exists (select from mailer.recipients r where r.email_id = v_email.id
    and (r.status in ('pending', 'deferred') or r.status = 'bounced'
      and v_email.state not in ('pending', 'held'))) then
    raise exception using errcode = 'TM001', message = 'invalid_content',
      detail = 'Nobody of these recipients is left to send to: each has got it or was refused.';
  end if;
end
$$;

-- change_email: edits an email that is pending or held.
--
-- args: { id, origin, horizon_ms, queued_by, version, attempts, wrapped_key (all as they were
--         read), fields: [names for the journal], is_probe,
--         change: edit_row's, and scheduled_at | null (null: now) when that changes }
--   and behind it the lines of edit_row.
-- answer: { kind: "changed", wake, delay_ms | null } (null: nothing to be queued)
--   | { kind: "conflict" }    changed since it was read, or only probed: read it again
--   | { kind: "not_found" } | { kind: <error code of a 409> }
--
-- Guarantees: one compare-and-set; nothing of an email is changed that is being sent, and
-- nothing of its content once somebody has it or may have it; nothing encrypted or indexed under
-- a key that was replaced meanwhile is stored. is_probe changes nothing.
create function mailer.change_email(args text) returns text
language plpgsql
as $$
declare
  v_head integer := strpos(args || E'\n', E'\n');
  v_args jsonb := left(args, v_head - 1);
  v_lines text[] := string_to_array(substr(args, v_head + 1), E'\n');
  v_change jsonb := v_args -> 'change';
  v_moves boolean := v_change ? 'scheduled_at';
  v_is_content boolean := v_change ? 'content' or v_change ? 'recipients';
  v_email mailer.emails;
  v_now timestamptz;
  v_due timestamptz;
  v_is_near boolean;
  v_refusal text;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  v_refusal := mailer.change_refusal(v_email, v_is_content);
  if v_refusal is not null then
    return jsonb_build_object('kind', v_refusal)::text;
  end if;
  if (v_args ->> 'is_probe')::boolean or v_email.version <> (v_args ->> 'version')::integer
    or v_is_content and v_email.attempts <> (v_args ->> 'attempts')::smallint
    or v_email.wrapped_key is distinct from v_args ->> 'wrapped_key' then
    return '{"kind":"conflict"}';
  end if;

  v_now := date_trunc('milliseconds', clock_timestamp());
  v_due := coalesce(mailer.ceil_ms((v_change ->> 'scheduled_at')::timestamptz), v_now);
  v_is_near := v_moves and v_email.state = 'pending'
    and v_due <= v_now + (v_args ->> 'horizon_ms')::bigint * interval '1 ms';
  perform mailer.edit_row(v_email, v_change, v_lines);
  update mailer.emails e set version = e.version + 1, sequence = e.sequence + 1,
    wake = e.wake + v_moves::integer,
    scheduled_at = case when v_moves then v_due else e.scheduled_at end,
    next_attempt_at = case when v_moves then v_due else e.next_attempt_at end,
    age_from = case when v_moves then v_due else e.age_from end,
    expires_at = coalesce(mailer.expiry_of(case when v_moves then v_due else e.age_from end,
      e.max_lateness_seconds), e.expires_at),
    queued_at = case when v_is_near then clock_timestamp()
      when not v_moves then e.queued_at end,
    queued_by = case when v_is_near then (v_args ->> 'queued_by')::uuid
      when not v_moves then e.queued_by end
  where e.id = v_email.id
  returning * into v_email;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin',
    case when v_is_content or v_change ?| array['tags', 'metadata']
      then 'email.updated' else 'email.rescheduled' end,
    v_email.id, v_email.sequence,
    jsonb_build_object('status', v_email.state, 'fields', v_args -> 'fields',
      'scheduled_at', v_email.scheduled_at, 'version', v_email.version));
  return jsonb_build_object('kind', 'changed', 'wake', v_email.wake,
    'delay_ms', case when v_is_near then mailer.ms_until(v_due, v_now) end)::text;
end
$$;

-- hold_email: stops a pending email until a person releases it. args { id, origin };
-- answer { kind: "held" } (also when it already was) | { kind: "not_found" }
--   | { kind: <error code of a 409> }.
create function mailer.hold_email(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
  v_refusal text;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  v_refusal := mailer.change_refusal(v_email, false);
  if v_refusal is not null or v_email.state = 'held' then
    return jsonb_build_object('kind', coalesce(v_refusal, 'held'))::text;
  end if;
  update mailer.emails e set state = 'held', version = e.version + 1, wake = e.wake + 1,
    queued_at = null, queued_by = null, sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.held',
    v_email.id, v_email.sequence + 1, '{"status": "held", "reason": "by_person"}');
  return '{"kind":"held"}';
end
$$;

-- release_email: lets a held email go.
-- args { id, origin, horizon_ms, queued_by, and scheduled_at | null (null: now) when a time was
--        asked for; without it: when it was due anyway, or now when that has passed };
-- answer { kind: "released", wake, delay_ms | null } | { kind: "not_found" }
--   | { kind: "not_held", state }.
create function mailer.release_email(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
  v_row mailer.emails;
  v_now timestamptz;
  v_due timestamptz;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state <> 'held' then
    return jsonb_build_object('kind', 'not_held', 'state', v_email.state)::text;
  end if;
  v_now := date_trunc('milliseconds', clock_timestamp());
  v_due := case when v_args ? 'scheduled_at'
    then coalesce(mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz), v_now)
    else greatest(v_email.next_attempt_at, v_now) end;
  v_row := mailer.replay_row(v_email, v_due, v_args ? 'scheduled_at', false,
    (v_args ->> 'horizon_ms')::bigint, (v_args ->> 'queued_by')::uuid);
  return mailer.replayed_answer(v_email, v_row, v_args, 'released');
end
$$;

-- replay_email: a person sends a dead letter again, to those who have not got it; one that is
-- held is released.
-- args { id, origin, horizon_ms, queued_by, scheduled_at | null (now), and for an edit what
--        change_email takes: version, attempts, wrapped_key, fields, change }, and behind it
--        its lines;
-- answer { kind: "replayed", wake, delay_ms | null } | { kind: "not_found" }
--   | { kind: "not_a_dead_letter", state } | { kind: "conflict" }.
-- Guarantees those of replay_row; the edit and the replay happen together or not at all.
create or replace function mailer.replay_email(args text) returns text
language plpgsql
as $$
declare
  v_head integer := strpos(args || E'\n', E'\n');
  v_args jsonb := left(args, v_head - 1);
  v_lines text[] := string_to_array(substr(args, v_head + 1), E'\n');
  v_change jsonb := v_args -> 'change';
  v_email mailer.emails;
  v_row mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state not in ('failed', 'uncertain', 'partially_sent', 'held') then
    return jsonb_build_object('kind', 'not_a_dead_letter', 'state', v_email.state)::text;
  end if;
  if v_change is not null then
    if v_email.version <> (v_args ->> 'version')::integer
      or v_email.attempts <> (v_args ->> 'attempts')::smallint
      or v_email.wrapped_key is distinct from v_args ->> 'wrapped_key' then
      return '{"kind":"conflict"}';
    end if;
    perform mailer.edit_row(v_email, v_change, v_lines);
  end if;
  v_row := mailer.replay_row(v_email,
    coalesce(mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz),
      date_trunc('milliseconds', clock_timestamp())),
    v_args ->> 'scheduled_at' is not null, coalesce(v_change ? 'content', false),
    (v_args ->> 'horizon_ms')::bigint, (v_args ->> 'queued_by')::uuid);
  return mailer.replayed_answer(v_email, v_row, v_args, 'replayed');
end
$$;

-- Writes the journal for a replay_row of one email, and answers { kind, wake, delay_ms }. Raises
-- invalid_content, which undoes an edit as well, when nobody was left to send to.
create function mailer.replayed_answer(v_before mailer.emails, v_after mailer.emails,
  v_args jsonb, v_kind text) returns text
language plpgsql
as $$
begin
  if v_after.id is null then
    raise exception using errcode = 'TM001', message = 'invalid_content',
      detail = 'Nobody is left to send to: each recipient has got it or was refused.';
  end if;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_after.owner_id, mailer.claim_sub(), v_args ->> 'origin',
    mailer.replay_action(v_before.state), v_after.id, v_after.sequence,
    jsonb_strip_nulls(jsonb_build_object('status', 'pending', 'from', v_before.state,
      'scheduled_at', v_after.next_attempt_at,
      'fields', nullif(v_args -> 'fields', '[]'))));
  return jsonb_build_object('kind', v_kind, 'wake', v_after.wake,
    'delay_ms', case when v_after.queued_at is not null
      then mailer.ms_until(v_after.next_attempt_at, clock_timestamp()) end)::text;
end
$$;

revoke execute on function mailer.change_refusal(mailer.emails, boolean),
  mailer.edit_row(mailer.emails, jsonb, text[]),
  mailer.replayed_answer(mailer.emails, mailer.emails, jsonb, text),
  mailer.change_email(text), mailer.hold_email(text), mailer.release_email(text) from public;
grant execute on function mailer.change_refusal(mailer.emails, boolean),
  mailer.edit_row(mailer.emails, jsonb, text[]),
  mailer.replayed_answer(mailer.emails, mailer.emails, jsonb, text),
  mailer.change_email(text), mailer.hold_email(text), mailer.release_email(text)
  to mailer_owner, mailer_service;

insert into mailer.functions (name, roles) values
  ('change_email', array['user', 'admin']),
  ('hold_email', array['user', 'admin']),
  ('release_email', array['user', 'admin']);

-- Reading and accepting, as before but with max_lateness_seconds.

create or replace function mailer.email_json(e mailer.emails) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', e.id, 'owner_id', e.owner_id, 'status', e.state,
    'version', e.version, 'region', e.region, 'created_at', e.created_at,
    'scheduled_at', e.scheduled_at,
    'next_attempt_at', case when e.state = 'pending' then e.next_attempt_at end,
    'sent_at', e.sent_at, 'expires_at', e.expires_at,
    'max_lateness_seconds', e.max_lateness_seconds, 'on_late', e.on_late,
    'on_uncertain', e.on_uncertain, 'max_retries', e.max_retries,
    'max_age_seconds', e.max_age_seconds, 'attempts_spent', e.attempts, 'tags', e.tags,
    'metadata', e.metadata, 'wrapped_key', e.wrapped_key, 'subject', e.subject,
    'message_date', e.message_date, 'message_bytes', e.message_bytes)
$$;

-- schedule_emails: accepts whole requests; they are durable once it returns.
--
-- args: [{ owner_id, actor, origin | null, horizon_ms, queued_by,
--          idempotency: { path, key, fingerprint, response } | null,
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
--
-- Guarantees: everything or nothing, in one transaction; the same ids again change nothing;
-- of two requests with one key a single one is stored.
create or replace function mailer.schedule_emails(args text) returns text
language plpgsql
as $$
declare
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_head integer := strpos(args || E'\n', E'\n');
  v_json json := left(args, v_head - 1);
  v_lines text[] := string_to_array(substr(args, v_head + 1), E'\n');
  v_stored uuid[];
  v_requests jsonb;
  v_answer text;
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
    where key is not null and turn = 1
    order by owner_id, path, key
    on conflict do nothing
    returning owner_id, path, key
  ),
  accepted as materialized (
    select r.* from request r
    where r.key is null or (r.turn = 1 and exists (select from new_key k
      where k.owner_id = r.owner_id and k.path = r.path and k.key = r.key))
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
