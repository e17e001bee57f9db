-- One way to the next hop. Emails are claimed in batches by the dispatchers (claim_due) and need no
-- job each, so that nothing about jobs is kept: no wake, no mark of what is queued, no marker of the
-- queue. A claim is nobody's business: until the fence an email is `pending` to everybody who reads
-- it, and may be changed, held or cancelled; whatever changes it revokes the claim.

alter table mailer.workers add column begun uuid[] not null default '{}';

-- cancel_email: as before, without what only jobs needed.
create or replace function mailer.cancel_email(args text) returns text
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
  if v_email.state = 'cancelled' then
    return '{"kind":"cancelled"}';
  end if;
  v_refusal := case
    when v_email.state in ('sent', 'partially_sent') then 'already_sent'
    when v_email.state = 'failed' then 'already_failed'
    when v_email.state = 'expired' then 'already_expired'
    when v_email.state = 'suppressed' then 'already_suppressed'
    when v_email.state = 'uncertain' then 'outcome_uncertain'
    when v_email.state = 'sending' and v_email.fenced_at is not null then 'in_flight'
    when exists (select from mailer.recipients r
      where r.email_id = v_email.id and r.status = 'sent') then 'already_sent'
    when exists (select from mailer.attempts a
      where a.email_id = v_email.id and a.outcome = 'uncertain') then 'outcome_uncertain'
  end;
  if v_refusal is not null then
    return jsonb_build_object('kind', v_refusal)::text;
  end if;

  update mailer.emails e set state = 'cancelled', version = e.version + 1, worker_id = null,
    sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.cancelled',
    v_email.id, v_email.sequence + 1, '{"status": "cancelled"}');
  return '{"kind":"cancelled"}';
end
$$;

-- cancel_emails: as before, without what only jobs needed.
create or replace function mailer.cancel_emails(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_ids uuid[] := array(select jsonb_array_elements_text(v_args -> 'ids')::uuid);
  v_rows jsonb;
begin
  v_ids := array(
    select e.id from mailer.emails e
    where e.id = any (v_ids) and mailer.may_see(e.owner_id)
    order by e.id for update);
  -- A statement of its own: it sees what was committed while the locks were waited for.
  execute format($sql$
    with moved as (
      update mailer.emails e set state = 'cancelled', version = e.version + 1,
        worker_id = null, sequence = e.sequence + 1
      where e.id = any ($1) and %s
      returning e.id, e.owner_id, e.sequence
    )
    select coalesce(jsonb_agg(to_jsonb(m) order by m.id), '[]') from moved m$sql$,
    mailer.cancellable_sql()) using v_ids into v_rows;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), v_args ->> 'origin', 'email.cancelled',
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'cancelled', 'bulk', v_args -> 'bulk')
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('cancelled', jsonb_array_length(v_rows))::text;
end
$$;

-- hold_email: as before, without what only jobs needed.
create or replace function mailer.hold_email(args text) returns text
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
  update mailer.emails e set state = 'held', version = e.version + 1, sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.held',
    v_email.id, v_email.sequence + 1, '{"status": "held", "reason": "by_person"}');
  return '{"kind":"held"}';
end
$$;

-- replay_emails: as before, without what only jobs needed.
create or replace function mailer.replay_emails(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_is_asked boolean := v_args ->> 'scheduled_at' is not null;
  v_ids uuid[];
  v_start timestamptz := coalesce((v_args ->> 'start')::timestamptz,
    mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz),
    date_trunc('milliseconds', clock_timestamp()));
  v_gap interval := coalesce(
    interval '60 s' / (v_args ->> 'rate_per_minute')::double precision, interval '0');
  v_first bigint := (v_args ->> 'first')::bigint;
  v_rows jsonb;
