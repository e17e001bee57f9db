-- Dead letters in groups, and replaying or cancelling many emails at once.

-- What a dead letter failed of, without showing it: replies and addresses are ciphertext, so the
-- worker leaves keyed fingerprints for SQL to group and filter by.
alter table mailer.emails
  -- Of code and normalised reply, and of the domain; null: nobody was refused, or not known.
  add column failure_group text,
  -- Of the domain of the recipient that was refused.
  add column failure_domain text,
  -- When it last became a dead letter.
  add column dead_at timestamptz;

-- For callers, and for admins, who go through them in the order of ids.
create index emails_dead_of_owner on mailer.emails (owner_id, id)
  where state in ('failed', 'uncertain', 'held', 'partially_sent');
create index emails_dead_by_id on mailer.emails (id)
  where state in ('failed', 'uncertain', 'held', 'partially_sent');

-- A trigger, because several functions make dead letters.
create function mailer.set_dead_at() returns trigger
language plpgsql
as $$
begin
  new.dead_at := date_trunc('milliseconds', clock_timestamp());
  return new;
end
$$;
create trigger emails_dead_at before update of state on mailer.emails
  for each row when (old.state is distinct from new.state
    and new.state in ('failed', 'uncertain', 'held', 'partially_sent'))
  execute function mailer.set_dead_at();

