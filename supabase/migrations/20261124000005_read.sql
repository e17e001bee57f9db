-- What callers may ask and change. These run as mailer_owner for a user, who then sees the
-- rows of the claims' sub only, and as mailer_service for an admin or the program; each
-- checks the claims itself as well.

-- True when the claims may see rows of this owner.
create function mailer.may_see(owner_id text) returns boolean
language sql stable
as $$ select mailer.claim_role() in ('admin', 'service') or owner_id = mailer.claim_sub() $$;

create function mailer.recipients_json(id uuid) returns json
language sql stable
as $$
  select coalesce(json_agg(json_build_object('position', r.position, 'kind', r.kind,
    'address', r.address, 'status', r.status, 'smtp_code', r.smtp_code,
    'enhanced_code', r.enhanced_code, 'reply', r.reply) order by r.position), '[]')
  from mailer.recipients r where r.email_id = id
$$;

create function mailer.attempts_json(id uuid) returns json
language sql stable
as $$
  select coalesce(json_agg(json_build_object('number', a.number, 'started_at', a.started_at,
    'ended_at', a.ended_at, 'outcome', a.outcome, 'smtp_code', a.smtp_code,
    'enhanced_code', a.enhanced_code, 'reply', a.reply, 'transport', a.transport,
    'region', a.region, 'message_date', a.message_date) order by a.number), '[]')
  from mailer.attempts a where a.email_id = id
$$;

create function mailer.email_json(e mailer.emails) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', e.id, 'owner_id', e.owner_id, 'status', e.state,
    'version', e.version, 'region', e.region, 'created_at', e.created_at,
    'scheduled_at', e.scheduled_at,
    'next_attempt_at', case when e.state = 'pending' then e.next_attempt_at end,
    'sent_at', e.sent_at, 'expires_at', e.expires_at, 'on_late', e.on_late,
    'on_uncertain', e.on_uncertain, 'max_retries', e.max_retries,
    'max_age_seconds', e.max_age_seconds, 'attempts_spent', e.attempts, 'tags', e.tags,
    'metadata', e.metadata, 'wrapped_key', e.wrapped_key, 'subject', e.subject,
    'message_date', e.message_date, 'message_bytes', e.message_bytes)
$$;