begin
  v_ids := array(
    select e.id from mailer.emails e
    where e.id = any (array(select jsonb_array_elements_text(v_args -> 'ids')::uuid))
      and e.state in ('failed', 'uncertain', 'held', 'partially_sent')
      and e.wrapped_key is not null
      and mailer.may_see(e.owner_id)
      and exists (select from mailer.recipients r where r.email_id = e.id
        and (r.status in ('pending', 'deferred') or r.status = 'bounced' and e.state <> 'held'))
    order by e.id for update);

  update mailer.recipients r set status = 'pending'
  from mailer.emails e
  where e.id = any (v_ids) and e.state <> 'held' and r.email_id = e.id
    and r.status in ('deferred', 'bounced');
  with placed as materialized (
    select q.id, q.state, case when q.state = 'held' and not v_is_asked
      then greatest(q.paced_at, q.next_attempt_at) else q.paced_at end as due_at
    from (select e.id, e.state, e.next_attempt_at, mailer.ceil_ms(v_start
        + v_gap * (v_first + row_number() over (order by e.id) - 1)) as paced_at
      from mailer.emails e where e.id = any (v_ids)) q
  ),
  moved as (
    update mailer.emails e set state = 'pending', version = e.version + 1, scheduled_at = case when v_is_asked then p.due_at else e.scheduled_at end,
      next_attempt_at = p.due_at,
      age_from = p.due_at,
      expires_at = coalesce(mailer.expiry_of(p.due_at, e.max_lateness_seconds),
        case when e.expires_at > p.due_at then e.expires_at end),
      attempts_before = case when p.state = 'held' then e.attempts_before else e.attempts end,
      crashes = 0,
      message_date = coalesce(e.message_date, (
        select a.message_date from mailer.attempts a
        where a.email_id = e.id and a.outcome = 'uncertain'
        order by a.number desc limit 1)),
      sequence = e.sequence + 1
    from placed p where e.id = p.id
    returning e.id, e.owner_id, e.sequence, p.state as old_state, p.due_at
  )
  select coalesce(jsonb_agg(to_jsonb(m) order by m.id), '[]') into v_rows from moved m;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), v_args ->> 'origin',
    mailer.replay_action(r ->> 'old_state'), (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'pending', 'from', r -> 'old_state',
      'scheduled_at', r -> 'due_at', 'bulk', v_args -> 'bulk')
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('replayed', jsonb_array_length(v_rows), 'start', v_start)::text;
end
$$;

-- shown_state: an email's state as readers are told it.
create function mailer.shown_state(state text, fenced_at timestamptz) returns text
language sql immutable
return case when state = 'sending' and fenced_at is null then 'pending' else state end;

-- Every change that a person makes raises the version. One made before the fence revokes the claim:
-- the worker's token is stale from then on, so the fence refuses and no message is sent as it was.
create function mailer.revoke_claim() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.claim_token := old.claim_token + 1;
  new.worker_id := null;
  if new.state = 'sending' then
    new.state := 'pending';
  end if;
  return new;
end
$$;

create trigger emails_revoke before update of version on mailer.emails
  for each row when (old.state = 'sending' and old.fenced_at is null
    and new.version is distinct from old.version)
  execute function mailer.revoke_claim();

revoke execute on function mailer.shown_state(text, timestamptz), mailer.revoke_claim() from public;
grant execute on function mailer.shown_state(text, timestamptz), mailer.revoke_claim()
  to mailer_owner, mailer_service;

-- change_refusal: as before, but a claim without a fence refuses nothing.
create or replace function mailer.change_refusal(v_email mailer.emails, is_content boolean) returns text
language sql stable
as $$
  select case
    when v_email.state = 'sending' and v_email.fenced_at is not null then 'in_flight'
    when v_email.state in ('sent', 'partially_sent') then 'already_sent'
    when v_email.state = 'uncertain' then 'outcome_uncertain'
    when v_email.state not in ('pending', 'held', 'sending') then 'already_' || v_email.state
    when is_content and exists (select from mailer.recipients r
      where r.email_id = v_email.id and r.status = 'sent') then 'already_sent'
    when is_content and exists (select from mailer.attempts a
      where a.email_id = v_email.id and a.outcome = 'uncertain') then 'outcome_uncertain'
  end