-- settle_attempts: the one write that ends an attempt.
--
-- args: [{ id, token, transport, region, horizon_ms, queued_by, outcome, next_state,
--          retry_in_ms | null, smtp_code | null, enhanced_code | null, reply | null,
--          failure_group | null, failure_domain | null,
--          recipients: [{ position, status, smtp_code, enhanced_code, reply }] }]
-- answer: [{ applied: true, state, attempt, wake, delay_ms | null }
--          | { applied: false, state | null }]
--
-- Guarantees: attempt row, recipients, state and journal in one transaction; only the holder
-- of the token; a second call with the same token changes nothing, and a stale holder's
-- leaves a journal entry. next_attempt_at is now + retry_in_ms by the database's clock.
-- failure_group and failure_domain are keyed fingerprints; an attempt that refused nobody leaves
-- those of an earlier one, except that an uncertain one has its own or none.
create or replace function mailer.settle_attempts(args text) returns text
language plpgsql
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
    select i.*, e.state as old_state, e.owner_id, e.worker_id, e.claimed_at, e.fenced_at,
      e.message_date, e.attempts, e.id is not null and e.state = 'sending'
        and e.claim_token = i.token
        and row_number() over (partition by i.id, i.token order by i.n) = 1 as is_ours,
      exists (select from mailer.attempts a
        where a.email_id = i.id and a.claim_token = i.token) as is_known,
      mailer.ceil_ms(v_now + i.retry_in_ms * interval '1 ms') as retry_at,
      (select count(*) from jsonb_to_recordset(i.recipients) as t (status text)
        where t.status = 'bounced') as bounced
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint, transport text,
      region text, horizon_ms bigint, queued_by uuid, outcome text, next_state text,
      retry_in_ms bigint, smtp_code smallint, enhanced_code text, reply text,
      failure_group text, failure_domain text, recipients jsonb)) with ordinality
      as i (id, token, transport, region, horizon_ms, queued_by, outcome, next_state,
        retry_in_ms, smtp_code, enhanced_code, reply, failure_group, failure_domain,
        recipients, n)
    left join mailer.emails e on e.id = i.id
  ),
  moved as (
    update mailer.emails e set
      state = i.next_state,
      attempts = e.attempts + 1,
      worker_id = null,
      fenced_at = null,
      -- Once an attempt was uncertain, every later one repeats its Date.
      message_date = case when i.outcome = 'uncertain' or (i.next_state = 'pending'
        and exists (select from mailer.attempts a
          where a.email_id = i.id and a.outcome = 'uncertain')) then e.message_date end,
      sent_at = case when i.outcome in ('sent', 'partial') then v_now else e.sent_at end,
      wake = e.wake + 1,
      next_attempt_at = coalesce(i.retry_at, e.next_attempt_at),
      queued_at = case when i.next_state = 'pending'
        and i.retry_at <= v_now + i.horizon_ms * interval '1 ms' then clock_timestamp() end,
      queued_by = case when i.next_state = 'pending'
        and i.retry_at <= v_now + i.horizon_ms * interval '1 ms' then i.queued_by end,
      failure_group = case when i.outcome = 'uncertain' or i.failure_group is not null
        then i.failure_group else e.failure_group end,
      failure_domain = case when i.outcome = 'uncertain' or i.failure_group is not null
        then i.failure_domain else e.failure_domain end,
      -- One entry for the email, one more for every recipient that bounced now.
      sequence = e.sequence + 1 + i.bounced
    from item i
    where e.id = i.id and i.is_ours
    returning e.*
  ),
  recorded as (
    insert into mailer.attempts (email_id, number, owner_id, claim_token, worker_id, region,
      transport, started_at, fenced_at, message_date, ended_at, outcome, smtp_code,
      enhanced_code, reply)
    select i.id, i.attempts + 1, i.owner_id, i.token, i.worker_id, i.region, i.transport,
      i.claimed_at, i.fenced_at, i.message_date, v_now, i.outcome, i.smtp_code,
      i.enhanced_code, i.reply
    from item i where i.is_ours
  ),
  addressed as (
    update mailer.recipients t set status = r.status, smtp_code = r.smtp_code,
      enhanced_code = r.enhanced_code, reply = r.reply
    from item i, jsonb_to_recordset(i.recipients)
      as r (position smallint, status text, smtp_code smallint, enhanced_code text, reply text)
    where i.is_ours and t.email_id = i.id and t.position = r.position
      and t.status in ('pending', 'deferred')
  )
  select jsonb_agg(case when i.is_ours then jsonb_build_object('applied', true,
        'id', i.id, 'owner_id', i.owner_id, 'state', m.state, 'attempt', m.attempts,
        'wake', m.wake, 'sequence', m.sequence, 'bounced', i.bounced,
        'next_attempt_at', m.next_attempt_at, 'outcome', i.outcome,
        'smtp_code', i.smtp_code, 'enhanced_code', i.enhanced_code,
        'transport', i.transport, 'region', i.region, 'recipients', i.recipients,
        'delay_ms', case when m.queued_at is not null
          then mailer.ms_until(m.next_attempt_at, v_now) end)
      else jsonb_build_object('applied', false, 'state', i.old_state, 'id', i.id,
        'owner_id', i.owner_id, 'is_known', i.is_known, 'outcome', i.outcome)
    end order by i.n)
  into v_rows
  from item i left join moved m on m.id = i.id and i.is_ours;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor,
    case
      when r ->> 'outcome' = 'uncertain' then 'email.uncertain'
      when r ->> 'state' = 'pending' then 'email.deferred'
      when r ->> 'outcome' in ('sent', 'partial') then 'email.sent'
      else 'email.failed'
    end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    jsonb_strip_nulls(jsonb_build_object('status', r ->> 'state', 'attempt', r -> 'attempt',
      'outcome', r ->> 'outcome', 'smtp_code', r -> 'smtp_code',
      'enhanced_code', r -> 'enhanced_code', 'transport', r ->> 'transport',
      'region', r ->> 'region', 'next_attempt_at',
      case when r ->> 'state' = 'pending' then r -> 'next_attempt_at' end))
  from jsonb_array_elements(v_rows) r
  where (r ->> 'applied')::boolean
  union all
  select r ->> 'owner_id', v_actor, 'email.bounced', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer - (r ->> 'bounced')::integer - 1
      + (row_number() over (partition by r ->> 'id' order by t.position))::integer,
    jsonb_strip_nulls(jsonb_build_object('status', r ->> 'state', 'attempt', r -> 'attempt',
      'recipient', t.position, 'smtp_code', t.smtp_code, 'enhanced_code', t.enhanced_code))
  from jsonb_array_elements(v_rows) r
  cross join lateral jsonb_to_recordset(r -> 'recipients')
    as t (position smallint, status text, smtp_code smallint, enhanced_code text)
  where (r ->> 'applied')::boolean and t.status = 'bounced'
  union all
  select r ->> 'owner_id', v_actor, 'attempt.stale', (r ->> 'id')::uuid, null,
    jsonb_build_object('status', r ->> 'state', 'outcome', r ->> 'outcome')
  from jsonb_array_elements(v_rows) r
  where not (r ->> 'applied')::boolean and not (r ->> 'is_known')::boolean
    and r ->> 'owner_id' is not null
  -- Ids, and with them positions, follow the sequence.
  order by 5 nulls last;

  return (
    select json_agg(case when (r ->> 'applied')::boolean
      then json_build_object('applied', true, 'state', r -> 'state', 'attempt', r -> 'attempt',
        'wake', r -> 'wake', 'delay_ms', r -> 'delay_ms')
      else json_build_object('applied', false, 'state', r -> 'state') end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
  )::text;
end
$$;

-- list_emails: newest first by creation.
-- args: { ...the filter of mailer.filter_sql, limit, offset | null,
--         cursor: { created_at, id } | null, with_attempts }
-- answer: { emails: [...], total | null, next: { created_at, id } | null }
-- (total only with offset; created_at of a cursor is text with microseconds).
create or replace function mailer.list_emails(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_where text;
  v_total bigint;
  v_emails mailer.emails[];
  v_limit integer := (v_args ->> 'limit')::integer;
  v_last mailer.emails;
  v_has_more boolean;
begin
  v_where := mailer.filter_sql(v_args);

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

-- dead_group_sql: the group of the dead letter e, as an expression for dynamic SQL (a function
-- call per row would take longer than the rest of the query). Emails from before fingerprints
-- and those of which nothing is known have the group of their code.
create function mailer.dead_group_sql() returns text
language sql immutable
as $$
  select $sql$(case when e.state = 'held' then 'held'
    when e.failure_group is not null then e.failure_group
    else 'code-' || coalesce((select min(r.smtp_code) from mailer.recipients r
      where r.email_id = e.id and r.status in ('bounced', 'deferred'))::text, 'none') end)$sql$
$$;

-- filter_sql: the condition on mailer.emails e that a filter and the claims come to.
-- filter { statuses: [], is_deferred, tag, metadata: {}, address_index, scheduled_after,
--   scheduled_before, ids: [], group, smtp_code, failure_domain }; absent or null: any.
-- smtp_code is that of a recipient who has not got the email.
create function mailer.filter_sql(filter jsonb) returns text
language plpgsql stable
as $$
declare
  v_where text := 'true';
begin
  if mailer.claim_role() not in ('admin', 'service') then
    v_where := v_where || format(' and e.owner_id = %L', mailer.claim_sub());
  end if;
  if filter -> 'statuses' <> 'null' then
    v_where := v_where || format(' and e.state = any (%L::text[])',
      array(select jsonb_array_elements_text(filter -> 'statuses')));
  end if;
  if (filter ->> 'is_deferred')::boolean then
    v_where := v_where || ' and e.state = ''pending'' and e.attempts > e.attempts_before';
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
      where r.email_id = e.id and r.owner_id = e.owner_id and r.address_index = %L)',
      filter ->> 'address_index');
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
    v_where := v_where || format(' and e.failure_domain = %L', filter ->> 'failure_domain');
  end if;
  return v_where;