-- get_email: args { id, details: bool, message: bool };
-- answer: the email with recipients and attempts, details (ciphertext) and message (base64 of
-- ciphertext) when asked for; null when there is none the claims may see.
create function mailer.get_email(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return 'null';
  end if;
  return (mailer.email_json(v_email) || jsonb_build_object(
    'recipients', mailer.recipients_json(v_email.id),
    'attempts', mailer.attempts_json(v_email.id),
    'details', case when (v_args ->> 'details')::boolean then (
      select c.details from mailer.contents c where c.email_id = v_email.id) end,
    'message', case when (v_args ->> 'message')::boolean then (
      select encode(c.message, 'base64') from mailer.contents c
      where c.email_id = v_email.id) end))::text;
end
$$;

-- list_emails: newest first by creation.
-- args: { statuses: [] | null, is_deferred, tag, metadata: {} | null, address_index,
--         scheduled_after, scheduled_before, limit, offset | null,
--         cursor: { created_at, id } | null, with_attempts }
-- answer: { emails: [...], total | null, next: { created_at, id } | null }
-- (total only with offset; created_at of a cursor is text with microseconds).
create function mailer.list_emails(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_where text := 'true';
  v_total bigint;
  v_emails mailer.emails[];
  v_limit integer := (v_args ->> 'limit')::integer;
  v_last mailer.emails;
  v_has_more boolean;
begin
  if mailer.claim_role() not in ('admin', 'service') then
    v_where := v_where || format(' and e.owner_id = %L', mailer.claim_sub());
  end if;
  if v_args -> 'statuses' <> 'null' then
    v_where := v_where || format(' and e.state = any (%L::text[])',
      array(select jsonb_array_elements_text(v_args -> 'statuses')));
  end if;
  if (v_args ->> 'is_deferred')::boolean then
    v_where := v_where || ' and e.state = ''pending'' and e.attempts > e.attempts_before';
  end if;
  if v_args ->> 'tag' is not null then
    v_where := v_where || format(' and %L = any (e.tags)', v_args ->> 'tag');
  end if;
  if v_args -> 'metadata' <> 'null' then
    v_where := v_where || (select coalesce(string_agg(
      format(' and e.metadata ->> %L = %L', key, value), ''), '')
      from jsonb_each_text(v_args -> 'metadata'));
  end if;
  if v_args ->> 'address_index' is not null then
    v_where := v_where || format(' and exists (select from mailer.recipients r
      where r.email_id = e.id and r.owner_id = e.owner_id and r.address_index = %L)',
      v_args ->> 'address_index');
  end if;
  if v_args ->> 'scheduled_after' is not null then
    v_where := v_where || format(' and e.scheduled_at >= %L', v_args ->> 'scheduled_after');
  end if;
  if v_args ->> 'scheduled_before' is not null then
    v_where := v_where || format(' and e.scheduled_at < %L', v_args ->> 'scheduled_before');
  end if;

  if v_args ->> 'offset' is not null then
    execute 'select count(*) from mailer.emails e where ' || v_where into v_total;
  end if;
  if v_args -> 'cursor' <> 'null' then
    v_where := v_where || format(' and (e.created_at, e.id) < (%L::timestamptz, %L::uuid)',
      v_args -> 'cursor' ->> 'created_at', v_args -> 'cursor' ->> 'id');
  end if;
  -- One more than asked for tells whether there is a next page.
  execute format('select array(select e from mailer.emails e where %s
    order by e.created_at desc, e.id desc limit %s offset %s)', v_where, v_limit + 1,
    coalesce((v_args ->> 'offset')::integer, 0)) into v_emails;
  v_has_more := coalesce(array_length(v_emails, 1), 0) > v_limit;
  v_emails := v_emails[1:v_limit];
  v_last := v_emails[array_length(v_emails, 1)];

  return jsonb_build_object(
    'emails', (
      select coalesce(jsonb_agg(mailer.email_json(q.email) || jsonb_build_object(
        'recipients', mailer.recipients_json((q.email).id),
        'attempts', case when (v_args ->> 'with_attempts')::boolean
          then mailer.attempts_json((q.email).id) end) order by n), '[]')
      from generate_subscripts(v_emails, 1) n
      cross join lateral (select v_emails[n] as email) q),
    'total', v_total,
    'next', case when v_has_more then jsonb_build_object(
      'created_at', v_last.created_at::text, 'id', v_last.id) end)::text;
end
$$;

-- email_events: the timeline of one email. args { id };
-- answer: [{ sequence, at, actor, action, detail }] in order, null when there is no such email.
create function mailer.email_events(args text) returns text
language plpgsql stable
as $$
declare
  v_id uuid := (args::jsonb ->> 'id')::uuid;
  v_owner text;
begin
  select e.owner_id into v_owner from mailer.emails e where e.id = v_id;
  if v_owner is null or not mailer.may_see(v_owner) then
    return 'null';
  end if;
  return (
    select coalesce(json_agg(json_build_object('sequence', j.sequence, 'at', j.at,
      'actor', j.actor, 'action', j.action, 'detail', j.detail) order by j.sequence), '[]')
    from mailer.journal j where j.email_id = v_id and j.sequence is not null)::text;
end
$$;

-- cancel_email: one compare-and-set, possible until the fence.
-- args { id, origin }; answer { kind: "cancelled" } (also when it already was)
--   | { kind: "not_found" } | { kind: <error code of a 409> }.
-- Guarantees: after "cancelled" nothing of it will be sent. Hence the refusals where a part
-- of it was, or may have been, sent already.
create function mailer.cancel_email(args text) returns text
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
    wake = e.wake + 1, queued_at = null, queued_by = null, sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.cancelled',
    v_email.id, v_email.sequence + 1, '{"status": "cancelled"}');
  return '{"kind":"cancelled"}';
end
$$;