$$;

-- edit_row: as before, but an email that is claimed is pending.
create or replace function mailer.edit_row(v_email mailer.emails, v_change jsonb, v_lines text[])
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
      and mailer.shown_state(v_email.state, v_email.fenced_at) not in ('pending', 'held'))) then
    raise exception using errcode = 'TM001', message = 'invalid_content',
      detail = 'Nobody of these recipients is left to send to: each has got it or was refused.';
  end if;
end
$$;

-- email_json: as before, but with the state as readers are told it.
create or replace function mailer.email_json(e mailer.emails) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', e.id, 'owner_id', e.owner_id, 'status', mailer.shown_state(e.state, e.fenced_at),
    'version', e.version, 'region', e.region, 'created_at', e.created_at,
    'scheduled_at', e.scheduled_at,
    'next_attempt_at', case when mailer.shown_state(e.state, e.fenced_at) = 'pending'
      then e.next_attempt_at end,
    'sent_at', e.sent_at, 'expires_at', e.expires_at,
    'max_lateness_seconds', e.max_lateness_seconds, 'on_late', e.on_late,
    'on_uncertain', e.on_uncertain, 'max_retries', e.max_retries,
    'max_age_seconds', e.max_age_seconds, 'attempts_spent', e.attempts, 'tags', e.tags,
    'metadata', e.metadata, 'wrapped_key', e.wrapped_key, 'subject', e.subject,
    'message_date', e.message_date, 'message_bytes', e.message_bytes)
$$;

-- filter_sql: as before, but by the state as readers are told it.
create or replace function mailer.filter_sql(filter jsonb) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_where text := 'true';
begin
  if mailer.claim_role() not in ('admin', 'service') then
    v_where := v_where || format(' and e.owner_id = %L', mailer.claim_sub());
  end if;
  if filter -> 'statuses' <> 'null' then
    v_where := v_where || format(' and mailer.shown_state(e.state, e.fenced_at) = any (%L::text[])',
      array(select jsonb_array_elements_text(filter -> 'statuses')));
  end if;
  if (filter ->> 'is_deferred')::boolean then
    v_where := v_where || ' and mailer.shown_state(e.state, e.fenced_at) = ''pending''
      and e.attempts > e.attempts_before';
  end if;
  if filter ->> 'tag' is not null then
    v_where := v_where || format(' and %L = any (e.tags)', filter ->> 'tag');
  end if;
  if filter -> 'metadata' <> 'null' then
    v_where := v_where || (select coalesce(string_agg(
      format(' and e.metadata ->> %L = %L', key, value), ''), '')
      from jsonb_each_text(filter -> 'metadata'));
  end if;
  if filter ->> 'address_index' is not null then
    v_where := v_where || format(' and exists (select from mailer.recipients r
      where r.email_id = e.id and r.owner_id = e.owner_id and r.address_index = any (%L::text[]))',
      mailer.texts_of(filter -> 'address_index'));
  end if;
  if filter ->> 'scheduled_after' is not null then
    v_where := v_where || format(' and e.scheduled_at >= %L', filter ->> 'scheduled_after');
  end if;
  if filter ->> 'scheduled_before' is not null then
    v_where := v_where || format(' and e.scheduled_at < %L', filter ->> 'scheduled_before');
  end if;
  if filter -> 'ids' <> 'null' then
    v_where := v_where || format(' and e.id = any (%L::uuid[])',
      array(select jsonb_array_elements_text(filter -> 'ids')));
  end if;
  if filter ->> 'group' is not null then
    v_where := v_where || format(' and %s = %L', mailer.dead_group_sql(), filter ->> 'group');
  end if;
  if filter ->> 'smtp_code' is not null then
    v_where := v_where || format(' and exists (select from mailer.recipients r
      where r.email_id = e.id and r.status in (''bounced'', ''deferred'')
        and r.smtp_code = %L)', filter ->> 'smtp_code');
  end if;
  if filter ->> 'failure_domain' is not null then
    v_where := v_where || format(' and e.failure_domain = any (%L::text[])',
      mailer.texts_of(filter -> 'failure_domain'));
  end if;
  return v_where;