end
$$;

-- Compiling these queries takes a second, running them less: jit is off.

-- dead_letter_groups: dead letters that failed alike, the largest group first.
-- args { filter, limit, offset };
-- answer { groups: [{ group, count, by_status: { <status>: n }, first_at, last_at,
--   sample: its newest email, with recipients and attempts }], total }.
create function mailer.dead_letter_groups(args text) returns text
language plpgsql stable set jit = off
as $$
declare
  v_args jsonb := args;
  v_answer text;
begin
  execute format($sql$
    with by_status as (
      select %s as name, e.state, count(*) as n,
        min(coalesce(e.dead_at, e.next_attempt_at)) as first_at,
        max(coalesce(e.dead_at, e.next_attempt_at)) as last_at,
        (array_agg(e.id order by coalesce(e.dead_at, e.next_attempt_at) desc, e.id desc))[1]
          as sample
      from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent') and %s
      group by 1, 2
    ),
    grouped as (
      select b.name, sum(b.n)::bigint as n, jsonb_object_agg(b.state, b.n) as states,
        min(b.first_at) as first_at, max(b.last_at) as last_at,
        (array_agg(b.sample order by b.last_at desc))[1] as sample,
        count(*) over () as total
      from by_status b group by b.name
      order by 2 desc, 5 desc, 1 limit %s offset %s
    )
    select json_build_object(
      'groups', coalesce(json_agg(json_build_object('group', g.name, 'count', g.n,
        'by_status', g.states, 'first_at', g.first_at, 'last_at', g.last_at,
        'sample', mailer.email_json(e) || jsonb_build_object(
          'recipients', mailer.recipients_json(e.id), 'attempts', mailer.attempts_json(e.id)))
        order by g.n desc, g.last_at desc, g.name), '[]'),
      'total', coalesce(max(g.total), 0))::text
    from grouped g join mailer.emails e on e.id = g.sample$sql$,
    mailer.dead_group_sql(), mailer.filter_sql(v_args -> 'filter'),
    (v_args ->> 'limit')::integer, (v_args ->> 'offset')::integer) into v_answer;
  return v_answer;
end
$$;

-- find_dead_letters: which ones a filter means, to be replayed in chunks. args { filter, limit };
-- answer { matched, by_status: { <status>: n }, ids: the oldest by id, at most limit }.
create function mailer.find_dead_letters(args text) returns text
language plpgsql stable set jit = off
as $$
declare
  v_args jsonb := args;
  v_answer text;
begin
  -- One whose key was destroyed can never be sent again.
  execute format($sql$
    with dead as materialized (
      select e.id, e.state from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent')
        and e.wrapped_key is not null and %s
    )
    select json_build_object('matched', (select count(*) from dead),
      'by_status', (select coalesce(json_object_agg(s.state, s.n), '{}')
        from (select d.state, count(*) as n from dead d group by d.state) s),
      'ids', coalesce((select json_agg(q.id) from (
        select d.id from dead d order by d.id limit %s) q), '[]'))::text$sql$,
    mailer.filter_sql(v_args -> 'filter'), (v_args ->> 'limit')::integer) into v_answer;
  return v_answer;