-- replay_email: a person sends a dead letter again, to those who have not got it.
-- args { id, scheduled_at | null, origin, horizon_ms, queued_by };
-- answer { kind: "replayed", wake, delay_ms | null } | { kind: "not_found" }
--   | { kind: "not_a_dead_letter", state }.
-- Attempts already made stay in the record; max_retries and max_age count anew, and a
-- person's word lifts expires_at.
create function mailer.replay_email(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
  v_now timestamptz;
  v_due timestamptz;
  v_is_near boolean;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state not in ('failed', 'uncertain', 'partially_sent') then
    return jsonb_build_object('kind', 'not_a_dead_letter', 'state', v_email.state)::text;
  end if;
  v_now := date_trunc('milliseconds', clock_timestamp());
  v_due := coalesce(mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz), v_now);
  v_is_near := v_due <= v_now + (v_args ->> 'horizon_ms')::bigint * interval '1 ms';

  update mailer.recipients r set status = 'pending'
  where r.email_id = v_email.id and r.status in ('deferred', 'bounced');
  update mailer.emails e set state = 'pending', version = e.version + 1, wake = e.wake + 1,
    scheduled_at = case when v_args ->> 'scheduled_at' is null then e.scheduled_at else v_due end,
    next_attempt_at = v_due, age_from = v_due, expires_at = null,
    attempts_before = e.attempts,
    queued_at = case when v_is_near then clock_timestamp() end,
    queued_by = case when v_is_near then (v_args ->> 'queued_by')::uuid end,
    sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.replayed',
    v_email.id, v_email.sequence + 1,
    jsonb_build_object('status', 'pending', 'from', v_email.state, 'scheduled_at', v_due));
  return jsonb_build_object('kind', 'replayed', 'wake', v_email.wake + 1,
    'delay_ms', case when v_is_near then mailer.ms_until(v_due, v_now) end)::text;
end
$$;

-- queue_stats: counts of emails, the caller's own or, for an admin, everybody's.
-- args {}; answer { waiting, delayed, oldest_due_ms, workers, by_status: { <status>: n } }.
create function mailer.queue_stats(args text) returns text
language plpgsql stable
as $$
declare
  v_sub text := case when mailer.claim_role() = 'user' then mailer.claim_sub() end;
  v_by_status jsonb;
  v_waiting bigint;
  v_oldest bigint;
begin
  select coalesce(jsonb_object_agg(state, n), '{}') into v_by_status from (
    select e.state, count(*) as n from mailer.emails e
    where v_sub is null or e.owner_id = v_sub group by e.state) s;
  select count(*), coalesce(max(mailer.ms_until(now(), e.next_attempt_at)), 0)
  into v_waiting, v_oldest
  from mailer.emails e
  where e.state = 'pending' and e.next_attempt_at <= now()
    and (v_sub is null or e.owner_id = v_sub);
  return jsonb_build_object('by_status', v_by_status, 'waiting', v_waiting,
    'delayed', coalesce((v_by_status ->> 'pending')::bigint, 0) - v_waiting,
    'oldest_due_ms', v_oldest)::text;
end
$$;

-- count_workers: living processes that send. args {}; answer: a number.
create function mailer.count_workers(args text) returns text
language sql stable
as $$
  select count(*)::text from mailer.workers w
  where w.role <> 'api' and w.stopped_at is null and w.beat_at > now() - interval '5 seconds'
$$;

grant execute on function mailer.claim_sub(), mailer.claim_role(),
  mailer.may_see(text), mailer.recipients_json(uuid), mailer.attempts_json(uuid),
  mailer.email_json(mailer.emails), mailer.ceil_ms(timestamptz),
  mailer.ms_until(timestamptz, timestamptz), mailer.lock_journal(),
  mailer.get_email(text), mailer.list_emails(text), mailer.email_events(text),
  mailer.cancel_email(text), mailer.replay_email(text), mailer.queue_stats(text)
  to mailer_owner;

insert into mailer.functions (name, roles) values
  ('get_email', array['user', 'admin', 'service']),
  ('list_emails', array['user', 'admin', 'service']),
  ('email_events', array['user', 'admin', 'service']),
  ('cancel_email', array['user', 'admin']),
  ('replay_email', array['user', 'admin']),
  ('queue_stats', array['user', 'admin']),
  ('count_workers', array['service']);