end
$$;

-- queue_stats: as before, but by the states as readers are told them.
create or replace function mailer.queue_stats(args text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_sub text := case when mailer.claim_role() = 'user' then mailer.claim_sub() end;
  v_by_status jsonb;
  v_waiting bigint;
  v_oldest timestamptz;
begin
  select coalesce(jsonb_object_agg(state, n), '{}') into v_by_status from (
    select mailer.shown_state(e.state, e.fenced_at) as state, count(*) as n from mailer.emails e
    where v_sub is null or e.owner_id = v_sub group by 1) s;
  select count(*) filter (where d.state = 'pending'), min(d.since) into v_waiting, v_oldest
  from (
    select e.state, e.next_attempt_at as since from mailer.emails e
    where e.state = 'pending' and e.next_attempt_at <= now()
      and e.next_attempt_at is distinct from e.returned_until
      and (v_sub is null or e.owner_id = v_sub)
    union all
    select e.state, e.due_since from mailer.emails e
    where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
      and e.due_since <= now() and (v_sub is null or e.owner_id = v_sub)) d;
  return jsonb_build_object('by_status', v_by_status, 'waiting', v_waiting,
    'delayed', coalesce((v_by_status ->> 'pending')::bigint, 0) - v_waiting,
    'oldest_due_ms', coalesce(mailer.ms_until(now(), v_oldest), 0))::text;
end
$$;

-- over_quota: as before, but what is claimed is pending still.
create or replace function mailer.over_quota(requests json, now_at timestamptz) returns jsonb
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
          where e.owner_id = v_owner and e.state in ('pending', 'sending')));
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

create or replace view mailer_api.emails with (security_invoker = true) as
  select e.id, case when e.state = 'sending' and e.fenced_at is null then 'pending'
      else e.state end as status, e.region, e.created_at, e.scheduled_at,
    case when e.state in ('pending', 'sending') then e.next_attempt_at end as next_attempt_at,
    e.sent_at, e.expires_at, e.attempts, e.tags, e.metadata, e.version
  from mailer.emails e;

do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'authenticated') then
    grant select (fenced_at) on mailer.emails to authenticated;
  end if;
end
$$;

-- change_email: as before, but an email that is claimed is pending, and its claim is revoked.
-- delay_ms: until it is due; null while it is held.
create or replace function mailer.change_email(args text) returns text
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
  perform mailer.edit_row(v_email, v_change, v_lines);
  update mailer.emails e set version = e.version + 1, sequence = e.sequence + 1,
    scheduled_at = case when v_moves then v_due else e.scheduled_at end,
    next_attempt_at = case when v_moves then v_due else e.next_attempt_at end,
    age_from = case when v_moves then v_due else e.age_from end,
    expires_at = coalesce(mailer.expiry_of(case when v_moves then v_due else e.age_from end,
      e.max_lateness_seconds), e.expires_at)
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
  return jsonb_build_object('kind', 'changed', 'delay_ms', case when v_email.state = 'pending'
    then mailer.ms_until(v_email.next_attempt_at, v_now) end)::text;
end
$$;

drop function mailer.replay_row(mailer.emails, timestamptz, boolean, boolean, bigint, uuid);

-- replay_row: as before, without what only jobs needed.
create function mailer.replay_row(v_email mailer.emails, v_due timestamptz,
  v_is_asked boolean, v_is_edited boolean)
returns mailer.emails
language plpgsql set search_path = ''
as $$
declare
  v_was_held boolean := v_email.state = 'held';
  v_row mailer.emails;