end
$$;

-- replay_emails: a person sends many dead letters again, to those who have not got them.
--
-- args { ids, start | null, first, rate_per_minute | null, scheduled_at | null, bulk, origin }
-- answer { replayed, start }
--
-- To each the same happens as in replay_row, which releases those that are held, under its own
-- lock and in id order; written once more because row by row it takes several times as long
-- (a test compares the two). Left alone are ids that are no dead letter by now, or not the
-- caller's, or whose recipients have all got it. The n-th that is replayed, counted from first,
-- is due at start (now, by the database's clock, or scheduled_at) + n * 60 s / rate_per_minute;
-- one that is held not before its own time, unless scheduled_at names another. Nothing is put
-- into the queue here: the reconciler of each email's region does that, at its pace.
create function mailer.replay_emails(args text) returns text
language plpgsql
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
    update mailer.emails e set state = 'pending', version = e.version + 1, wake = e.wake + 1,
      scheduled_at = case when v_is_asked then p.due_at else e.scheduled_at end,
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
      queued_at = null,
      queued_by = null,
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

-- cancellable_sql: whether e may be cancelled, as an expression for dynamic SQL; the refusals
-- are those of cancel_email.
create function mailer.cancellable_sql() returns text
language sql immutable
as $$
  select $sql$(e.state = 'pending' or e.state = 'held'
      or (e.state = 'sending' and e.fenced_at is null))
    and (e.attempts = 0 or not exists (select from mailer.recipients r
        where r.email_id = e.id and r.status = 'sent')
      and not exists (select from mailer.attempts a
        where a.email_id = e.id and a.outcome = 'uncertain'))$sql$
$$;

-- find_cancellable: which emails a filter means, to be cancelled in chunks. args { filter, limit };
-- answer { matched, ids: the oldest by id, at most limit }.
create function mailer.find_cancellable(args text) returns text
language plpgsql stable set jit = off
as $$
declare
  v_args jsonb := args;
  v_answer text;
begin
  execute format($sql$
    with found as materialized (select e.id from mailer.emails e where %s and %s)
    select json_build_object('matched', (select count(*) from found),
      'ids', coalesce((select json_agg(q.id) from (
        select f.id from found f order by f.id limit %s) q), '[]'))::text$sql$,
    mailer.cancellable_sql(), mailer.filter_sql(v_args -> 'filter'),
    (v_args ->> 'limit')::integer) into v_answer;
  return v_answer;
end
$$;

-- cancel_emails: cancel_email for many. args { ids, bulk, origin }; answer { cancelled }.
-- Guarantees: one compare-and-set per email, locked in id order: of those counted nothing will
-- be sent. What is fenced, sent, or otherwise not to be cancelled by now is left alone.
create function mailer.cancel_emails(args text) returns text
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
        worker_id = null, wake = e.wake + 1, queued_at = null, queued_by = null,
        sequence = e.sequence + 1
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

-- keep_answer: the answer of a request that stores no emails, beside its Idempotency-Key.
-- args { owner_id, path, key, fingerprint, response }; answer true, or false when the key is
-- known already.
create function mailer.keep_answer(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
begin
  insert into mailer.idempotency_keys (owner_id, path, key, created_at, fingerprint, response)
  values (v_args ->> 'owner_id', v_args ->> 'path', v_args ->> 'key', clock_timestamp(),
    v_args ->> 'fingerprint', v_args ->> 'response')
  on conflict do nothing;
  return found::text;
end
$$;

insert into mailer.functions (name, roles) values
  ('dead_letter_groups', array['user', 'admin']),
  ('find_dead_letters', array['user', 'admin']),
  ('replay_emails', array['user', 'admin']),
  ('find_cancellable', array['user', 'admin']),
  ('cancel_emails', array['user', 'admin']),
  ('keep_answer', array['service']);

revoke execute on function mailer.set_dead_at(), mailer.dead_group_sql(),
  mailer.filter_sql(jsonb), mailer.cancellable_sql(), mailer.dead_letter_groups(text),
  mailer.find_dead_letters(text), mailer.replay_emails(text), mailer.find_cancellable(text),
  mailer.cancel_emails(text), mailer.keep_answer(text) from public;
grant execute on function mailer.dead_group_sql(), mailer.filter_sql(jsonb),
  mailer.cancellable_sql(), mailer.dead_letter_groups(text), mailer.find_dead_letters(text),
  mailer.replay_emails(text), mailer.find_cancellable(text), mailer.cancel_emails(text)
  to mailer_owner, mailer_service;
grant execute on function mailer.set_dead_at(), mailer.keep_answer(text) to mailer_service;