begin
  if v_email.wrapped_key is null then
    raise exception using errcode = 'TM001', message = 'not_found',
      detail = 'The content of this email was destroyed.';
  end if;
  if not exists (select from mailer.recipients r where r.email_id = v_email.id
    and (r.status in ('pending', 'deferred') or r.status = 'bounced' and not v_was_held)) then
    return null;
  end if;
  if not v_was_held then
    update mailer.recipients r set status = 'pending'
    where r.email_id = v_email.id and r.status in ('deferred', 'bounced');
  end if;
  update mailer.emails e set state = 'pending', version = e.version + 1, scheduled_at = case when v_is_asked then v_due else e.scheduled_at end,
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
    sequence = e.sequence + 1
  where e.id = v_email.id
  returning * into v_row;
  return v_row;
end
$$;

revoke execute on function mailer.replay_row(mailer.emails, timestamptz, boolean, boolean) from public;
grant execute on function mailer.replay_row(mailer.emails, timestamptz, boolean, boolean)
  to mailer_owner, mailer_service;

-- release_email: as before.
create or replace function mailer.release_email(args text) returns text
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
  v_row := mailer.replay_row(v_email, v_due, v_args ? 'scheduled_at', false);
  return mailer.replayed_answer(v_email, v_row, v_args, 'released');
end
$$;

-- replay_email: as before.
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
    v_args ->> 'scheduled_at' is not null, coalesce(v_change ? 'content', false));
  return mailer.replayed_answer(v_email, v_row, v_args, 'replayed');
end
$$;

-- replayed_answer: as before; delay_ms: until it is due.
create or replace function mailer.replayed_answer(v_before mailer.emails, v_after mailer.emails,
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
  return jsonb_build_object('kind', v_kind, 'delay_ms',
    mailer.ms_until(v_after.next_attempt_at, clock_timestamp()))::text;
end
$$;

-- accept_emails: as before, but a claim has no entry in the journal, and nothing that is paused is
-- claimed. args 3: no horizon_ms, no queued_by; answer delay_ms: until it is due, null when it is
-- claimed.
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
      message_bytes, state, claim_token, worker_id, claimed_at, sequence)
    select id, owner_id, region, v_now, due_at, due_at, due_at,
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

-- settle_attempts: as before; answer delay_ms: until the next attempt, null when there is none.
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

-- release_emails: as before, but the entry is claim.returned, and of a claim without a fence, which
-- nobody has heard of, it has no sequence. Answer delay_ms: until it is due.
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

  with item as (
    select i.*, mailer.ceil_ms(v_now + i.delay_ms * interval '1 ms') as again_at,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint, reason text,
      delay_ms bigint)) with ordinality
      as i (id, token, reason, delay_ms, n)
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
        'id', m.id, 'owner_id', m.owner_id, 'sequence', m.sequence,
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

-- return_claims: as before, but the entry is claim.returned.
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
    update mailer.emails e set state = 'pending', worker_id = null, isolated = false
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

-- list_claims: as before; args also { is_all }: every claim is listed.
create or replace function mailer.list_claims(args text) returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off
as $$
declare
  v_args jsonb := args;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_lost uuid[] := array(select l::uuid from jsonb_array_elements_text(v_args -> 'lost') l);
  v_now timestamptz := clock_timestamp();
  v_is_all boolean := coalesce((v_args ->> 'is_all')::boolean, false);
begin
  return (
    select coalesce(json_agg(json_build_object('id', c.id, 'token', c.claim_token,
      'is_fenced', c.fenced_at is not null)), '[]')::text
    from (
      select e.id, e.claim_token, e.fenced_at from mailer.emails e
      where e.worker_id = v_worker and e.state = 'sending'
        and (v_is_all or e.fenced_at is not null or e.id = any (v_lost)
          or e.claimed_at not between v_now - interval '1 second' and v_now + interval '10 seconds')
      limit 10000
    ) c
  );
end
$$;

-- fence_attempts: grants the right to send a message's body, once for each claim.
--
-- args [{ id, token, message_date, transport, region, waits }]; waits, of the first: wait for a row
--   that another transaction has locked, up to lock_timeout, instead of answering `locked`
-- answer, in their order: { granted: true }
--   | { granted: false, reason: cancelled | stale | paused | locked | fence_failed }
--
-- Guarantees: granted is only what is still claimed under this token, due by the clock here, not
-- too late, and not paused. From here on the email is `sending` to everybody: the entry
-- email.sending stands with the fence, and no change, hold or cancel is accepted any more. Emails
-- are found by the ids asked for and by nothing else.
create or replace function mailer.fence_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_asked uuid[] := array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i);
  v_held uuid[];
  v_has_pauses boolean := exists (select from mailer.pauses);
  v_answer text;
  v_ids uuid[];
  v_owners text[];
  v_sequences integer[];
  v_attempts integer[];
  v_places bigint[];
begin
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

-- take_over: as before, but a death is blamed on what had begun by the worker's last beat, or came
-- due since; on all that was due when nobody can be blamed. An email that workers died with six
-- times is held.
create or replace function mailer.take_over(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  -- Longer than a conversation before the fence may take, and its settle after it.
  c_longest constant interval := '15 minutes';
  -- Two deaths make a suspect; tried with 64 others, with 8, and twice alone it dies four times more.
  c_poison_from constant smallint := 6;
  -- Living is whose last beat is no further away, in whichever direction a clock was set.
  c_heard constant interval := '5 seconds';
  -- The reply timeout of a process whose row is gone: the longest that is usual.
  c_reply_timeout_ms constant integer := 600000;
  v_now timestamptz := clock_timestamp();
  v_me uuid := (v_args ->> 'worker_id')::uuid;
  v_region text := v_args ->> 'region';
  v_everything boolean := coalesce((v_args ->> 'everything')::boolean, false);
  v_dead uuid[];
  v_new uuid[];
  v_rows jsonb;
  v_orphans jsonb;
begin
  v_dead := case
    when v_everything then array(select w.id from mailer.workers w where w.id <> v_me)
    when v_args -> 'dead' is null then array(select w.id
      from mailer.dead_workers(v_me, v_region, (v_args ->> 'dead_after_ms')::bigint) w)
    else array(select w.id from mailer.workers w
      left join jsonb_to_recordset(v_args -> 'dead') as d (id uuid, beats bigint) on d.id = w.id
      where w.id <> v_me and (w.beats = d.beats or w.reaped_at is not null
        or (w.stopped_at is not null and w.region = v_region)))
    end;
  v_new := array(select w.id from mailer.workers w
    where w.id = any (v_dead) and w.reaped_at is null
      -- Asked again of a row that has changed meanwhile: one that beats now is not dead.
      and (v_everything or v_args -> 'dead' is null or w.stopped_at is not null
        or exists (select from jsonb_to_recordset(v_args -> 'dead') as d (id uuid, beats bigint)
          where d.id = w.id and d.beats = w.beats))
    order by w.id for update skip locked);
  if array_length(v_new, 1) is not null then
    update mailer.workers w set reaped_at = v_now where w.id = any (v_new);
  end if;

  with lost as (
    select e.id, e.worker_id, e.crashes, e.claimed_at, w.begun, w.beat_at,
      e.worker_id = any (v_dead) and w.id is not null and w.stopped_at is null as has_crashed
    from mailer.emails e
    left join lateral (select w.id, w.begun, w.beat_at, w.stopped_at, w.steady_since
      from mailer.workers w where w.id = e.worker_id limit 1) w on true
    where e.state = 'sending' and e.fenced_at is null
      and (e.worker_id = any (v_dead)
        -- A process that has just started may claim before its first beat has come through.
        or ((v_everything or e.claimed_at < v_now - interval '1 minute') and w.id is null)
        or (e.claimed_at < v_now - c_longest and w.beat_at between v_now - c_heard and v_now + c_heard
          and w.steady_since < v_now - c_longest))
    order by e.id limit 1000 for update of e skip locked
  ),
  -- Begun by the last beat, or due since: what only waited for its time killed nobody. claimed_at
  -- is never before an email's time.
  judged as (
    select l.id, l.crashes, l.worker_id, l.has_crashed and (l.id = any (l.begun)
      or l.claimed_at between l.beat_at - interval '1 second' and v_now) as is_blamed,
      l.has_crashed and l.claimed_at <= v_now as was_due
    from lost l
  ),
  blamed as (
    select j.id, (j.is_blamed or (j.was_due and not exists (select from judged o
      where o.worker_id = j.worker_id and o.is_blamed)))::integer as crash, j.crashes
    from judged j
  ),
  moved as (
    update mailer.emails e set state = case when b.crash = 1 and b.crashes + 1 >= c_poison_from
        then 'held' else 'pending' end,
      worker_id = null, isolated = false, crashes = e.crashes + b.crash,
      sequence = e.sequence + (b.crash = 1 and b.crashes + 1 >= c_poison_from)::integer
    from blamed b where e.id = b.id
    returning e.id, e.owner_id, e.sequence, e.state, e.crashes
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'token', e.claim_token,
    'attempt', e.attempts + 1, 'attempts_before', e.attempts_before,
    'max_retries', e.max_retries, 'max_age_seconds', e.max_age_seconds,
    'age_ms', mailer.ms_until(v_now, e.age_from), 'on_uncertain', e.on_uncertain,
    'region', e.region)), '[]')
  into v_orphans
  from mailer.emails e left join mailer.workers w on w.id = e.worker_id
  cross join lateral (select 1.2 * coalesce(w.reply_timeout_ms, c_reply_timeout_ms)
    * interval '1 ms' as longest) reply
  where e.state = 'sending' and e.fenced_at is not null
    and ((v_everything and (e.worker_id = any (v_dead) or w.id is null))
      or ((e.region = v_region or not exists (select from mailer.regions r
          where r.name = e.region and r.beat_at
            >= v_now - (v_args ->> 'silent_ms')::bigint * interval '1 ms'))
        and (((e.worker_id = any (v_dead) or w.id is null)
            -- The fence came before the death, also when the clock was set back in between.
            and least(e.fenced_at, w.reaped_at, w.stopped_at) < v_now - reply.longest)
          or (e.fenced_at < v_now - reply.longest - c_longest and w.settling = 0
            and w.beat_at between v_now - c_heard and v_now + c_heard
            and w.steady_since < v_now - reply.longest - c_longest))));

  -- Nobody needs the row of a process that is long gone and holds nothing.
  delete from mailer.workers w
  where w.id = any (v_dead) and w.beat_at < v_now - interval '1 day'
    and not exists (select from mailer.emails e
      where e.state = 'sending' and e.worker_id = w.id);

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(),
    case r ->> 'state' when 'held' then 'email.held' else 'claim.returned' end,
    (r ->> 'id')::uuid, case r ->> 'state' when 'held' then (r ->> 'sequence')::integer end,
    jsonb_build_object('status', r -> 'state', 'crashes', r -> 'crashes', 'reason',
      case r ->> 'state' when 'held' then 'poison' else 'worker_dead' end)
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object(
    'released', (select count(*) from jsonb_array_elements(v_rows) r
      where r ->> 'state' = 'pending'),
    'held', coalesce((select jsonb_agg(r -> 'id') from jsonb_array_elements(v_rows) r
      where r ->> 'state' = 'held'), '[]'),
    'crashed_workers', (select count(*) from mailer.workers w
      where w.id = any (v_new) and w.stopped_at is null), 'orphans', v_orphans)::text;
end
$$;

-- beat: as before. args also { begun: ids of emails whose content is decrypted or sent }; nothing is
-- said of due emails any more.
create or replace function mailer.beat(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  c_gap constant interval := '10 seconds';
  v_now timestamptz := clock_timestamp();
  v_id uuid := (v_args ->> 'worker_id')::uuid;
  v_region text := v_args ->> 'region';
  v_was_reaped boolean;
begin
  select w.reaped_at is not null into v_was_reaped from mailer.workers w where w.id = v_id;
  insert into mailer.workers as w (id, region, role, started_at, beat_at, reply_timeout_ms, beats,
    steady_since, settling)
  values (v_id, v_region, v_args ->> 'role', v_now, v_now,
    (v_args ->> 'reply_timeout_ms')::integer, 1, v_now,
    coalesce((v_args ->> 'settling')::integer, 0))
  on conflict (id) do update set beat_at = v_now, beats = w.beats + 1, reaped_at = null,
    stopped_at = null, settling = excluded.settling,
    begun = array(select jsonb_array_elements_text(v_args -> 'begun')::uuid),
    steady_since = case when v_now between w.beat_at and w.beat_at + c_gap
      then coalesce(w.steady_since, v_now) else v_now end;
  -- What lies ahead was written before the clock was set back: it would keep a dead region alive.
  update mailer.regions r set beat_at = v_now where r.beat_at > v_now + interval '1 second';
  insert into mailer.regions as r (name, beat_at) values (v_region, v_now)
  on conflict (name) do update set beat_at = v_now
    where r.beat_at < v_now - interval '500 ms'
      and coalesce((v_args ->> 'can_send')::boolean, v_args ->> 'role' <> 'api');
  return jsonb_build_object('now', v_now, 'was_reaped', coalesce(v_was_reaped, false),
    'has_dead', exists (select from mailer.dead_workers(v_id, v_region,
      coalesce((v_args ->> 'dead_after_ms')::bigint, 5000)) w where w.reaped_at is null),
    'others', coalesce((select jsonb_agg(jsonb_build_object('id', w.id, 'region', w.region,
        'beats', w.beats, 'is_stopped', w.stopped_at is not null))
      from mailer.workers w where w.id <> v_id and w.reaped_at is null), '[]'))::text;
end
$$;

-- call_as: as before, but claim_due is what is called for every batch.
create or replace function mailer_api.call_as(claims text, fn text, args text) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  v_claims json := claims;
  v_role text := v_claims ->> 'role';
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
  if coalesce(v_claims ->> 'sub', '') = '' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'The claims name no sub.';
  end if;
  perform set_config('request.jwt.claims', claims, true);
  perform set_config('lock_timeout', coalesce(v_claims ->> 'lock_timeout_ms', '3000'), true);
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  if current_setting('DateStyle') <> 'ISO, MDY' then
    perform set_config('DateStyle', 'ISO, MDY', true);
  end if;
  if current_setting('IntervalStyle') <> 'postgres' then
    perform set_config('IntervalStyle', 'postgres', true);
  end if;
  if current_setting('TimeZone') <> 'UTC' then
    perform set_config('TimeZone', 'UTC', true);
  end if;
  if v_role = 'user' then
    return mailer.run_as_owner(fn, args);
  elsif fn = 'accept_emails' then
    return mailer.accept_emails(args);
  elsif fn = 'claim_due' then
    return mailer.claim_due(args);
  elsif fn = 'fence_attempts' then
    return mailer.fence_attempts(args);
  elsif fn = 'settle_attempts' then
    return mailer.settle_attempts(args);
  end if;
  execute format('select mailer.%I($1)', fn) using args into v_answer;
  return v_answer;
end
$$;

drop index mailer.emails_unqueued;
drop function mailer.schedule_emails(text), mailer.claim_emails(text), mailer.rewake_email(text),
  mailer.queue_due(text), mailer.unqueue(text), mailer.set_queue_marker(text),
  mailer.overdue_emails(text), mailer.adopt_emails(text), mailer.due_emails(text);
delete from mailer.functions f where f.name in ('schedule_emails', 'claim_emails', 'rewake_email',
  'queue_due', 'unqueue', 'set_queue_marker', 'overdue_emails', 'adopt_emails', 'due_emails');
alter table mailer.emails drop column wake, drop column queued_at, drop column queued_by,
  drop column crashes_alone;
alter table mailer.regions drop column marker, drop column marker_at, drop column is_swept;

create or replace function mailer.reset_crashes() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.crashes := 0;
  new.isolated := false;
  return new;
end
$$;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000038"}';
