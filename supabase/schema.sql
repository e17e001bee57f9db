-- Generated from supabase/migrations by `bun scripts/schema.ts --write`: change those instead.
--
-- Paste it into the SQL editor of a Supabase project, or run it with psql. It does and records
-- what `taskforce-mailer migrate` and `supabase db push` do: whatever of it a database has
-- already is left alone, so running it twice, or a newer one over an older one, is safe. All of
-- it happens, or nothing.
--
-- Afterwards expose the schema mailer_api: Project Settings, Data API, Exposed schemas.

begin;

-- Whoever migrates at the same moment waits.
select pg_advisory_xact_lock(1835100524);

create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
  version text not null primary key, statements text[], name text
);

-- 20261124000001_tables
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Roles, schemas and tables.
--
-- Tables live in schema mailer; nobody but two roles that cannot log in and cannot bypass
-- row-level security ever touches them:
--   mailer_owner    what callers may do; sees rows of the claims' sub only
--   mailer_service  what the program itself and admins do; sees all rows
-- mailer_client may call mailer_api.call_as, the one way in, and nothing else.

do $$
declare
  v_role text;
  v_right text := case when current_setting('server_version_num')::integer >= 160000
    then 'set' else 'member' end;
begin
  foreach v_role in array array['mailer_owner', 'mailer_service', 'mailer_client'] loop
    begin
      if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
        execute format('create role %I nologin noinherit nobypassrls', v_role);
      end if;
    exception
      -- Roles belong to the cluster: another database of it may be migrating right now.
      when duplicate_object or unique_violation then null;
    end;
    -- Without membership a migrating user who is no superuser cannot give functions away. From
    -- PostgreSQL 16 on whoever makes a role is a member who may not act as it, until it says so.
    begin
      if not pg_catalog.pg_has_role(current_user, v_role, v_right) then
        execute format('grant %I to %I', v_role, current_user);
      end if;
    exception
      when unique_violation then null;
    end;
  end loop;
end
$$;

create schema mailer;
create schema mailer_api;
revoke all on schema mailer, mailer_api from public;
grant usage on schema mailer to mailer_owner, mailer_service;
grant usage on schema mailer_api to mailer_client;

-- What a transaction's claims say; set by mailer_api.call_as.
create function mailer.claim_sub() returns text
language sql stable
as $$ select nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub' $$;

create function mailer.claim_role() returns text
language sql stable
as $$ select nullif(current_setting('request.jwt.claims', true), '')::json ->> 'role' $$;

-- Rounds up to whole milliseconds, so that nothing is due before its time.
create function mailer.ceil_ms(t timestamptz) returns timestamptz
language sql immutable
as $$ select date_trunc('milliseconds', t + interval '999 microseconds') $$;

-- Milliseconds until t, never negative, rounded up.
create function mailer.ms_until(t timestamptz, from_time timestamptz) returns bigint
language sql immutable
as $$ select greatest(0, ceil(extract(epoch from (t - from_time)) * 1000))::bigint $$;

-- One row per email. No foreign keys point here: the functions are the only writers, and a
-- check per inserted row would cost the accepting path more than it protects.
create table mailer.emails (
  id uuid primary key,
  owner_id text not null,
  -- Text and not an enum: under row-level security enum comparisons lose their indexes.
  state text not null default 'pending' check (state in ('pending', 'sending', 'sent',
    'partially_sent', 'failed', 'uncertain', 'held', 'cancelled', 'expired', 'suppressed')),
  -- Rises with every change a caller makes (If-Match).
  version integer not null default 1,
  -- Rises with every change of next_attempt_at and every release: names the BullMQ job.
  wake integer not null default 1,
  -- Home region: whose queue and workers it belongs to.
  region text not null,
  created_at timestamptz not null,
  -- What the caller asked for.
  scheduled_at timestamptz not null,
  -- When a worker looks next.
  next_attempt_at timestamptz not null,
  -- max_age_seconds counts from here: scheduled_at, or the moment of a person's replay.
  age_from timestamptz not null,
  expires_at timestamptz,
  on_late text not null check (on_late in ('send', 'drop', 'hold')),
  on_uncertain text not null check (on_uncertain in ('retry', 'hold')),
  max_retries smallint not null check (max_retries between 0 and 20),
  max_age_seconds integer not null check (max_age_seconds > 0),
  -- Attempts spent so far, and how many of them before the last replay.
  attempts smallint not null default 0,
  attempts_before smallint not null default 0,
  -- The fencing token: rises with every claim, and every later write must name it.
  claim_token bigint not null default 0,
  worker_id uuid,
  claimed_at timestamptz,
  -- Set after SMTP's 354 and before the first byte of the body.
  fenced_at timestamptz,
  -- The Date header of the running attempt, kept after an uncertain one to be repeated.
  message_date timestamptz,
  -- How often a worker died while holding this email.
  crashes smallint not null default 0,
  -- When it was given to the region's queue, and by which process; null: not in the queue.
  queued_at timestamptz,
  queued_by uuid,
  sent_at timestamptz,
  -- Place of the newest journal entry within this email.
  sequence integer not null default 0,
  -- In clear, as the documentation says.
  tags text[] not null default '{}',
  metadata jsonb not null default '{}',
  -- The email's data key, wrapped by a key of the ring; null once shredded.
  wrapped_key text,
  -- Encrypted under the data key: MAIL FROM address, subject.
  sender text,
  subject text,
  -- Size of the composed message before encryption.
  message_bytes integer not null
) with (fillfactor = 80);

create index emails_due on mailer.emails (region, next_attempt_at) where state = 'pending';
create index emails_unqueued on mailer.emails (region, next_attempt_at)
  where state = 'pending' and queued_at is null;
create index emails_sending on mailer.emails (worker_id) where state = 'sending';
create index emails_of_owner on mailer.emails (owner_id, created_at desc, id desc);
create index emails_newest on mailer.emails (created_at desc, id desc);
create index emails_dead on mailer.emails (created_at desc, id desc)
  where state in ('failed', 'uncertain', 'held', 'partially_sent');

-- The large parts, apart from the row that changes often. Both are ciphertext.
create table mailer.contents (
  email_id uuid primary key,
  owner_id text not null,
  -- RFC 5322 bytes without a Date header.
  message bytea,
  -- JSON of what the caller asked for, without the bytes of attachments.
  details text
);
-- Ciphertext does not compress.
alter table mailer.contents alter column message set storage external;

create table mailer.recipients (
  email_id uuid not null,
  -- Place within the email, from 0: the To line, then Cc, then Bcc.
  position smallint not null,
  owner_id text not null,
  kind text not null check (kind in ('to', 'cc', 'bcc')),
  status text not null default 'pending'
    check (status in ('pending', 'sent', 'deferred', 'bounced', 'suppressed')),
  -- Ciphertext of the address; the index finds equal addresses without showing them.
  address text,
  address_index text not null,
  smtp_code smallint,
  enhanced_code text,
  -- Ciphertext: replies quote addresses.
  reply text,
  primary key (email_id, position)
) with (fillfactor = 80);
create index recipients_by_address on mailer.recipients (owner_id, address_index);

-- One SMTP transaction for one email, numbered from 1.
create table mailer.attempts (
  email_id uuid not null,
  number smallint not null,
  owner_id text not null,
  claim_token bigint not null,
  worker_id uuid,
  region text not null,
  transport text not null,
  started_at timestamptz not null,
  fenced_at timestamptz,
  message_date timestamptz,
  ended_at timestamptz not null,
  outcome text not null
    check (outcome in ('sent', 'partial', 'deferred', 'bounced', 'uncertain')),
  smtp_code smallint,
  enhanced_code text,
  -- Ciphertext of the reply, or of what went wrong when there was none.
  reply text,
  primary key (email_id, number),
  unique (email_id, claim_token)
);

-- Answers of requests that came with an Idempotency-Key; kept 24 h.
create table mailer.idempotency_keys (
  owner_id text not null,
  path text not null,
  key text not null,
  created_at timestamptz not null,
  -- Hash of the request's body.
  fingerprint text not null,
  -- Ciphertext of the answer.
  response text not null,
  primary key (owner_id, path, key)
);
create index idempotency_keys_age on mailer.idempotency_keys (created_at);

-- The append-only record of what happened: audit trail, source of live events, outbox of
-- webhooks. The sealer fills position, number, canonical and hash, once.
create table mailer.journal (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  owner_id text not null,
  -- Who: a sub, or a part of the program such as worker:local.
  actor text not null,
  -- From where, when a request caused it.
  origin text,
  action text not null,
  email_id uuid,
  -- Gapless place within the email, from 1.
  sequence integer,
  -- Never content: codes, states and counts.
  detail jsonb not null default '{}',
  position bigint unique,
  number bigint,
  canonical bytea,
  hash bytea,
  unique (owner_id, number)
);
create index journal_of_email on mailer.journal (email_id, sequence) where email_id is not null;
create index journal_unsealed on mailer.journal (id) where position is null;

-- Every process that works or accepts; beats once a second.
create table mailer.workers (
  id uuid primary key,
  region text not null,
  role text not null,
  started_at timestamptz not null,
  beat_at timestamptz not null,
  -- A fenced email of a silent worker is uncertain once 1.2 times this has passed.
  reply_timeout_ms integer not null,
  stopped_at timestamptz,
  -- What a dead one had put into the queue was looked over.
  reaped_at timestamptz
);

create table mailer.regions (
  name text primary key,
  beat_at timestamptz not null,
  -- The value of the queue's marker key; another value there means that the queue was lost.
  marker text,
  marker_at timestamptz,
  -- False while emails queued before marker_at may wait to be queued again.
  is_swept boolean not null default true
);

create table mailer.settings (
  name text primary key,
  value text not null
);

-- Which role of the claims may call which function.
create table mailer.functions (
  name text primary key,
  roles text[] not null
);

-- Row-level security, also for the tables' owner.
do $$
declare
  v_table text;
begin
  foreach v_table in array array['emails', 'contents', 'recipients', 'attempts', 'journal'] loop
    execute format(
      'create policy own_rows on mailer.%I to mailer_owner
         using (owner_id = (select mailer.claim_sub()))
         with check (owner_id = (select mailer.claim_sub()))', v_table);
  end loop;
  foreach v_table in array array['emails', 'contents', 'recipients', 'attempts', 'journal',
    'idempotency_keys', 'workers', 'regions', 'settings', 'functions'] loop
    execute format('alter table mailer.%I enable row level security', v_table);
    execute format('alter table mailer.%I force row level security', v_table);
    execute format('revoke all on mailer.%I from public', v_table);
    execute format('create policy service_rows on mailer.%I to mailer_service
      using (true) with check (true)', v_table);
  end loop;
end
$$;

grant select on mailer.emails, mailer.contents, mailer.recipients, mailer.attempts,
  mailer.journal to mailer_owner;
grant update on mailer.emails, mailer.recipients to mailer_owner;
grant insert on mailer.journal to mailer_owner;

grant select, insert, update on mailer.emails, mailer.contents, mailer.recipients,
  mailer.workers, mailer.regions to mailer_service;
grant select, insert on mailer.attempts, mailer.journal, mailer.settings to mailer_service;
grant select, insert, update, delete on mailer.idempotency_keys to mailer_service;
grant delete on mailer.workers to mailer_service;
grant select on mailer.functions to mailer_service;

-- The legal edges of an email's states hold for everybody, also at a SQL console.
create function mailer.check_edge() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'INSERT' then
    if new.state <> 'pending' then
      raise exception 'an email starts as pending, not as %', new.state
        using errcode = 'check_violation';
    end if;
    return new;
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

create trigger emails_start before insert on mailer.emails
  for each row execute function mailer.check_edge();
create trigger emails_edge before update of state on mailer.emails
  for each row when (old.state is distinct from new.state)
  execute function mailer.check_edge();

-- Taken shared in the statement before every journal insert, which is a function's last
-- write. The sealer takes it exclusively for the instant of reading its boundary, so that
-- nothing below the boundary can still appear.
create function mailer.lock_journal() returns void
language sql
as $$ select pg_advisory_xact_lock_shared(7382640001) $$;
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000001'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000001', array[v_sql], 'tables');
end
$migration$;

-- 20261124000002_call_as
do $migration$
declare
  v_sql text := $taskforce_mailer$-- The one way in.

-- Runs a function as mailer_owner, under row-level security for the claims' sub.
create function mailer.run_as_owner(fn text, args text) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  v_answer text;
begin
  execute format('select mailer.%I($1)', fn) using args into v_answer;
  return v_answer;
end
$$;

-- Calls mailer.<fn> on behalf of the claims {"role": "user|admin|service", "sub": "…"}, in
-- one transaction. Text in, text out, so that it is the same over PGlite, pg and PostgREST.
-- A refusal is raised with SQLSTATE TM001, the error code as message and words in detail.
create function mailer_api.call_as(claims text, fn text, args text) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  v_role text := claims::json ->> 'role';
  v_answer text;
begin
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
  end if;
  execute format('select mailer.%I($1)', fn) using args into v_answer;
  return v_answer;
end
$$;

grant create on schema mailer to mailer_owner;
grant create on schema mailer_api to mailer_service;
alter function mailer.run_as_owner(text, text) owner to mailer_owner;
alter function mailer_api.call_as(text, text, text) owner to mailer_service;
revoke create on schema mailer from mailer_owner;
revoke create on schema mailer_api from mailer_service;

revoke all on function mailer.run_as_owner(text, text) from public;
revoke all on function mailer_api.call_as(text, text, text) from public;
grant execute on function mailer.run_as_owner(text, text) to mailer_service;
grant execute on function mailer_api.call_as(text, text, text) to mailer_client;

do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
    grant mailer_client to service_role;
    grant usage on schema mailer_api to service_role;
    grant execute on function mailer_api.call_as(text, text, text) to service_role;
  end if;
end
$$;
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000002'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000002', array[v_sql], 'call_as');
end
$migration$;

-- 20261124000003_accept
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Accepting emails.

-- schedule_emails: accepts whole requests; they are durable once it returns.
--
-- args: [{ owner_id, actor, origin | null, horizon_ms, queued_by,
--          idempotency: { path, key, fingerprint, response } | null,
--          emails: [{ id, region, scheduled_at | null, expires_at | null, on_late,
--            on_uncertain, max_retries, max_age_seconds, tags, metadata, wrapped_key, sender,
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
create function mailer.schedule_emails(args text) returns text
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
      scheduled_at timestamptz, expires_at timestamptz, on_late text, on_uncertain text,
      max_retries smallint, max_age_seconds integer, tags jsonb, metadata jsonb,
      wrapped_key text, sender text, subject text, message_bytes integer,
      message_line integer, details_line integer, recipients json)) with ordinality
      as e (id, region, asked_at, expires_at, on_late, on_uncertain, max_retries,
        max_age_seconds, tags, metadata, wrapped_key, sender, subject, message_bytes,
        message_line, details_line, recipients, place)
  ),
  stored as (
    insert into mailer.emails (id, owner_id, region, created_at, scheduled_at,
      next_attempt_at, age_from, expires_at, on_late, on_uncertain, max_retries,
      max_age_seconds, tags, metadata, wrapped_key, sender, subject, message_bytes, sequence,
      queued_at, queued_by)
    select id, owner_id, region, v_now, due_at, due_at, due_at, expires_at, on_late,
      on_uncertain, max_retries, max_age_seconds,
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

-- find_idempotent: what an earlier request with this key was answered, before anything is
-- composed. args: { owner_id, path, key, fingerprint };
-- answer: { kind: "new" } | { kind: "replayed", response, created_at } | { kind: "reused" }.
create function mailer.find_idempotent(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_key mailer.idempotency_keys;
begin
  select * into v_key from mailer.idempotency_keys k
  where k.owner_id = v_args ->> 'owner_id' and k.path = v_args ->> 'path'
    and k.key = v_args ->> 'key' and k.created_at > now() - interval '24 hours';
  return case
    when v_key.key is null then jsonb_build_object('kind', 'new')
    when v_key.fingerprint = v_args ->> 'fingerprint' then jsonb_build_object(
      'kind', 'replayed', 'response', v_key.response, 'created_at', v_key.created_at)
    else jsonb_build_object('kind', 'reused')
  end::text;
end
$$;

-- forget_idempotent: drops keys older than 24 h, at most 5,000 at a time; how many it was.
create function mailer.forget_idempotent(args text) returns text
language plpgsql
as $$
declare
  v_count integer;
begin
  delete from mailer.idempotency_keys k using (
    select owner_id, path, key from mailer.idempotency_keys
    where created_at <= now() - interval '24 hours'
    order by created_at limit 5000 for update skip locked
  ) old
  where k.owner_id = old.owner_id and k.path = old.path and k.key = old.key;
  get diagnostics v_count = row_count;
  return v_count::text;
end
$$;

-- A key older than 24 h that forget_idempotent has not reached yet must not answer.
create function mailer.drop_expired_key() returns trigger
language plpgsql
as $$
begin
  delete from mailer.idempotency_keys k
  where k.owner_id = new.owner_id and k.path = new.path and k.key = new.key
    and k.created_at <= new.created_at - interval '24 hours';
  return new;
end
$$;
create trigger idempotency_keys_expired before insert on mailer.idempotency_keys
  for each row execute function mailer.drop_expired_key();

insert into mailer.functions (name, roles) values
  ('schedule_emails', array['service']),
  ('find_idempotent', array['service']),
  ('forget_idempotent', array['service']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000003'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000003', array[v_sql], 'accept');
end
$migration$;

-- 20261124000004_deliver
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Claim, fence, settle, release: an email on its way.
-- All take an array and answer one result per element, in order; all lock in id order.

-- claim_emails: the right to send, and the judgement whether to.
--
-- args: { worker_id, region, transport, inline_bytes_max,
--         items: [{ id, wake }] }
-- answer, one per item:
--   { kind: "claimed", token, attempt, attempts_before, max_retries, max_age_seconds,
--     age_ms, on_uncertain, owner_id, wrapped_key, sender, message_date | null,
--     message (base64) | null when larger than inline_bytes_max, message_bytes,
--     recipients: [{ position, address }] (still to be tried), sent_before, bounced_before }
--   { kind: "not_due", due_in_ms }
--   { kind: "stale" }                     another wake, another state, or gone: drop the job
--   { kind: "expired" } | { kind: "held" }   too late; the state says so now
--
-- Guarantees: of any number of claims for one wake one is granted; never before
-- next_attempt_at by the database's clock; the token rises with every claim.
create function mailer.claim_emails(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  v_rows jsonb;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i))
  order by e.id for update;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer))
      with ordinality as i (id, wake, n)
  ),
  judged as materialized (
    select i.n, i.id, e.next_attempt_at, case
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        else 'claimed'
      end as kind
    from item i left join mailer.emails e on e.id = i.id
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = v_now,
      fenced_at = null,
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.*
  )
  select coalesce(jsonb_agg(case j.kind
      when 'claimed' then jsonb_build_object('kind', j.kind, 'id', m.id,
        'sequence', m.sequence, 'token', m.claim_token, 'attempt', m.attempts + 1,
        'attempts_before', m.attempts_before, 'max_retries', m.max_retries,
        'max_age_seconds', m.max_age_seconds,
        'age_ms', mailer.ms_until(v_now, m.age_from),
        'on_uncertain', m.on_uncertain, 'owner_id', m.owner_id,
        'wrapped_key', m.wrapped_key, 'sender', m.sender, 'message_date', m.message_date,
        'message_bytes', m.message_bytes)
      when 'not_due' then jsonb_build_object('kind', j.kind,
        'due_in_ms', mailer.ms_until(j.next_attempt_at, v_now))
      when 'stale' then jsonb_build_object('kind', j.kind)
      else jsonb_build_object('kind', j.kind, 'id', m.id, 'owner_id', m.owner_id,
        'sequence', m.sequence)
    end order by j.n), '[]')
  into v_rows
  from judged j left join moved m on m.id = j.id and j.kind <> 'stale';

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor,
    case r ->> 'kind' when 'claimed' then 'email.sending' else 'email.' || (r ->> 'kind') end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    case r ->> 'kind'
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', r -> 'attempt',
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', r ->> 'kind')
    end
  from jsonb_array_elements(v_rows) r
  where r ? 'sequence';

  return (
    select json_agg(case when r ->> 'kind' <> 'claimed' then r::json else json_build_object(
        'kind', 'claimed', 'token', r -> 'token', 'attempt', r -> 'attempt',
        'attempts_before', r -> 'attempts_before', 'max_retries', r -> 'max_retries',
        'max_age_seconds', r -> 'max_age_seconds', 'age_ms', r -> 'age_ms',
        'on_uncertain', r -> 'on_uncertain', 'owner_id', r -> 'owner_id',
        'wrapped_key', r -> 'wrapped_key', 'sender', r -> 'sender',
        'message_date', r -> 'message_date', 'message_bytes', r -> 'message_bytes',
        'message', case when octet_length(c.message) <= (v_args ->> 'inline_bytes_max')::integer
          then encode(c.message, 'base64') end,
        'recipients', (select json_agg(json_build_object('position', t.position,
            'address', t.address) order by t.position)
          from mailer.recipients t
          where t.email_id = c.email_id and t.status in ('pending', 'deferred')),
        'sent_before', (select count(*) from mailer.recipients t
          where t.email_id = c.email_id and t.status = 'sent'),
        'bounced_before', (select count(*) from mailer.recipients t
          where t.email_id = c.email_id and t.status in ('bounced', 'suppressed')))
      end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
    left join mailer.contents c on c.email_id = (r ->> 'id')::uuid and r ->> 'kind' = 'claimed'
  )::text;
end
$$;

-- rewake_email: a job came so early that waiting for its time is no use (a clock is off); a
-- new wake makes room for another job. args { id, wake, queued_by };
-- answer { wake, delay_ms } or { wake: null } when that wake is not current.
create function mailer.rewake_email(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  update mailer.emails e set wake = e.wake + 1, queued_at = clock_timestamp(),
    queued_by = (v_args ->> 'queued_by')::uuid
  where e.id = (v_args ->> 'id')::uuid and e.wake = (v_args ->> 'wake')::integer
    and e.state = 'pending'
  returning * into v_email;
  return jsonb_build_object('wake', v_email.wake, 'delay_ms',
    mailer.ms_until(v_email.next_attempt_at, clock_timestamp()))::text;
end
$$;

-- read_message: the message of a claimed email that was too large to come with the claim.
-- args: { id, token }; answer: { message (base64) } or { message: null } for a stale token.
create function mailer.read_message(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
begin
  return json_build_object('message', (
    select encode(c.message, 'base64') from mailer.emails e
    join mailer.contents c on c.email_id = e.id
    where e.id = (v_args ->> 'id')::uuid and e.state = 'sending'
      and e.claim_token = (v_args ->> 'token')::bigint))::text;
end
$$;

-- fence_attempts: the last word before the first byte of the body.
--
-- args: [{ id, token, message_date }]
-- answer: [{ granted: true } | { granted: false, reason: "cancelled" | "stale" }]
--
-- Guarantees: granted once per token, and only while the email is still ours to send; after
-- it a cancel answers in_flight. One narrow update, no journal entry.
create function mailer.fence_attempts(args text) returns text
language plpgsql
as $$
declare
  v_items jsonb := args;
  v_answer text;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i))
  order by e.id for update;

  with item as (
    select i.id, i.token, i.message_date, i.n,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint,
      message_date timestamptz)) with ordinality as i (id, token, message_date, n)
  ),
  fenced as (
    update mailer.emails e set fenced_at = clock_timestamp(), message_date = i.message_date
    from item i
    where e.id = i.id and e.claim_token = i.token and e.state = 'sending'
      and e.fenced_at is null
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

-- settle_attempts: the one write that ends an attempt.
--
-- args: [{ id, token, transport, region, horizon_ms, queued_by, outcome, next_state,
--          retry_in_ms | null, smtp_code | null, enhanced_code | null, reply | null,
--          recipients: [{ position, status, smtp_code, enhanced_code, reply }] }]
-- answer: [{ applied: true, state, attempt, wake, delay_ms | null }
--          | { applied: false, state | null }]
--
-- Guarantees: attempt row, recipients, state and journal in one transaction; only the holder
-- of the token; a second call with the same token changes nothing, and a stale holder's
-- leaves a journal entry. next_attempt_at is now + retry_in_ms by the database's clock.
create function mailer.settle_attempts(args text) returns text
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
      recipients jsonb)) with ordinality
      as i (id, token, transport, region, horizon_ms, queued_by, outcome, next_state,
        retry_in_ms, smtp_code, enhanced_code, reply, recipients, n)
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

-- release_emails: gives claimed emails back, no attempt spent.
--
-- args: [{ id, token, reason, delay_ms, horizon_ms, queued_by }]
-- answer: [{ applied: true, wake, delay_ms | null } | { applied: false }]
--
-- Guarantees: only the holder of the token; the caller vouches that no body was sent. Due
-- again after delay_ms, never earlier than it was.
create function mailer.release_emails(args text) returns text
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

  with item as (
    select i.*, mailer.ceil_ms(v_now + i.delay_ms * interval '1 ms') as again_at,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint, reason text,
      delay_ms bigint, horizon_ms bigint, queued_by uuid)) with ordinality
      as i (id, token, reason, delay_ms, horizon_ms, queued_by, n)
  ),
  moved as (
    update mailer.emails e set
      state = 'pending',
      worker_id = null,
      fenced_at = null,
      message_date = case when exists (select from mailer.attempts a
        where a.email_id = i.id and a.outcome = 'uncertain') then e.message_date end,
      wake = e.wake + 1,
      next_attempt_at = greatest(e.next_attempt_at, i.again_at),
      queued_at = case when i.again_at <= v_now + i.horizon_ms * interval '1 ms'
        then clock_timestamp() end,
      queued_by = case when i.again_at <= v_now + i.horizon_ms * interval '1 ms'
        then i.queued_by end,
      sequence = e.sequence + 1
    from item i
    where e.id = i.id and i.turn = 1 and e.state = 'sending' and e.claim_token = i.token
    returning e.*
  )
  select jsonb_agg(case when m.id is not null then jsonb_build_object('applied', true,
        'id', m.id, 'owner_id', m.owner_id, 'sequence', m.sequence, 'wake', m.wake,
        'reason', i.reason, 'delay_ms', case when m.queued_at is not null
          then mailer.ms_until(m.next_attempt_at, v_now) end)
      else jsonb_build_object('applied', false) end order by i.n)
  into v_rows
  from item i left join moved m on m.id = i.id and i.turn = 1 and m.claim_token = i.token;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor, 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'pending', 'reason', r ->> 'reason')
  from jsonb_array_elements(v_rows) r
  where (r ->> 'applied')::boolean;

  return (
    select json_agg(case when (r ->> 'applied')::boolean
      then json_build_object('applied', true, 'wake', r -> 'wake', 'delay_ms', r -> 'delay_ms')
      else json_build_object('applied', false) end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
  )::text;
end
$$;

insert into mailer.functions (name, roles) values
  ('claim_emails', array['service']),
  ('rewake_email', array['service']),
  ('read_message', array['service']),
  ('fence_attempts', array['service']),
  ('settle_attempts', array['service']),
  ('release_emails', array['service']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000004'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000004', array[v_sql], 'deliver');
end
$migration$;

-- 20261124000005_read
do $migration$
declare
  v_sql text := $taskforce_mailer$-- What callers may ask and change. These run as mailer_owner for a user, who then sees the
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
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000005'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000005', array[v_sql], 'read');
end
$migration$;

-- 20261124000006_reconcile
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Heartbeats, take-over of what dead workers held, and the rebuilding of the queue.

-- beat: a process says that it lives; also keeps its region alive.
-- args { worker_id, region, role, reply_timeout_ms }; answer { now, was_reaped }.
-- was_reaped: the others thought it dead since its last beat.
create function mailer.beat(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_was_reaped boolean;
begin
  select w.reaped_at is not null into v_was_reaped from mailer.workers w
  where w.id = (v_args ->> 'worker_id')::uuid;
  insert into mailer.workers as w (id, region, role, started_at, beat_at, reply_timeout_ms)
  values ((v_args ->> 'worker_id')::uuid, v_args ->> 'region', v_args ->> 'role', v_now, v_now,
    (v_args ->> 'reply_timeout_ms')::integer)
  on conflict (id) do update set beat_at = v_now, reaped_at = null, stopped_at = null;
  insert into mailer.regions as r (name, beat_at) values (v_args ->> 'region', v_now)
  on conflict (name) do update set beat_at = v_now
    where r.beat_at < v_now - interval '500 ms';
  return jsonb_build_object('now', v_now, 'was_reaped', coalesce(v_was_reaped, false))::text;
end
$$;

-- stop_worker: a process leaves in order; what it may still hold is taken over at once.
create function mailer.stop_worker(args text) returns text
language plpgsql
as $$
begin
  update mailer.workers w set stopped_at = clock_timestamp()
  where w.id = (args::jsonb ->> 'worker_id')::uuid;
  return 'true';
end
$$;

-- take_over: frees what dead workers held.
--
-- args { worker_id (the caller, never dead), dead_after_ms, everything: bool }
-- answer { released, crashed_workers, orphans: [{ id, token, attempt, attempts_before,
--          max_retries, max_age_seconds, age_ms, on_uncertain, region }] }
--
-- A worker is dead when its beat is silent for dead_after_ms, or when it has stopped. Its
-- un-fenced emails are pending again at once (safe: the fence checks token and state); the
-- fenced ones are named as orphans once 1.2 times its reply timeout has passed, for the caller
-- to settle as uncertain. What a living worker has held for longer than any conversation can
-- last is freed by the same two rules, so that no fault of its own keeps an email for ever.
-- everything: all that is sending is an orphan, whoever holds it (the
-- embedded database at boot, under the folder's lock).
create function mailer.take_over(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  -- Longer than a conversation before the fence may take, and its settle after it.
  c_longest constant interval := '15 minutes';
  v_now timestamptz := clock_timestamp();
  v_everything boolean := coalesce((v_args ->> 'everything')::boolean, false);
  v_dead uuid[];
  v_new uuid[];
  v_rows jsonb;
  v_orphans jsonb;
begin
  v_dead := array(
    select w.id from mailer.workers w
    where w.id <> (v_args ->> 'worker_id')::uuid and (v_everything or w.stopped_at is not null
      or w.beat_at < v_now - (v_args ->> 'dead_after_ms')::bigint * interval '1 ms'));
  -- What a newly dead process had put into the queue may never have got there. What is due may
  -- be held by a dead worker that had not claimed it: under a new wake it need not wait until
  -- the queue finds the stalled job.
  v_new := array(select w.id from mailer.workers w
    where w.id = any (v_dead) and w.reaped_at is null for update skip locked);
  if array_length(v_new, 1) is not null then
    update mailer.emails e set queued_at = null, queued_by = null,
      wake = e.wake + case when e.next_attempt_at <= v_now and exists (
        select from mailer.workers w where w.id = e.queued_by and w.stopped_at is null)
        then 1 else 0 end
    where e.state = 'pending' and e.queued_by = any (v_new)
      and e.region in (select w.region from mailer.workers w where w.id = any (v_new));
    update mailer.workers w set reaped_at = v_now where w.id = any (v_new);
  end if;

  with lost as (
    select e.id from mailer.emails e
    where e.state = 'sending' and e.fenced_at is null
      and (e.worker_id = any (v_dead) or e.claimed_at < v_now - c_longest)
    order by e.id limit 1000 for update skip locked
  ),
  moved as (
    update mailer.emails e set state = 'pending', worker_id = null, wake = e.wake + 1,
      queued_at = null, queued_by = null, crashes = e.crashes + 1, sequence = e.sequence + 1
    from lost l where e.id = l.id
    returning e.id, e.owner_id, e.sequence, e.crashes
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'token', e.claim_token,
    'attempt', e.attempts + 1, 'attempts_before', e.attempts_before,
    'max_retries', e.max_retries, 'max_age_seconds', e.max_age_seconds,
    'age_ms', mailer.ms_until(v_now, e.age_from), 'on_uncertain', e.on_uncertain, 'region', e.region)), '[]')
  into v_orphans
  from mailer.emails e join mailer.workers w on w.id = e.worker_id
  where e.state = 'sending' and e.fenced_at is not null
    and ((v_everything and e.worker_id = any (v_dead))
      or (e.worker_id = any (v_dead)
        and e.fenced_at < v_now - 1.2 * w.reply_timeout_ms * interval '1 ms')
      or e.fenced_at < v_now - 1.2 * w.reply_timeout_ms * interval '1 ms' - c_longest);

  -- Nobody needs the row of a process that is long gone and holds nothing.
  delete from mailer.workers w
  where w.id = any (v_dead) and w.beat_at < v_now - interval '1 day'
    and not exists (select from mailer.emails e
      where e.state = 'sending' and e.worker_id = w.id);

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'pending', 'reason', 'worker_dead')
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('released', jsonb_array_length(v_rows),
    'crashed_workers', (select count(*) from mailer.workers w
      where w.id = any (v_new) and w.stopped_at is null), 'orphans', v_orphans)::text;
end
$$;

-- set_queue_marker: tells which value the region's queue carries. Another one than before
-- means that the queue was lost: all that was queued before now is void.
-- args { region, marker }; answer { is_new }.
create function mailer.set_queue_marker(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_region mailer.regions;
begin
  insert into mailer.regions (name, beat_at) values (v_args ->> 'region', clock_timestamp())
  on conflict (name) do nothing;
  select * into v_region from mailer.regions r where r.name = v_args ->> 'region' for update;
  if v_region.marker is not distinct from v_args ->> 'marker' then
    return '{"is_new":false}';
  end if;
  update mailer.regions r set marker = v_args ->> 'marker', marker_at = clock_timestamp(),
    is_swept = false
  where r.name = v_args ->> 'region';
  return '{"is_new":true}';
end
$$;

-- queue_due: emails of a region that belong into its queue and are not in it; says so in their
-- rows, under the wake they have. Due first.
--
-- args { region, worker_id, horizon_ms, limit }
-- answer { emails: [{ id, wake, delay_ms }], has_more }
--
-- Not in it: queued_at is null; or older than the queue's marker; or overdue by 60 s, and so
-- is queued_at (a job that is still there makes adding it again a no-op).
create function mailer.queue_due(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + (v_args ->> 'horizon_ms')::bigint * interval '1 ms';
  v_limit integer := (v_args ->> 'limit')::integer;
  v_region mailer.regions;
  v_ids uuid[];
  v_void uuid[];
  v_emails jsonb;
begin
  select * into v_region from mailer.regions r where r.name = v_args ->> 'region';
  v_ids := array(
    select e.id from mailer.emails e
    where e.region = v_region.name and e.state = 'pending' and e.queued_at is null
      and e.next_attempt_at <= v_until
    order by e.next_attempt_at limit v_limit for update skip locked);
  if not v_region.is_swept then
    v_void := array(
      select e.id from mailer.emails e
      where e.region = v_region.name and e.state = 'pending'
        and e.queued_at < v_region.marker_at and e.next_attempt_at <= v_until
      order by e.next_attempt_at limit v_limit for update skip locked);
    if coalesce(array_length(v_void, 1), 0) = 0 then
      update mailer.regions r set is_swept = true
      where r.name = v_region.name and r.marker_at = v_region.marker_at;
    end if;
    v_ids := v_ids || v_void;
  end if;
  v_ids := v_ids || array(
    select e.id from mailer.emails e
    where e.region = v_region.name and e.state = 'pending'
      and e.next_attempt_at < v_now - interval '60 seconds'
      and e.queued_at < v_now - interval '60 seconds'
    order by e.next_attempt_at limit v_limit for update skip locked);

  with moved as (
    update mailer.emails e set queued_at = v_now, queued_by = (v_args ->> 'worker_id')::uuid
    where e.id = any (v_ids) and e.state = 'pending'
    returning e.id, e.wake, e.next_attempt_at
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'wake', m.wake,
    'delay_ms', mailer.ms_until(m.next_attempt_at, v_now)) order by m.next_attempt_at), '[]')
  into v_emails from moved m;
  return jsonb_build_object('emails', v_emails,
    'has_more', jsonb_array_length(v_emails) >= v_limit)::text;
end
$$;

-- unqueue: jobs that could not be added, or were given up before their claim.
-- args { items: [{ id, wake }] }; answer: how many rows.
create function mailer.unqueue(args text) returns text
language plpgsql
as $$
declare
  v_count integer;
begin
  update mailer.emails e set queued_at = null, queued_by = null
  from jsonb_to_recordset(args::jsonb -> 'items') as i (id uuid, wake integer)
  where e.id = i.id and e.wake = i.wake and e.state = 'pending';
  get diagnostics v_count = row_count;
  return v_count::text;
end
$$;

-- check_key: compares the fingerprint of the encryption key with the one this database was
-- first used with. args { fingerprint }; answer { matches }.
create function mailer.check_key(args text) returns text
language plpgsql
as $$
declare
  v_fingerprint text := args::jsonb ->> 'fingerprint';
begin
  insert into mailer.settings (name, value) values ('encryption_key', v_fingerprint)
  on conflict (name) do nothing;
  return jsonb_build_object('matches', exists (select from mailer.settings s
    where s.name = 'encryption_key' and s.value = v_fingerprint))::text;
end
$$;

-- now: the database's clock, which alone decides what is due.
create function mailer.clock(args text) returns text
language sql volatile
as $$ select to_json(clock_timestamp())::text $$;

insert into mailer.functions (name, roles) values
  ('beat', array['service']),
  ('stop_worker', array['service']),
  ('take_over', array['service']),
  ('set_queue_marker', array['service']),
  ('queue_due', array['service']),
  ('unqueue', array['service']),
  ('check_key', array['service']),
  ('clock', array['service']);

-- Nothing of ours is for everybody.
revoke execute on all functions in schema mailer from public;
grant execute on all functions in schema mailer to mailer_service;
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000006'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000006', array[v_sql], 'reconcile');
end
$migration$;

-- 20261124000007_seal
do $migration$
declare
  v_sql text := $taskforce_mailer$-- The sealer: gives the journal's entries their position, number and hash, and lets readers
-- follow with a cursor.
--
-- Entries become visible when their transaction commits, and not in the order of their ids.
-- Positions are given later, by one sealer at a time, so they become visible in their own
-- order: whoever has read up to a position has missed nothing below it.

-- Entries wait unsealed for a moment only: these indexes hold the sealed ones, so that the
-- insert, which somebody waits for, pays for none of them.
alter table mailer.journal
  drop constraint journal_position_key,
  drop constraint journal_owner_id_number_key;
create unique index journal_position on mailer.journal (position) where position is not null;
create unique index journal_number on mailer.journal (owner_id, number)
  where number is not null;
create index journal_of_owner on mailer.journal (owner_id, position) where position is not null;

-- The newest sealed entry of each owner: where the chain goes on, and where it must end.
create table mailer.journal_heads (
  owner_id text primary key,
  number bigint not null,
  hash bytea not null
) with (fillfactor = 50);

-- What the sealer knows; one row.
create table mailer.sealer (
  is_only_row boolean primary key default true check (is_only_row),
  -- Of the newest sealed entry; 0: none yet.
  position bigint not null,
  -- No entry up to this id is unsealed: where to look from. A search from there stays short
  -- even while an old snapshot somewhere in the cluster keeps dead index entries alive.
  sealed_to bigint not null,
  -- When a search from the very start last made sure of it.
  swept_at timestamptz not null
);
insert into mailer.sealer (position, sealed_to, swept_at) values (0, 0, '-infinity');

do $$
declare
  v_table text;
begin
  foreach v_table in array array['journal_heads', 'sealer'] loop
    execute format('alter table mailer.%I enable row level security', v_table);
    execute format('alter table mailer.%I force row level security', v_table);
    execute format('revoke all on mailer.%I from public', v_table);
    execute format('create policy service_rows on mailer.%I to mailer_service
      using (true) with check (true)', v_table);
  end loop;
end
$$;
create policy own_rows on mailer.journal_heads to mailer_owner
  using (owner_id = (select mailer.claim_sub()));
grant select on mailer.journal_heads to mailer_owner;
grant select, insert, update on mailer.journal_heads to mailer_service;
grant select, update on mailer.sealer to mailer_service;
grant update (position, number, canonical, hash) on mailer.journal to mailer_service;

-- Entries are only ever added, unsealed, and then sealed once; also for the table's owner.
create function mailer.refuse_journal_change() returns trigger
language plpgsql
as $$
begin
  raise exception 'the journal is append-only: % refused', lower(tg_op)
    using errcode = 'check_violation';
end
$$;
create trigger journal_starts_unsealed before insert on mailer.journal
  for each row when (num_nonnulls(new.position, new.number, new.canonical, new.hash) > 0)
  execute function mailer.refuse_journal_change();
create trigger journal_sealed_once before update on mailer.journal
  for each row when (
    num_nonnulls(old.position, old.number, old.canonical, old.hash) > 0
    or num_nulls(new.position, new.number, new.canonical, new.hash) > 0
    or (new.id, new.at, new.owner_id, new.actor, new.origin, new.action, new.email_id,
        new.sequence, new.detail)
      is distinct from (old.id, old.at, old.owner_id, old.actor, old.origin, old.action,
        old.email_id, old.sequence, old.detail))
  execute function mailer.refuse_journal_change();
create trigger journal_kept before delete or truncate on mailer.journal
  for each statement execute function mailer.refuse_journal_change();

-- An instant as entries show it: UTC, microseconds, whatever the session's settings.
create function mailer.utc_text(t timestamptz) returns text
language sql stable
as $$ select to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- The bytes of an entry that are hashed: JSON in UTF-8, its members in this order, spaced as
-- json_build_object does; detail as jsonb prints it (members by length, then by bytes). They
-- are stored, so that a verifier need not know how they are made.
create function mailer.journal_canonical(j mailer.journal, place bigint, number bigint)
returns bytea
language sql stable
as $$
  select convert_to(json_build_object('position', place, 'number', number,
    'at', mailer.utc_text(j.at), 'owner_id', j.owner_id, 'actor', j.actor, 'origin', j.origin,
    'action', j.action, 'email_id', j.email_id, 'sequence', j.sequence,
    'detail', j.detail)::text, 'UTF8')
$$;

-- The chain of an owner's entries: hash = sha256(hash of the one before || canonical). Before
-- the first one come 32 zero bytes. As a window aggregate: chain(head, canonical), where head
-- is the hash before the first row.
create function mailer.chain_link(hash bytea, head bytea, canonical bytea) returns bytea
language sql immutable
as $$ select sha256(coalesce(hash, head) || canonical) $$;
create aggregate mailer.chain(head bytea, canonical bytea) (
  sfunc = mailer.chain_link, stype = bytea
);

-- The largest id there is, at a moment when no entry below it can appear any more; null when
-- a transaction holds the journal for longer than 20 ms.
--
-- Functions take the journal's lock shared in the statement before their insert, which draws
-- the id, and keep it to their commit. So while it is held exclusively no insert is under way,
-- and the snapshot of the next statement sees all there ever will be up to the largest id.
-- Whoever wants to insert waits behind us meanwhile: hence the short patience. The lock is let
-- go by leaving the block with an exception, which undoes a subtransaction and what it locked:
-- no error, no cancel and no pooler can leave it behind, as could happen to a session's lock.
create function mailer.journal_boundary() returns bigint
language plpgsql
as $$
declare
  v_boundary bigint;
begin
  perform set_config('lock_timeout', '20ms', true);
  perform pg_advisory_xact_lock(7382640001);
  select max(j.id) into v_boundary from mailer.journal j;
  raise exception using errcode = 'TM002', message = 'boundary read';
exception
  when sqlstate 'TM002' then return v_boundary;
  when lock_not_available then return null;
end
$$;

-- When the oldest unsealed entry above an id was written; null when there is none.
create function mailer.oldest_unsealed(above bigint) returns timestamptz
language sql volatile
as $$
  select j.at from mailer.journal j where j.position is null and j.id > above
  order by j.id limit 1
$$;

-- Seals the first unsealed entries with above < id <= boundary (null: all that is committed).
-- Only for whoever holds the sealer's lock.
create function mailer.seal_batch(above bigint, boundary bigint, max_entries integer,
  out sealed integer, out last_id bigint)
language plpgsql
as $$
declare
  v_position bigint;
begin
  select s.position into v_position from mailer.sealer s where s.is_only_row;
  with batch as materialized (
    select j as entry, j.id, j.owner_id from mailer.journal j
    where j.position is null and j.id > above
      and j.id <= coalesce(boundary, 9223372036854775807)
    order by j.id limit max_entries
  ),
  placed as (
    select b.*, v_position + row_number() over (order by b.id) as position,
      coalesce(h.number, 0) + row_number() over (partition by b.owner_id order by b.id)
        as number,
      coalesce(h.hash, decode(repeat('00', 32), 'hex')) as head
    from batch b left join mailer.journal_heads h on h.owner_id = b.owner_id
  ),
  chained as materialized (
    select p.id, p.owner_id, p.position, p.number, c.canonical,
      mailer.chain(p.head, c.canonical) over (partition by p.owner_id order by p.number) as hash
    from placed p
    -- offset keeps it from being computed for each use.
    cross join lateral (
      select mailer.journal_canonical(p.entry, p.position, p.number) as canonical offset 0) c
  ),
  written as (
    update mailer.journal j
    set position = c.position, number = c.number, canonical = c.canonical, hash = c.hash
    from chained c where j.id = c.id
  ),
  heads as (
    insert into mailer.journal_heads as h (owner_id, number, hash)
    select distinct on (c.owner_id) c.owner_id, c.number, c.hash
    from chained c order by c.owner_id, c.number desc
    on conflict (owner_id) do update set number = excluded.number, hash = excluded.hash
  )
  select count(*), max(c.id) into sealed, last_id from chained c;
end
$$;

-- seal_journal: seals what was not yet, oldest id first.
--
-- args { limit }; answer { sealed, has_more, is_busy, oldest_ms }
--   is_busy: another sealer is at it, and nothing was done
--   oldest_ms: age of the oldest entry known to be left unsealed; 0 when none is
--
-- Guarantees: one sealer at a time in the whole database; positions without a gap, numbers
-- without a gap per owner; an email's entries in their sequence. Positions follow the ids,
-- but for one case: a transaction that keeps the journal's lock for longer than 300 ms is not
-- waited for, and its entries come later. No reader depends on it: what is not committed
-- nobody has seen, and an entry that builds on another has the larger id and is visible later.
create function mailer.seal_journal(args text) returns text
language plpgsql
-- Always by index: a plan made while the journal was small must do when it is large.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  c_patience constant interval := '300 ms';
  v_limit integer := (args::jsonb ->> 'limit')::integer;
  v_above bigint;
  v_is_sweep boolean;
  v_oldest timestamptz;
  v_is_busy boolean := false;
  v_boundary bigint;
  v_sealed integer := 0;
  v_last_id bigint;
begin
  select s.swept_at < clock_timestamp() - interval '1 minute', s.sealed_to
  into v_is_sweep, v_above from mailer.sealer s where s.is_only_row;
  if v_is_sweep then
    v_above := '-9223372036854775808';
  end if;
  v_oldest := mailer.oldest_unsealed(v_above);

  if v_oldest is not null or v_is_sweep then
    v_is_busy := not pg_try_advisory_xact_lock(7382640002);
  end if;
  if v_oldest is not null and not v_is_busy then
    loop
      v_boundary := mailer.journal_boundary();
      exit when v_boundary is not null or v_oldest < clock_timestamp() - c_patience;
      perform pg_sleep(0.08);
    end loop;
    select b.sealed, b.last_id into v_sealed, v_last_id
    from mailer.seal_batch(v_above, v_boundary, v_limit) b;
    v_oldest := case when v_sealed = v_limit then mailer.oldest_unsealed(v_above) end;
  end if;
  if v_sealed > 0 or (v_is_sweep and not v_is_busy) then
    update mailer.sealer s set position = s.position + v_sealed,
      sealed_to = case when v_boundary is null then s.sealed_to
        when v_sealed = v_limit then v_last_id else v_boundary end,
      swept_at = case when v_is_sweep and v_sealed < v_limit then clock_timestamp()
        else s.swept_at end
    where s.is_only_row;
  end if;
  return jsonb_build_object('sealed', v_sealed, 'has_more', v_oldest is not null and not v_is_busy,
    'is_busy', v_is_busy,
    'oldest_ms', coalesce(mailer.ms_until(clock_timestamp(), v_oldest), 0))::text;
end
$$;

-- journal_lag: how far the sealer is behind. args {}; answer { unsealed, oldest_ms }.
create function mailer.journal_lag(args text) returns text
language sql volatile
as $$
  select json_build_object('unsealed', count(*),
    'oldest_ms', coalesce(mailer.ms_until(clock_timestamp(), min(j.at)), 0))::text
  from mailer.journal j where j.position is null
$$;

create function mailer.entry_json(j mailer.journal, proof boolean) returns jsonb
language sql stable
as $$
  select jsonb_build_object('position', j.position, 'number', j.number,
    'at', mailer.utc_text(j.at), 'owner_id', j.owner_id, 'actor', j.actor, 'origin', j.origin,
    'action', j.action, 'email_id', j.email_id, 'sequence', j.sequence, 'detail', j.detail)
    || case when proof then jsonb_build_object('canonical', encode(j.canonical, 'base64'),
      'hash', encode(j.hash, 'hex')) else '{}' end
$$;

-- read_journal: sealed entries after a position, in order of position.
--
-- args { after, limit, email_id | null, owner_id | null, proof: bool }
-- answer { entries: [{ position, number, at (UTC, microseconds), owner_id, actor, origin,
--            action, email_id, sequence, detail, canonical (base64), hash (hex) }],
--          head: { number, hash } | null }
-- canonical, hash and head (where the owner's chain ends now) only with proof; head only when
-- one owner is asked for. A user sees its own entries, whatever is asked for.
--
-- Guarantees: whoever goes on after the last position it got never misses an entry and never
-- gets one twice.
create function mailer.read_journal(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_proof boolean := coalesce((v_args ->> 'proof')::boolean, false);
  v_owner text := v_args ->> 'owner_id';
  v_where text := format('j.position > %s', coalesce((v_args ->> 'after')::bigint, 0));
  v_entries jsonb;
begin
  if mailer.claim_role() not in ('admin', 'service') then
    v_owner := mailer.claim_sub();
  end if;
  if v_owner is not null then
    v_where := v_where || format(' and j.owner_id = %L', v_owner);
  end if;
  if v_args ->> 'email_id' is not null then
    v_where := v_where || format(' and j.email_id = %L::uuid', v_args ->> 'email_id');
  end if;
  execute format('select coalesce(jsonb_agg(mailer.entry_json(q.j, %L) order by (q.j).position),
    ''[]'') from (select j from mailer.journal j where %s order by j.position limit %s) q',
    v_proof, v_where, (v_args ->> 'limit')::integer) into v_entries;
  return jsonb_build_object('entries', v_entries, 'head', case when v_proof then (
    select jsonb_build_object('number', h.number, 'hash', encode(h.hash, 'hex'))
    from mailer.journal_heads h where h.owner_id = v_owner) end)::text;
end
$$;

revoke execute on all functions in schema mailer from public;
grant execute on all functions in schema mailer to mailer_service;
grant execute on function mailer.utc_text(timestamptz),
  mailer.entry_json(mailer.journal, boolean), mailer.read_journal(text) to mailer_owner;

insert into mailer.functions (name, roles) values
  ('seal_journal', array['service']),
  ('journal_lag', array['admin', 'service']),
  ('read_journal', array['user', 'admin', 'service']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000007'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000007', array[v_sql], 'seal');
end
$migration$;

-- 20261124000008_record_action
do $migration$
declare
  v_sql text := $taskforce_mailer$-- What a person did to the program itself, beside what happened to an email.

-- record_action: args { action, detail: {}, origin | null }; answer {}.
-- The entry belongs to the acting admin: owner and actor are the claims' sub.
-- Guarantees: nobody writes an entry about an email this way; those come from the functions
-- that change one.
create function mailer.record_action(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_action text := v_args ->> 'action';
begin
  if v_action is null or v_action !~ '^[a-z]+\.[a-z_]+$' or v_action like 'email.%' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'This action is not for record_action.';
  end if;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values (mailer.claim_sub(), mailer.claim_sub(), v_args ->> 'origin', v_action,
    coalesce(v_args -> 'detail', '{}'));
  return '{}';
end
$$;

revoke execute on function mailer.record_action(text) from public;
grant execute on function mailer.record_action(text) to mailer_service;

insert into mailer.functions (name, roles) values ('record_action', array['admin']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000008'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000008', array[v_sql], 'record_action');
end
$migration$;

-- 20261124000009_views
do $migration$
declare
  v_sql text := $taskforce_mailer$-- For people who read with supabase-js: read-only views of the caller's own emails.
--
-- The views are security_invoker: what they show is decided by the rights and the row-level
-- security of whoever asks. Supabase's role `authenticated` may read the columns named below, of
-- rows whose owner is the sub of its token, and nothing else: no content, no addresses, no
-- subject, not even encrypted. `anon` may read nothing. On a PostgreSQL without these roles the
-- views are there and nobody but their owner may use them.

-- emails: the status of each email; attempts is how many were made.
create view mailer_api.emails with (security_invoker = true) as
  select e.id, e.state as status, e.region, e.created_at, e.scheduled_at,
    case when e.state in ('pending', 'sending') then e.next_attempt_at end as next_attempt_at,
    e.sent_at, e.expires_at, e.attempts, e.tags, e.metadata, e.version
  from mailer.emails e;

-- recipients: what became of each, by its place in the email; 0 is the first of the To line.
create view mailer_api.recipients with (security_invoker = true) as
  select r.email_id, r.position, r.kind, r.status, r.smtp_code, r.enhanced_code
  from mailer.recipients r;

-- events: what happened to an email, in order of its sequence.
create view mailer_api.events with (security_invoker = true) as
  select j.email_id, j.sequence, j.at, j.action, j.detail
  from mailer.journal j
  where j.email_id is not null and j.sequence is not null;

revoke all on mailer_api.emails, mailer_api.recipients, mailer_api.events from public;

do $$
declare
  v_table text;
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'authenticated') then
    return;
  end if;
  grant usage on schema mailer, mailer_api to authenticated;
  grant execute on function mailer.claim_sub() to authenticated;
  grant select on mailer_api.emails, mailer_api.recipients, mailer_api.events to authenticated;
  grant select (id, state, region, created_at, scheduled_at, next_attempt_at, sent_at,
    expires_at, attempts, tags, metadata, version) on mailer.emails to authenticated;
  grant select (email_id, position, kind, status, smtp_code, enhanced_code)
    on mailer.recipients to authenticated;
  grant select (email_id, sequence, at, action, detail)
    on mailer.journal to authenticated;
  foreach v_table in array array['emails', 'recipients', 'journal'] loop
    execute format(
      'create policy own_rows_of_users on mailer.%I for select to authenticated
         using (owner_id = (select mailer.claim_sub()))', v_table);
  end loop;
end
$$;
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000009'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000009', array[v_sql], 'views');
end
$migration$;

-- 20261124000010_transport_slots
do $migration$
declare
  v_sql text := $taskforce_mailer$-- A transport's limit of messages a second holds over all processes and regions that share
-- this database: every message takes a slot first, and slots are spaced here.

create table mailer.transports (
  -- Host and port, and a hash of the user: no address, no secret.
  name text primary key,
  -- The first moment that nobody has reserved yet.
  next_slot_at timestamptz not null
);

alter table mailer.transports enable row level security;
alter table mailer.transports force row level security;
revoke all on mailer.transports from public;
create policy service_rows on mailer.transports to mailer_service
  using (true) with check (true);
grant select, insert, update on mailer.transports to mailer_service;

-- reserve_slots: moments at which a message may be handed to the next hop.
--
-- args { transport, rate_per_second, count }; answer { wait_ms: [one per slot, from now] }.
--
-- Guarantees: of all slots ever given out for a transport no two are closer than
-- 1 / rate_per_second by the database's clock, so that a pause is never made up for by a
-- burst. A slot that is not used is lost. Slots more than an hour ahead are those of a clock
-- that was set back meanwhile (nobody reserves so far ahead) and are forgotten.
create function mailer.reserve_slots(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_count integer := (v_args ->> 'count')::integer;
  -- Rounded up to the microsecond, the finest a timestamp knows.
  v_gap interval := ceil(1000000 / (v_args ->> 'rate_per_second')::numeric)
    * interval '1 microsecond';
  v_end timestamptz;
  v_now timestamptz;
begin
  -- Its clock is read once the row is ours: a wait for the lock is no reason for two slots
  -- to meet.
  insert into mailer.transports as t (name, next_slot_at)
  values (v_args ->> 'transport', clock_timestamp() + v_count * v_gap)
  on conflict (name) do update set next_slot_at = v_count * v_gap + case
      when t.next_slot_at > clock_timestamp() + interval '1 hour' then clock_timestamp()
      else greatest(t.next_slot_at, clock_timestamp())
    end
  returning t.next_slot_at into v_end;
  v_now := clock_timestamp();
  return jsonb_build_object('wait_ms', (
    select jsonb_agg(greatest(0, ceil(extract(epoch from
      v_end - v_gap * (v_count - i) - v_now) * 1000)) order by i)
    from generate_series(0, v_count - 1) i))::text;
end
$$;

revoke execute on function mailer.reserve_slots(text) from public;
grant execute on function mailer.reserve_slots(text) to mailer_service;

insert into mailer.functions (name, roles) values ('reserve_slots', array['service']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000010'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000010', array[v_sql], 'transport_slots');
end
$migration$;

-- 20261124000011_change_emails
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Changing an email that exists: edit, reschedule, hold, release, replay; and max_lateness.
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
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000011'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000011', array[v_sql], 'change_emails');
end
$migration$;

-- 20261124000012_dead_letters
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Dead letters in groups, and replaying or cancelling many emails at once.

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
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000012'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000012', array[v_sql], 'dead_letters');
end
$migration$;

-- 20261124000013_reconcile_more
do $migration$
declare
  v_sql text := $taskforce_mailer$-- The reconciler as a part of its own: poison emails, silent regions, jobs that wait too long.

-- crashes counts deaths of workers that held the email un-fenced, whoever was to blame. From
-- the second on it is a suspect, which is claimed only in isolation: no other suspect is under
-- way in the same process. crashes_alone counts the deaths during such a claim.
alter table mailer.emails
  add column crashes_alone smallint not null default 0,
  -- The running claim was made in isolation.
  add column isolated boolean not null default false;

-- An attempt that was settled, by whatever outcome, clears an email of suspicion; so does a
-- person who sends it again.
create function mailer.reset_crashes() returns trigger
language plpgsql
as $$
begin
  new.crashes := 0;
  new.crashes_alone := 0;
  new.isolated := false;
  return new;
end
$$;
create trigger emails_cleared before update of attempts, state on mailer.emails
  for each row when (old.crashes > 0 and (new.attempts > old.attempts
    or (new.state = 'pending' and old.state not in ('pending', 'sending'))))
  execute function mailer.reset_crashes();

-- claim_emails: the right to send, and the judgement whether to.
--
-- args: { worker_id, region, transport, inline_bytes_max,
--         items: [{ id, wake, isolated, again }] }
--   again: an earlier call for this item by this worker had no answer, and may have committed
-- answer, one per item:
--   { kind: "claimed", token, attempt, attempts_before, max_retries, max_age_seconds,
--     age_ms, on_uncertain, owner_id, wrapped_key, sender, message_date | null,
--     message (base64) | null when larger than inline_bytes_max, message_bytes,
--     recipients: [{ position, address }] (still to be tried), sent_before, bounced_before }
--   { kind: "not_due", due_in_ms }
--   { kind: "suspect" }                   its workers died; claim it again with isolated, while
--                                         no other suspect is under way in this process
--   { kind: "stale" }                     another wake, another state, or gone: drop the job
--   { kind: "expired" } | { kind: "held" }   too late; the state says so now
--
-- Guarantees: of any number of claims for one wake one is granted; never before
-- next_attempt_at by the database's clock; the token rises with every claim. A claim whose
-- answer was lost is granted again when its worker asks again, until it is fenced: under a new
-- token, so that whoever may hold the former one is refused at the fence.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  c_suspect_from constant smallint := 2;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  v_rows jsonb;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i))
  order by e.id for update;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, coalesce(i.isolated, false) as isolated,
      coalesce(i.again, false) as again, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer,
      isolated boolean, again boolean)) with ordinality as i (id, wake, isolated, again, n)
  ),
  judged as materialized (
    select i.n, i.id, i.isolated, e.next_attempt_at, case
        when i.again and i.turn = 1 and e.state = 'sending' and e.wake = i.wake
          and e.worker_id = v_worker and e.fenced_at is null then 'claimed'
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        when e.crashes >= c_suspect_from and not i.isolated then 'suspect'
        else 'claimed'
      end as kind
    from item i left join mailer.emails e on e.id = i.id
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = v_now,
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.*
  )
  select coalesce(jsonb_agg(case j.kind
      when 'claimed' then jsonb_build_object('kind', j.kind, 'id', m.id,
        'sequence', m.sequence, 'token', m.claim_token, 'attempt', m.attempts + 1,
        'attempts_before', m.attempts_before, 'max_retries', m.max_retries,
        'max_age_seconds', m.max_age_seconds,
        'age_ms', mailer.ms_until(v_now, m.age_from),
        'on_uncertain', m.on_uncertain, 'owner_id', m.owner_id,
        'wrapped_key', m.wrapped_key, 'sender', m.sender, 'message_date', m.message_date,
        'message_bytes', m.message_bytes)
      when 'not_due' then jsonb_build_object('kind', j.kind,
        'due_in_ms', mailer.ms_until(j.next_attempt_at, v_now))
      when 'stale' then jsonb_build_object('kind', j.kind)
      when 'suspect' then jsonb_build_object('kind', j.kind)
      else jsonb_build_object('kind', j.kind, 'id', m.id, 'owner_id', m.owner_id,
        'sequence', m.sequence)
    end order by j.n), '[]')
  into v_rows
  from judged j left join moved m on m.id = j.id and j.kind in ('claimed', 'expired', 'held');

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor,
    case r ->> 'kind' when 'claimed' then 'email.sending' else 'email.' || (r ->> 'kind') end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    case r ->> 'kind'
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', r -> 'attempt',
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', r ->> 'kind', 'reason', 'too_late')
    end
  from jsonb_array_elements(v_rows) r
  where r ? 'sequence';

  return (
    select json_agg(case when r ->> 'kind' <> 'claimed' then r::json else json_build_object(
        'kind', 'claimed', 'token', r -> 'token', 'attempt', r -> 'attempt',
        'attempts_before', r -> 'attempts_before', 'max_retries', r -> 'max_retries',
        'max_age_seconds', r -> 'max_age_seconds', 'age_ms', r -> 'age_ms',
        'on_uncertain', r -> 'on_uncertain', 'owner_id', r -> 'owner_id',
        'wrapped_key', r -> 'wrapped_key', 'sender', r -> 'sender',
        'message_date', r -> 'message_date', 'message_bytes', r -> 'message_bytes',
        'message', case when octet_length(c.message) <= (v_args ->> 'inline_bytes_max')::integer
          then encode(c.message, 'base64') end,
        'recipients', (select json_agg(json_build_object('position', t.position,
            'address', t.address) order by t.position)
          from mailer.recipients t
          where t.email_id = c.email_id and t.status in ('pending', 'deferred')),
        'sent_before', (select count(*) from mailer.recipients t
          where t.email_id = c.email_id and t.status = 'sent'),
        'bounced_before', (select count(*) from mailer.recipients t
          where t.email_id = c.email_id and t.status in ('bounced', 'suppressed')))
      end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
    left join mailer.contents c on c.email_id = (r ->> 'id')::uuid and r ->> 'kind' = 'claimed'
  )::text;
end
$$;

-- Processes that are dead to the caller: silent for dead_after_ms, or stopped. Those of another
-- region only after five seconds more: their own region finds them first, if it lives, and
-- queues what they held at once. One that has stopped in this very moment counts: PGlite's clock
-- goes by milliseconds.
create function mailer.dead_workers(caller uuid, caller_region text, dead_after_ms bigint)
returns setof mailer.workers
language sql stable
as $$
  select w.* from mailer.workers w
  where w.id <> caller and coalesce(w.stopped_at, w.beat_at + dead_after_ms * interval '1 ms')
    <= clock_timestamp() - case when w.region = caller_region then interval '0'
      else interval '5 seconds' end
$$;

-- Regions with pending emails in which nothing has sent for silent_ms, or that nobody ever
-- heard of. Hops from region to region on the index, whatever number of emails there is.
create function mailer.silent_regions(silent_ms bigint) returns setof text
language sql stable
as $$
  with recursive named as (
    (select e.region from mailer.emails e where e.state = 'pending' order by e.region limit 1)
    union all
    select (select e.region from mailer.emails e
      where e.state = 'pending' and e.region > n.region order by e.region limit 1)
    from named n where n.region is not null
  )
  select n.region from named n left join mailer.regions r on r.name = n.region
  where n.region is not null
    and (r.name is null or r.beat_at < clock_timestamp() - silent_ms * interval '1 ms')
$$;

-- beat: a process says that it lives, and hears whether there is work for the reconciler.
-- args { worker_id, region, role, reply_timeout_ms, dead_after_ms, can_send };
-- answer { now, was_reaped, has_dead, has_due }.
-- was_reaped: the others thought it dead since its last beat. has_dead: a process has newly
-- died. has_due: an email of the region is due and not in the queue. Both cost one probe.
--
-- A region lives by its processes that can send (can_send: has workers, and a queue that
-- answers): one that only accepts cannot send what it has.
create or replace function mailer.beat(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_id uuid := (v_args ->> 'worker_id')::uuid;
  v_region text := v_args ->> 'region';
  v_was_reaped boolean;
begin
  select w.reaped_at is not null into v_was_reaped from mailer.workers w where w.id = v_id;
  insert into mailer.workers as w (id, region, role, started_at, beat_at, reply_timeout_ms)
  values (v_id, v_region, v_args ->> 'role', v_now, v_now,
    (v_args ->> 'reply_timeout_ms')::integer)
  on conflict (id) do update set beat_at = v_now, reaped_at = null, stopped_at = null;
  insert into mailer.regions as r (name, beat_at) values (v_region, v_now)
  on conflict (name) do update set beat_at = v_now
    where r.beat_at < v_now - interval '500 ms'
      and coalesce((v_args ->> 'can_send')::boolean, v_args ->> 'role' <> 'api');
  return jsonb_build_object('now', v_now, 'was_reaped', coalesce(v_was_reaped, false),
    'has_dead', exists (select from mailer.dead_workers(v_id, v_region,
      coalesce((v_args ->> 'dead_after_ms')::bigint, 5000)) w where w.reaped_at is null),
    -- In this order, since the planner takes a bare exists for a scan that ends soon.
    'has_due', coalesce((select e.next_attempt_at <= v_now from mailer.emails e
      where e.region = v_region and e.state = 'pending' and e.queued_at is null
      order by e.next_attempt_at limit 1), false))::text;
end
$$;

-- take_over: frees what dead workers held.
--
-- args { worker_id (the caller, never dead), region, dead_after_ms, silent_ms,
--        everything: bool }
-- answer { released, held: [id], crashed_workers, orphans: [{ id, token, attempt,
--          attempts_before, max_retries, max_age_seconds, age_ms, on_uncertain, region }] }
--
-- Un-fenced emails of dead workers are pending again at once (safe: the fence checks token and
-- state); at most 1,000 in one call. Each counts a crash, unless its worker left in order; one
-- that was claimed in isolation a third time in vain is held: it is the poison. The fenced ones
-- are named as orphans once 1.2 times their worker's reply timeout has passed, for the caller to
-- settle as uncertain: those of its own region, and of silent ones. What a living worker has
-- held for longer than any conversation can last is freed by the same two rules, so that no
-- fault of its own keeps an email for ever. everything: all that is sending is an orphan,
-- whoever holds it (the embedded database at boot, under the folder's lock).
create or replace function mailer.take_over(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  -- Longer than a conversation before the fence may take, and its settle after it.
  c_longest constant interval := '15 minutes';
  c_poison_from constant smallint := 3;
  v_now timestamptz := clock_timestamp();
  v_me uuid := (v_args ->> 'worker_id')::uuid;
  v_region text := v_args ->> 'region';
  v_everything boolean := coalesce((v_args ->> 'everything')::boolean, false);
  v_dead uuid[];
  v_new uuid[];
  c_batch constant integer := 10000;
  v_count integer;
  v_rows jsonb;
  v_orphans jsonb;
begin
  v_dead := case when v_everything
    then array(select w.id from mailer.workers w where w.id <> v_me)
    else array(select w.id
      from mailer.dead_workers(v_me, v_region, (v_args ->> 'dead_after_ms')::bigint) w) end;
  -- What a newly dead process had put into the queue may never have got there. What is due may
  -- be held by a dead worker that had not claimed it: under a new wake it need not wait until
  -- the queue finds the stalled job. Nothing is in the queue long before its time.
  v_new := array(select w.id from mailer.workers w
    where w.id = any (v_dead) and w.reaped_at is null order by w.id for update skip locked);
  if array_length(v_new, 1) is not null then
    with queued as (
      select e.id from mailer.emails e
      where e.state = 'pending' and e.queued_by = any (v_new)
        and e.region in (select w.region from mailer.workers w where w.id = any (v_new))
        and e.next_attempt_at <= v_now + interval '1 hour'
      limit c_batch for update skip locked
    )
    update mailer.emails e set queued_at = null, queued_by = null,
      wake = e.wake + case when e.next_attempt_at <= v_now and exists (
        select from mailer.workers w where w.id = e.queued_by and w.stopped_at is null)
        then 1 else 0 end
    from queued q where e.id = q.id;
    get diagnostics v_count = row_count;
    -- There is more: the next beat finds them newly dead again, and nothing is locked for long.
    if v_count >= c_batch then
      v_new := '{}';
    end if;
    update mailer.workers w set reaped_at = v_now where w.id = any (v_new);
  end if;

  with lost as (
    select e.id,
      case when e.worker_id = any (v_dead) and exists (select from mailer.workers w
        where w.id = e.worker_id and w.stopped_at is null) then 1 else 0 end as crash
    from mailer.emails e
    where e.state = 'sending' and e.fenced_at is null
      and (e.worker_id = any (v_dead) or e.claimed_at < v_now - c_longest)
    order by e.id limit 1000 for update skip locked
  ),
  judged as (
    select l.id, l.crash, l.crash * e.isolated::integer as alone,
      l.crash = 1 and e.isolated and e.crashes_alone + 1 >= c_poison_from as is_poison
    from lost l join mailer.emails e on e.id = l.id
  ),
  moved as (
    update mailer.emails e set state = case when j.is_poison then 'held' else 'pending' end,
      worker_id = null, wake = e.wake + 1, queued_at = null, queued_by = null,
      isolated = false, crashes = e.crashes + j.crash,
      crashes_alone = e.crashes_alone + j.alone, sequence = e.sequence + 1
    from judged j where e.id = j.id
    returning e.id, e.owner_id, e.sequence, e.state, e.crashes
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'token', e.claim_token,
    'attempt', e.attempts + 1, 'attempts_before', e.attempts_before,
    'max_retries', e.max_retries, 'max_age_seconds', e.max_age_seconds,
    'age_ms', mailer.ms_until(v_now, e.age_from), 'on_uncertain', e.on_uncertain,
    'region', e.region)), '[]')
  into v_orphans
  from mailer.emails e join mailer.workers w on w.id = e.worker_id
  where e.state = 'sending' and e.fenced_at is not null
    and ((v_everything and e.worker_id = any (v_dead))
      or ((e.region = v_region or not exists (select from mailer.regions r
          where r.name = e.region and r.beat_at
            >= v_now - (v_args ->> 'silent_ms')::bigint * interval '1 ms'))
        and ((e.worker_id = any (v_dead)
            and e.fenced_at < v_now - 1.2 * w.reply_timeout_ms * interval '1 ms')
          or e.fenced_at < v_now - 1.2 * w.reply_timeout_ms * interval '1 ms' - c_longest)));

  -- Nobody needs the row of a process that is long gone and holds nothing.
  delete from mailer.workers w
  where w.id = any (v_dead) and w.beat_at < v_now - interval '1 day'
    and not exists (select from mailer.emails e
      where e.state = 'sending' and e.worker_id = w.id);

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(),
    case r ->> 'state' when 'held' then 'email.held' else 'email.released' end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
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

-- queue_due: emails of a region that belong into its queue and are not in it; says so in their
-- rows, under the wake they have. Due first.
--
-- args { region, worker_id, horizon_ms, limit }
-- answer { emails: [{ id, wake, delay_ms }], has_more }
--
-- Not in it: queued_at is null; or older than the queue's marker. (What the queue lost or keeps
-- waiting all the same is found by overdue_emails.) Nothing to do costs two probes.
create or replace function mailer.queue_due(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + (v_args ->> 'horizon_ms')::bigint * interval '1 ms';
  v_limit integer := (v_args ->> 'limit')::integer;
  v_region mailer.regions;
  v_ids uuid[];
  v_void uuid[];
  v_emails jsonb;
begin
  select * into v_region from mailer.regions r where r.name = v_args ->> 'region';
  v_ids := array(
    select e.id from mailer.emails e
    where e.region = v_region.name and e.state = 'pending' and e.queued_at is null
      and e.next_attempt_at <= v_until
    order by e.next_attempt_at limit v_limit for update skip locked);
  if not v_region.is_swept then
    v_void := array(
      select e.id from mailer.emails e
      where e.region = v_region.name and e.state = 'pending'
        and e.queued_at < v_region.marker_at and e.next_attempt_at <= v_until
      order by e.next_attempt_at limit v_limit for update skip locked);
    if coalesce(array_length(v_void, 1), 0) = 0 then
      update mailer.regions r set is_swept = true
      where r.name = v_region.name and r.marker_at = v_region.marker_at;
    end if;
    v_ids := v_ids || v_void;
  end if;

  with moved as (
    update mailer.emails e set queued_at = v_now, queued_by = (v_args ->> 'worker_id')::uuid
    where e.id = any (v_ids) and e.state = 'pending'
    returning e.id, e.wake, e.next_attempt_at
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'wake', m.wake,
    'delay_ms', mailer.ms_until(m.next_attempt_at, v_now)) order by m.next_attempt_at), '[]')
  into v_emails from moved m;
  return jsonb_build_object('emails', v_emails,
    'has_more', jsonb_array_length(v_emails) >= v_limit)::text;
end
$$;

-- overdue_emails: emails of a region that are due for overdue_ms, queued for as long, and still
-- not claimed; a page of them in order of their time, for the caller to look their jobs up.
--
-- args { region, overdue_ms, limit, after: { next_attempt_at, id } | null }
-- answer { emails: [{ id, wake }], last: { next_attempt_at, id } | null (a full page's),
--          until: up to here all were seen; emails queued a little after their time included }
create function mailer.overdue_emails(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_until timestamptz := clock_timestamp()
    - (v_args ->> 'overdue_ms')::bigint * interval '1 ms';
  v_after timestamptz := coalesce((v_args #>> '{after,next_attempt_at}')::timestamptz,
    '-infinity');
  v_after_id uuid := coalesce((v_args #>> '{after,id}')::uuid,
    '00000000-0000-0000-0000-000000000000');
  v_rows jsonb;
begin
  select coalesce(jsonb_agg(to_jsonb(p) order by p.next_attempt_at, p.id), '[]') into v_rows
  from (
    select e.id, e.wake, e.next_attempt_at from mailer.emails e
    where e.region = v_args ->> 'region' and e.state = 'pending'
      and e.next_attempt_at >= v_after and e.next_attempt_at <= v_until
      and (e.next_attempt_at > v_after or e.id > v_after_id) and e.queued_at < v_until
    order by e.next_attempt_at, e.id limit (v_args ->> 'limit')::integer) p;
  return jsonb_build_object(
    'emails', (select coalesce(jsonb_agg(jsonb_build_object('id', r -> 'id', 'wake', r -> 'wake')
      order by n), '[]') from jsonb_array_elements(v_rows) with ordinality as q (r, n)),
    'last', case when jsonb_array_length(v_rows) >= (v_args ->> 'limit')::integer
      then v_rows -> -1 end,
    'until', v_until - (v_args ->> 'overdue_ms')::bigint * interval '1 ms')::text;
end
$$;

-- adopt_emails: takes due emails of silent regions into the caller's, queued there by it.
--
-- args { region, worker_id, silent_ms, dead_after_ms, limit }
-- answer { emails: [{ id, wake, from_region }] }
--
-- Guarantees: each is adopted by one caller; the wake rises, so that a job of the region it
-- came from does nothing when that returns; a region without a living worker adopts nothing.
create function mailer.adopt_emails(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_silent text[];
  v_rows jsonb;
begin
  if exists (select from mailer.workers w
    where w.region = v_region and w.role <> 'api' and w.stopped_at is null
      and w.beat_at >= v_now - (v_args ->> 'dead_after_ms')::bigint * interval '1 ms')
  then
    v_silent := array(select s from mailer.silent_regions((v_args ->> 'silent_ms')::bigint) s
      where s <> v_region);
  end if;
  if array_length(v_silent, 1) is null then
    return '{"emails":[]}';
  end if;
  with due as (
    select e.id, e.region as from_region from mailer.emails e
    where e.region = any (v_silent) and e.state = 'pending' and e.next_attempt_at <= v_now
    limit (v_args ->> 'limit')::integer for update skip locked
  ),
  moved as (
    update mailer.emails e set region = v_region, wake = e.wake + 1, queued_at = v_now,
      queued_by = (v_args ->> 'worker_id')::uuid, sequence = e.sequence + 1
    from due d where e.id = d.id
    returning e.id, e.owner_id, e.sequence, e.wake, d.from_region
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer, jsonb_build_object('status', 'pending',
      'reason', 'region_silent', 'from_region', r -> 'from_region', 'region', v_region)
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('emails', (
    select coalesce(jsonb_agg(jsonb_build_object('id', r -> 'id', 'wake', r -> 'wake',
      'from_region', r -> 'from_region')), '[]')
    from jsonb_array_elements(v_rows) r))::text;
end
$$;

-- region_standing: how a region stands. args { region, dead_after_ms, silent_ms, count_max };
-- answer { oldest_due_ms, due_unclaimed (counted up to count_max), workers_alive,
--          regions: all that were ever heard of,
--          dead_regions: silent, and with pending emails or heard of within a day }.
create function mailer.region_standing(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_silent_ms bigint := (v_args ->> 'silent_ms')::bigint;
begin
  return jsonb_build_object(
    'oldest_due_ms', coalesce((select mailer.ms_until(v_now, e.next_attempt_at)
      from mailer.emails e where e.region = v_region and e.state = 'pending'
      order by e.next_attempt_at limit 1), 0),
    'due_unclaimed', (select count(*) from (select from mailer.emails e
      where e.region = v_region and e.state = 'pending' and e.next_attempt_at <= v_now
      limit (v_args ->> 'count_max')::integer) d),
    'workers_alive', (select count(*) from mailer.workers w
      where w.role <> 'api' and w.stopped_at is null
        and w.beat_at >= v_now - (v_args ->> 'dead_after_ms')::bigint * interval '1 ms'),
    'regions', (select coalesce(jsonb_agg(r.name order by r.name), '[]')
      from mailer.regions r),
    'dead_regions', (select coalesce(jsonb_agg(s.name order by s.name), '[]') from (
      select name from mailer.silent_regions(v_silent_ms) as name
      union
      select r.name from mailer.regions r
      where r.beat_at < v_now - v_silent_ms * interval '1 ms'
        and r.beat_at > v_now - interval '1 day') s))::text;
end
$$;

revoke execute on function mailer.reset_crashes(),
  mailer.dead_workers(uuid, text, bigint), mailer.silent_regions(bigint),
  mailer.overdue_emails(text), mailer.adopt_emails(text), mailer.region_standing(text)
  from public;
grant execute on function mailer.reset_crashes(),
  mailer.dead_workers(uuid, text, bigint), mailer.silent_regions(bigint),
  mailer.overdue_emails(text), mailer.adopt_emails(text), mailer.region_standing(text)
  to mailer_service;

insert into mailer.functions (name, roles) values
  ('overdue_emails', array['service']),
  ('adopt_emails', array['service']),
  ('region_standing', array['service']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000013'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000013', array[v_sql], 'reconcile_more');
end
$migration$;

-- 20261124000014_operate
do $migration$
declare
  v_sql text := $taskforce_mailer$-- What an operator sees: figures for metrics and `doctor`.

-- read_figures: how things stand in the whole database, whoever asks.
-- args {}
-- answer { now, server_version, by_status: { <status>: n }, due, oldest_due_ms, workers_alive,
--          workers_died, unsealed, oldest_unsealed_ms, counted_max, key_fingerprint | null }
--   by_status: emails that are not done with: pending, sending and the dead letters; those that
--     ended well are not counted, since that costs more the longer the service runs
--   workers_alive: living processes that send; workers_died: those that ended without goodbye
--     within the last day
--   key_fingerprint: of the encryption key this database was first used with; null: not used yet
--   counted_max: counting stops there, so that a large backlog costs no more than this
create function mailer.read_figures(args text) returns text
language plpgsql
as $$
declare
  c_max constant integer := 1000000;
  c_alive constant interval := '5 seconds';
  v_now timestamptz := clock_timestamp();
  v_pending bigint;
  v_due bigint;
  v_oldest timestamptz;
  v_sending bigint;
  v_dead jsonb;
  v_unsealed bigint;
  v_unsealed_since timestamptz;
begin
  select count(*) into v_pending from (
    select from mailer.emails e where e.state = 'pending' limit c_max) q;
  select count(*), min(q.next_attempt_at) into v_due, v_oldest from (
    select e.next_attempt_at from mailer.emails e
    where e.state = 'pending' and e.next_attempt_at <= v_now limit c_max) q;
  select count(*) into v_sending from (
    select from mailer.emails e where e.state = 'sending' limit c_max) q;
  select coalesce(jsonb_object_agg(g.state, g.n), '{}') into v_dead from (
    select q.state, count(*) as n from (
      select e.state from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent') limit c_max) q
    group by q.state) g;
  select count(*), min(q.at) into v_unsealed, v_unsealed_since from (
    select j.at from mailer.journal j where j.position is null order by j.id limit c_max) q;
  return jsonb_build_object('now', v_now, 'server_version', current_setting('server_version'),
    'by_status', jsonb_build_object('pending', v_pending, 'sending', v_sending,
      'failed', 0, 'uncertain', 0, 'held', 0, 'partially_sent', 0) || v_dead,
    'due', v_due, 'oldest_due_ms', coalesce(mailer.ms_until(v_now, v_oldest), 0),
    'workers_alive', (select count(*) from mailer.workers w
      where w.role <> 'api' and w.stopped_at is null and w.beat_at > v_now - c_alive),
    'workers_died', (select count(*) from mailer.workers w
      where w.stopped_at is null and w.beat_at between v_now - interval '1 day' and v_now - c_alive),
    'unsealed', v_unsealed,
    'oldest_unsealed_ms', coalesce(mailer.ms_until(v_now, v_unsealed_since), 0),
    'counted_max', c_max, 'key_fingerprint', (select s.value from mailer.settings s
      where s.name = 'encryption_key'))::text;
end
$$;

revoke execute on function mailer.read_figures(text) from public;
grant execute on function mailer.read_figures(text) to mailer_service;

insert into mailer.functions (name, roles) values ('read_figures', array['service']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000014'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000014', array[v_sql], 'operate');
end
$migration$;

-- 20261124000015_api_keys
do $migration$
declare
  v_sql text := $taskforce_mailer$-- API keys, and signing keys of others that an admin no longer trusts.
--
-- Of an API key only SHA-256 is stored: it is 190 random bits, so there is nothing to guess, and
-- a copy of this table lets nobody in.

create table mailer.api_keys (
  id uuid primary key,
  -- Whom it acts as.
  owner_id text not null,
  name text not null check (length(name) between 1 and 100),
  -- Its first characters, to find it by and to know it again by.
  prefix text not null unique,
  hash bytea not null check (length(hash) = 32),
  -- Where admin is among them, it acts as an admin.
  scopes text[] not null check (cardinality(scopes) > 0
    and scopes <@ array['send', 'read', 'admin']),
  created_at timestamptz not null,
  -- null: never.
  expires_at timestamptz,
  -- To the minute; null: never.
  last_used_at timestamptz,
  revoked_at timestamptz
);
create index api_keys_of_owner on mailer.api_keys (owner_id, created_at desc, id desc);
create index api_keys_newest on mailer.api_keys (created_at desc, id desc);

-- Ids of keys of JWKS_URL; a dropped one stays dropped, whatever the key set says.
create table mailer.dropped_signing_keys (
  kid text primary key,
  dropped_at timestamptz not null,
  dropped_by text not null
);

create policy own_rows on mailer.api_keys to mailer_owner
  using (owner_id = (select mailer.claim_sub()))
  with check (owner_id = (select mailer.claim_sub()));

do $$
declare
  v_table text;
begin
  foreach v_table in array array['api_keys', 'dropped_signing_keys'] loop
    execute format('alter table mailer.%I enable row level security', v_table);
    execute format('alter table mailer.%I force row level security', v_table);
    execute format('revoke all on mailer.%I from public', v_table);
    execute format('create policy service_rows on mailer.%I to mailer_service
      using (true) with check (true)', v_table);
  end loop;
end
$$;

-- Nothing that a key can do is ever changed: only that it ends, and when it was used.
grant select, insert, update (revoked_at) on mailer.api_keys to mailer_owner;
grant select, insert, update (revoked_at, last_used_at) on mailer.api_keys to mailer_service;
grant select, insert on mailer.dropped_signing_keys to mailer_service;

create function mailer.api_key_json(k mailer.api_keys) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', k.id, 'owner_id', k.owner_id, 'name', k.name,
    'prefix', k.prefix, 'scopes', k.scopes, 'created_at', k.created_at,
    'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at)
$$;

-- create_api_key: args { id, name, prefix, hash (hex), scopes: [], expires_at | null, origin };
-- answer { kind: "created", key } | { kind: "too_many" } | { kind: "expired" } (expires_at is past).
-- Guarantees: it belongs to the sub of the claims; only an admin makes one that is an admin's;
-- an owner has at most 100 that count.
create function mailer.create_api_key(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_owner text := mailer.claim_sub();
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_scopes text[] := array(select jsonb_array_elements_text(v_args -> 'scopes'));
  v_key mailer.api_keys;
begin
  if 'admin' = any (v_scopes) and mailer.claim_role() <> 'admin' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'Only an admin may make a key with the scope admin.';
  end if;
  if (v_args ->> 'expires_at')::timestamptz <= v_now then
    return '{"kind":"expired"}';
  end if;
  -- One at a time for each owner, so that the count below holds.
  perform pg_advisory_xact_lock(hashtextextended(v_owner, 7382640002));
  if (select count(*) from mailer.api_keys k where k.owner_id = v_owner
    and k.revoked_at is null and (k.expires_at is null or k.expires_at > v_now)) >= 100 then
    return '{"kind":"too_many"}';
  end if;
  insert into mailer.api_keys (id, owner_id, name, prefix, hash, scopes, created_at, expires_at)
  values ((v_args ->> 'id')::uuid, v_owner, v_args ->> 'name', v_args ->> 'prefix',
    decode(v_args ->> 'hash', 'hex'), v_scopes, v_now, (v_args ->> 'expires_at')::timestamptz)
  returning * into v_key;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values (v_owner, v_owner, v_args ->> 'origin', 'key.created', jsonb_build_object(
    'key_id', v_key.id, 'name', v_key.name, 'scopes', v_key.scopes,
    'expires_at', v_key.expires_at));
  return jsonb_build_object('kind', 'created', 'key', mailer.api_key_json(v_key))::text;
end
$$;

-- list_api_keys: newest first by creation, revoked ones too.
-- args { id | null, limit, offset | null, cursor: { created_at, id } | null };
-- answer { keys: [], total | null, next: { created_at, id } | null } (total only with offset;
-- created_at of a cursor is text with microseconds). Never a hash.
create function mailer.list_api_keys(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_sub text := case when mailer.claim_role() <> 'admin' then mailer.claim_sub() end;
  v_id uuid := (v_args ->> 'id')::uuid;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_from jsonb := nullif(v_args -> 'cursor', 'null');
  v_keys mailer.api_keys[];
  v_last mailer.api_keys;
  v_has_more boolean;
begin
  -- One more than asked for tells whether there is a next page.
  v_keys := array(
    select k from mailer.api_keys k
    where (v_sub is null or k.owner_id = v_sub) and (v_id is null or k.id = v_id)
      and (v_from is null or (k.created_at, k.id)
        < ((v_from ->> 'created_at')::timestamptz, (v_from ->> 'id')::uuid))
    order by k.created_at desc, k.id desc
    limit v_limit + 1 offset coalesce((v_args ->> 'offset')::integer, 0));
  v_has_more := coalesce(array_length(v_keys, 1), 0) > v_limit;
  v_keys := v_keys[1:v_limit];
  v_last := v_keys[array_length(v_keys, 1)];
  return jsonb_build_object(
    'keys', (select coalesce(jsonb_agg(mailer.api_key_json(q.key) order by n), '[]')
      from generate_subscripts(v_keys, 1) n cross join lateral (select v_keys[n] as key) q),
    'total', case when v_args ->> 'offset' is not null then (
      select count(*) from mailer.api_keys k where v_sub is null or k.owner_id = v_sub) end,
    'next', case when v_has_more then jsonb_build_object(
      'created_at', v_last.created_at::text, 'id', v_last.id) end)::text;
end
$$;

-- revoke_api_key: args { id, origin }; answer { kind: "revoked", key } | { kind: "not_found" }.
-- Revoking a revoked one changes nothing and leaves no entry.
create function mailer.revoke_api_key(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_key mailer.api_keys;
begin
  select * into v_key from mailer.api_keys k where k.id = (v_args ->> 'id')::uuid for update;
  if v_key.id is null or not mailer.may_see(v_key.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_key.revoked_at is null then
    update mailer.api_keys k set revoked_at = date_trunc('milliseconds', clock_timestamp())
    where k.id = v_key.id returning * into v_key;
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, origin, action, detail)
    values (v_key.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'key.revoked',
      jsonb_build_object('key_id', v_key.id, 'name', v_key.name));
  end if;
  return jsonb_build_object('kind', 'revoked', 'key', mailer.api_key_json(v_key))::text;
end
$$;

-- find_api_key: args { prefix, hash (hex) };
-- answer { kind: "found", key } | { kind: "unknown" | "revoked" | "expired" }.
-- The hashes are of 190 random bits, so it tells nobody anything how long comparing them takes.
create function mailer.find_api_key(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_key mailer.api_keys;
begin
  select * into v_key from mailer.api_keys k
  where k.prefix = v_args ->> 'prefix' and k.hash = decode(v_args ->> 'hash', 'hex');
  return case
    when v_key.id is null then '{"kind":"unknown"}'
    when v_key.revoked_at is not null then '{"kind":"revoked"}'
    when v_key.expires_at <= clock_timestamp() then '{"kind":"expired"}'
    else jsonb_build_object('kind', 'found', 'key', mailer.api_key_json(v_key))::text
  end;
end
$$;

-- note_api_key_use: args { ids: [] }; answer {}. Writes at most once a minute for each key,
-- however many processes ask.
create function mailer.note_api_key_use(args text) returns text
language plpgsql
as $$
begin
  update mailer.api_keys k set last_used_at = date_trunc('minute', clock_timestamp())
  where k.id in (select value::uuid from jsonb_array_elements_text(args::jsonb -> 'ids'))
    and (k.last_used_at is null
      or k.last_used_at < date_trunc('minute', clock_timestamp()));
  return '{}';
end
$$;

-- drop_signing_key: args { kid, origin }; answer {}. Once and for good; again is no change.
create function mailer.drop_signing_key(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
begin
  insert into mailer.dropped_signing_keys (kid, dropped_at, dropped_by)
  values (v_args ->> 'kid', date_trunc('milliseconds', clock_timestamp()), mailer.claim_sub())
  on conflict (kid) do nothing;
  if not found then
    return '{}';
  end if;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values (mailer.claim_sub(), mailer.claim_sub(), v_args ->> 'origin', 'signing_key.dropped',
    jsonb_build_object('kid', v_args ->> 'kid'));
  return '{}';
end
$$;

-- dropped_signing_keys: args {}; answer [{ kid, dropped_at }].
create function mailer.dropped_signing_keys(args text) returns text
language sql stable
as $$
  select coalesce(json_agg(json_build_object('kid', d.kid, 'dropped_at', d.dropped_at)
    order by d.kid), '[]')::text
  from mailer.dropped_signing_keys d
$$;

revoke execute on function mailer.api_key_json(mailer.api_keys), mailer.create_api_key(text),
  mailer.list_api_keys(text), mailer.revoke_api_key(text), mailer.find_api_key(text),
  mailer.note_api_key_use(text), mailer.drop_signing_key(text),
  mailer.dropped_signing_keys(text) from public;
grant execute on function mailer.api_key_json(mailer.api_keys), mailer.create_api_key(text),
  mailer.list_api_keys(text), mailer.revoke_api_key(text), mailer.find_api_key(text),
  mailer.note_api_key_use(text), mailer.drop_signing_key(text),
  mailer.dropped_signing_keys(text) to mailer_service;
grant execute on function mailer.api_key_json(mailer.api_keys), mailer.create_api_key(text),
  mailer.list_api_keys(text), mailer.revoke_api_key(text) to mailer_owner;

insert into mailer.functions (name, roles) values
  ('create_api_key', array['user', 'admin']),
  ('list_api_keys', array['user', 'admin']),
  ('revoke_api_key', array['user', 'admin']),
  ('find_api_key', array['service']),
  ('note_api_key_use', array['service']),
  ('drop_signing_key', array['admin']),
  ('dropped_signing_keys', array['service', 'admin']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000015'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000015', array[v_sql], 'api_keys');
end
$migration$;

-- 20261124000016_audit
do $migration$
declare
  v_sql text := $taskforce_mailer$-- The journal as audit trail: asked by what happened, when and by whom; and the state of its
-- chains, which a checkpoint signs.

-- Times follow positions closely, so a summary of blocks finds a range of them, and costs the
-- insert next to nothing.
create index journal_at on mailer.journal using brin (at) with (pages_per_range = 32);

-- Where the chains go on is only ever moved forward, also by the tables' owner: set back, it would
-- let the sealer write another history.
create trigger journal_heads_forward before update on mailer.journal_heads
  for each row when (new.owner_id is distinct from old.owner_id or new.number <= old.number)
  execute function mailer.refuse_journal_change();
create trigger journal_heads_kept before delete or truncate on mailer.journal_heads
  for each statement execute function mailer.refuse_journal_change();
create trigger sealer_forward before update on mailer.sealer
  for each row when (new.position < old.position)
  execute function mailer.refuse_journal_change();
create trigger sealer_kept before delete or truncate on mailer.sealer
  for each statement execute function mailer.refuse_journal_change();

-- read_audit: sealed entries by what is asked of them, with their proof.
--
-- args { limit, is_newest_first, after | null, before | null (positions, both exclusive),
--        owner_id | null, email_id | null, action | null, actor | null,
--        at_from | null (inclusive), at_to | null (exclusive) }
-- answer { entries: [as read_journal gives them, with canonical and hash] }, in order of position.
--
-- Guarantees: a user gets its own entries, whatever is asked for.
create function mailer.read_audit(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
  v_order text := case when (v_args ->> 'is_newest_first')::boolean then 'desc' else 'asc' end;
  v_where text := 'j.position is not null';
  v_entries jsonb;
begin
  if mailer.claim_role() is distinct from 'admin' then
    v_owner := mailer.claim_sub();
  end if;
  if v_owner is not null then
    v_where := v_where || format(' and j.owner_id = %L', v_owner);
  end if;
  if v_args ->> 'after' is not null then
    v_where := v_where || format(' and j.position > %s', (v_args ->> 'after')::bigint);
  end if;
  if v_args ->> 'before' is not null then
    v_where := v_where || format(' and j.position < %s', (v_args ->> 'before')::bigint);
  end if;
  if v_args ->> 'email_id' is not null then
    v_where := v_where || format(' and j.email_id = %L::uuid', v_args ->> 'email_id');
  end if;
  if v_args ->> 'action' is not null then
    v_where := v_where || format(' and j.action = %L', v_args ->> 'action');
  end if;
  if v_args ->> 'actor' is not null then
    v_where := v_where || format(' and j.actor = %L', v_args ->> 'actor');
  end if;
  if v_args ->> 'at_from' is not null then
    v_where := v_where || format(' and j.at >= %L::timestamptz', v_args ->> 'at_from');
  end if;
  if v_args ->> 'at_to' is not null then
    v_where := v_where || format(' and j.at < %L::timestamptz', v_args ->> 'at_to');
  end if;
  execute format('select coalesce(jsonb_agg(mailer.entry_json(q.j, true)
    order by (q.j).position %1$s), ''[]'') from (select j from mailer.journal j where %2$s
    order by j.position %1$s limit %3$s) q', v_order, v_where, (v_args ->> 'limit')::integer)
  into v_entries;
  return jsonb_build_object('entries', v_entries)::text;
end
$$;

-- journal_state: what a checkpoint signs, of everybody's chains or of one owner's.
--
-- args { owner_id | null }; answer { at, position, chains, root (hex) }
--   position: of the newest sealed entry; 0: there is none
--   root: sha256 over all heads, each as sha256(owner_id in UTF-8) || number (8 bytes) || hash,
--     in the order of the first: it depends on nothing but the entries up to position, and
--     names nobody.
--
-- Guarantees: one moment. A user gets its own chain's, whatever is asked for.
create function mailer.journal_state(args text) returns text
language plpgsql stable
as $$
declare
  v_owner text := args::jsonb ->> 'owner_id';
  v_position bigint;
  v_chains bigint;
  v_root bytea;
begin
  if mailer.claim_role() is distinct from 'admin' then
    v_owner := mailer.claim_sub();
  end if;
  select count(*), sha256(coalesce(string_agg(q.owner || int8send(q.number) || q.hash, ''::bytea
    order by q.owner), ''::bytea)) into v_chains, v_root
  from (
    select sha256(convert_to(h.owner_id, 'UTF8')) as owner, h.number, h.hash
    from mailer.journal_heads h where v_owner is null or h.owner_id = v_owner
  ) q;
  if v_owner is null then
    select s.position into v_position from mailer.sealer s where s.is_only_row;
  else
    select max(j.position) into v_position from mailer.journal j
    where j.owner_id = v_owner and j.position is not null;
  end if;
  return json_build_object('at', mailer.utc_text(clock_timestamp()),
    'position', coalesce(v_position, 0), 'chains', v_chains,
    'root', encode(v_root, 'hex'))::text;
end
$$;

-- list_journal_heads: where each chain must have got to at least, by owner.
--
-- args { after | null (an owner_id), limit, owner_id | null };
-- answer { heads: [{ owner_id, number, hash (hex) }] }
--
-- Guarantees: a user gets its own chain's, whatever is asked for.
create function mailer.list_journal_heads(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
begin
  if mailer.claim_role() is distinct from 'admin' then
    v_owner := mailer.claim_sub();
  end if;
  return (
    select json_build_object('heads', coalesce(json_agg(json_build_object(
      'owner_id', q.owner_id, 'number', q.number, 'hash', encode(q.hash, 'hex'))
      order by q.owner_id), '[]'))
    from (
      select h.* from mailer.journal_heads h
      where (v_owner is null or h.owner_id = v_owner)
        and (v_args ->> 'after' is null or h.owner_id > v_args ->> 'after')
      order by h.owner_id limit (v_args ->> 'limit')::integer
    ) q
  )::text;
end
$$;

revoke execute on function mailer.read_audit(text), mailer.journal_state(text),
  mailer.list_journal_heads(text) from public;
grant execute on function mailer.read_audit(text), mailer.journal_state(text),
  mailer.list_journal_heads(text) to mailer_service, mailer_owner;

insert into mailer.functions (name, roles) values
  ('read_audit', array['user', 'admin']),
  ('journal_state', array['user', 'admin']),
  ('list_journal_heads', array['user', 'admin']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000016'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000016', array[v_sql], 'audit');
end
$migration$;

-- 20261124000017_rotate_keys
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Another encryption key for what is stored, and content that is destroyed for good.
--
-- A ciphertext made by a key of the ring names that key: v1.<key id>.… . So the rows themselves
-- say what a rotation has still to do, and one that was killed goes on where it was.

-- Which key a process writes with; null: one that does not say, being of an earlier release.
alter table mailer.workers add column key_id text;

-- Gone with the address it was made from.
alter table mailer.recipients alter column address_index drop not null;

grant update (value) on mailer.settings to mailer_service;
-- Shredding takes the reply out of an attempt, and nothing else is ever changed there.
grant update (reply) on mailer.attempts to mailer_owner, mailer_service;

-- Id of the ring's key that made a ciphertext.
create function mailer.key_of(ciphertext text) returns text
language sql immutable
as $$ select split_part(ciphertext, '.', 2) $$;

-- A text or a list of texts, as a list.
create function mailer.texts_of(value jsonb) returns text[]
language sql immutable
as $$
  select case jsonb_typeof(value)
    when 'array' then array(select jsonb_array_elements_text(value))
    else array[value #>> '{}'] end
$$;

-- check_key: whether a process may work with its encryption key.
-- args { fingerprint, old: [fingerprints of the keys it can also read with], key_id,
--        worker_id | null }; answer { matches }.
-- The database keeps the fingerprint of the key that was used last. Another one matches, and is
-- kept from now on, when the process can also read with the one kept.
create or replace function mailer.check_key(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_fingerprint text := v_args ->> 'fingerprint';
  v_kept text;
begin
  insert into mailer.settings (name, value) values ('encryption_key', v_fingerprint)
  on conflict (name) do nothing;
  select s.value into v_kept from mailer.settings s where s.name = 'encryption_key';
  if v_kept <> v_fingerprint then
    select s.value into v_kept from mailer.settings s where s.name = 'encryption_key' for update;
  end if;
  if v_kept <> v_fingerprint and not coalesce(v_args -> 'old' ? v_kept, false) then
    return '{"matches": false}';
  end if;
  update mailer.workers w set key_id = v_args ->> 'key_id'
  where w.id = (v_args ->> 'worker_id')::uuid;
  if v_kept = v_fingerprint then
    return '{"matches": true}';
  end if;
  update mailer.settings s set value = v_fingerprint where s.name = 'encryption_key';
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, detail)
  values (mailer.claim_sub(), mailer.claim_sub(), 'encryption.key_replaced',
    jsonb_build_object('key_id', v_args -> 'key_id'));
  return '{"matches": true}';
end
$$;

-- key_processes: which keys the living processes write with.
-- args {}; answer [{ key_id | null, count }]
create function mailer.key_processes(args text) returns text
language sql stable
as $$
  select coalesce(json_agg(json_build_object('key_id', q.key_id, 'count', q.n)
    order by q.key_id), '[]')::text
  from (select w.key_id, count(*) as n from mailer.workers w
    where w.stopped_at is null and w.beat_at > now() - interval '15 seconds'
    group by w.key_id) q
$$;

-- stale_emails: emails whose data key another key than this one wraps, with all that a rotation
-- needs, in id order.
-- args { key_id, after | null, limit, scan_max };
-- answer { emails: [email_json and recipients, attempts, failure_group, failure_domain],
--   scanned, last | null } (last: go on after it; null: that was all).
-- Guarantees: looks at no more than scan_max rows, however many there are.
create function mailer.stale_emails(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_scan integer := (v_args ->> 'scan_max')::integer;
  v_scanned uuid[];
  v_stale uuid[];
  v_last uuid;
begin
  select coalesce(array_agg(q.id order by q.id), '{}'),
    coalesce(array_agg(q.id order by q.id) filter (where q.is_stale), '{}')
  into v_scanned, v_stale
  from (select e.id, mailer.key_of(e.wrapped_key) <> v_args ->> 'key_id' as is_stale
    from mailer.emails e
    where e.id > coalesce((v_args ->> 'after')::uuid, '00000000-0000-0000-0000-000000000000')
    order by e.id limit v_scan) q;
  if cardinality(v_stale) > v_limit then
    v_stale := v_stale[1:v_limit];
    v_last := v_stale[v_limit];
  elsif cardinality(v_scanned) = v_scan then
    v_last := v_scanned[v_scan];
  end if;
  return jsonb_build_object('last', v_last,
    'scanned', coalesce(array_position(v_scanned, v_last), cardinality(v_scanned)),
    'emails', (
      select coalesce(jsonb_agg(mailer.email_json(e) || jsonb_build_object(
        'recipients', mailer.recipients_json(e.id),
        'attempts', case when e.failure_group is null then '[]'::json
          else mailer.attempts_json(e.id) end,
        'failure_group', e.failure_group, 'failure_domain', e.failure_domain) order by e.id), '[]')
      from mailer.emails e where e.id = any (v_stale)))::text;
end
$$;

-- rewrap_emails: puts data keys under another key, and what was made with the former index key.
-- args [{ id, version, old, new, recipients: [{ position, address_index }],
--         failure: { old_group, new_group, old_domain, new_domain } | null }];
-- answer: how many were changed.
-- Guarantees: compare-and-set on the wrapped key and the version, so that nothing is lost that
-- was changed since it was read, nothing comes back that was shredded, and any number of
-- rotations may run at once. Content, version and sequence stay as they are.
create function mailer.rewrap_emails(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_items jsonb := args;
  v_count integer;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i))
  order by e.id for update;
  with item as materialized (
    select i.* from jsonb_to_recordset(v_items)
      as i (id uuid, version integer, old text, new text, recipients jsonb, failure jsonb)
    join mailer.emails e on e.id = i.id
    where e.wrapped_key = i.old and e.version = i.version
  ),
  moved as (
    update mailer.emails e set wrapped_key = i.new,
      failure_group = case when e.failure_group = i.failure ->> 'old_group'
        then i.failure ->> 'new_group' else e.failure_group end,
      failure_domain = case when e.failure_domain = i.failure ->> 'old_domain'
        then i.failure ->> 'new_domain' else e.failure_domain end
    from item i where e.id = i.id
    returning e.id
  ),
  addressed as (
    update mailer.recipients r set address_index = n.address_index
    from item i, jsonb_to_recordset(i.recipients) as n (position smallint, address_index text)
    where r.email_id = i.id and r.position = n.position
      and r.address_index is distinct from n.address_index
  )
  select count(*) into v_count from moved;
  return v_count::text;
end
$$;

-- stale_answers: kept answers that another key than this one encrypted.
-- args { key_id, after: { owner_id, path, key } | null, limit, scan_max };
-- answer { answers: [{ owner_id, path, key, response }], scanned, last | null }, as stale_emails.
create function mailer.stale_answers(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_scan integer := (v_args ->> 'scan_max')::integer;
  v_after jsonb := coalesce(nullif(v_args -> 'after', 'null'),
    '{"owner_id": "", "path": "", "key": ""}');
  v_scanned jsonb[];
  v_stale jsonb[];
  v_last jsonb;
begin
  select coalesce(array_agg(q.row order by q.n), '{}'),
    coalesce(array_agg(q.row order by q.n) filter (where q.is_stale), '{}')
  into v_scanned, v_stale
  from (select row_number() over () as n, s.* from (
    select jsonb_build_object('owner_id', k.owner_id, 'path', k.path, 'key', k.key,
        'response', k.response) as row,
      mailer.key_of(k.response) <> v_args ->> 'key_id' as is_stale
    from mailer.idempotency_keys k
    where (k.owner_id, k.path, k.key)
      > (v_after ->> 'owner_id', v_after ->> 'path', v_after ->> 'key')
    order by k.owner_id, k.path, k.key limit v_scan) s) q;
  if cardinality(v_stale) > v_limit then
    v_stale := v_stale[1:v_limit];
    v_last := v_stale[v_limit];
  elsif cardinality(v_scanned) = v_scan then
    v_last := v_scanned[v_scan];
  end if;
  return jsonb_build_object('last', v_last - 'response', 'answers', to_jsonb(v_stale),
    'scanned', coalesce(array_position(v_scanned, v_last), cardinality(v_scanned)))::text;
end
$$;

-- rewrite_answers: args [{ owner_id, path, key, old, new }]; answer: how many were changed.
-- Guarantees: compare-and-set on the ciphertext, as rewrap_emails.
create function mailer.rewrite_answers(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_items jsonb := args;
  v_count integer;
begin
  perform 1 from mailer.idempotency_keys k
  join jsonb_to_recordset(v_items) as i (owner_id text, path text, key text)
    on k.owner_id = i.owner_id and k.path = i.path and k.key = i.key
  order by k.owner_id, k.path, k.key for update of k;
  update mailer.idempotency_keys k set response = i.new
  from jsonb_to_recordset(v_items) as i (owner_id text, path text, key text, old text, new text)
  where k.owner_id = i.owner_id and k.path = i.path and k.key = i.key and k.response = i.old;
  get diagnostics v_count = row_count;
  return v_count::text;
end
$$;

-- keys_in_use: how many rows each key of the ring still opens, a part of the table at a time.
-- args { part: "emails" | "answers", after | null, scan_max };
-- answer { counts: { <key id>: n }, last | null }; emails that were shredded count as "none".
create function mailer.keys_in_use(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_scan integer := (v_args ->> 'scan_max')::integer;
  v_after jsonb := coalesce(nullif(v_args -> 'after', 'null'),
    '{"owner_id": "", "path": "", "key": ""}');
  v_names text[];
  v_last jsonb;
begin
  if v_args ->> 'part' = 'emails' then
    select array_agg(q.name), to_jsonb((array_agg(q.id order by q.id desc))[1])
    into v_names, v_last
    from (select e.id, coalesce(mailer.key_of(e.wrapped_key), 'none') as name
      from mailer.emails e
      where e.id > coalesce((v_args ->> 'after')::uuid, '00000000-0000-0000-0000-000000000000')
      order by e.id limit v_scan) q;
  else
    select array_agg(q.name), (array_agg(q.place order by q.owner_id desc, q.path desc,
      q.key desc))[1]
    into v_names, v_last
    from (select k.owner_id, k.path, k.key, mailer.key_of(k.response) as name,
        jsonb_build_object('owner_id', k.owner_id, 'path', k.path, 'key', k.key) as place
      from mailer.idempotency_keys k
      where (k.owner_id, k.path, k.key)
        > (v_after ->> 'owner_id', v_after ->> 'path', v_after ->> 'key')
      order by k.owner_id, k.path, k.key limit v_scan) q;
  end if;
  return jsonb_build_object(
    'counts', (select coalesce(jsonb_object_agg(q.name, q.n), '{}')
      from (select u.name, count(*) as n from unnest(v_names) u (name) group by u.name) q),
    'last', case when cardinality(v_names) = v_scan then v_last end)::text;
end
$$;

-- shred_email: destroys the content of an email that has ended.
-- args { id, origin }; answer { kind: "shredded", status } (also when it already was)
--   | { kind: "not_found" } | { kind: "not_finished", status }.
-- Guarantees: the data key is gone, and with it whatever copy of a ciphertext there is beside a
-- backup of this row; so are the ciphertexts themselves, the blind index of every address and
-- what the failure was grouped by. State, codes, times, tags, metadata and the journal remain.
-- An email that may still be sent is left alone.
create function mailer.shred_email(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state in ('pending', 'sending', 'held') then
    return jsonb_build_object('kind', 'not_finished', 'status', v_email.state)::text;
  end if;
  if v_email.wrapped_key is null then
    return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
  end if;
  update mailer.contents c set message = null, details = null where c.email_id = v_email.id;
  update mailer.recipients r set address = null, address_index = null, reply = null
  where r.email_id = v_email.id;
  update mailer.attempts a set reply = null where a.email_id = v_email.id;
  update mailer.emails e set wrapped_key = null, sender = null, subject = null,
    failure_group = null, failure_domain = null, version = e.version + 1,
    sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.shredded',
    v_email.id, v_email.sequence + 1, jsonb_build_object('status', v_email.state));
  return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
end
$$;

revoke execute on function mailer.key_of(text), mailer.texts_of(jsonb),
  mailer.key_processes(text), mailer.stale_emails(text), mailer.rewrap_emails(text),
  mailer.stale_answers(text), mailer.rewrite_answers(text), mailer.keys_in_use(text),
  mailer.shred_email(text) from public;
grant execute on function mailer.key_of(text), mailer.texts_of(jsonb),
  mailer.key_processes(text), mailer.stale_emails(text), mailer.rewrap_emails(text),
  mailer.stale_answers(text), mailer.rewrite_answers(text), mailer.keys_in_use(text),
  mailer.shred_email(text) to mailer_service;
grant execute on function mailer.texts_of(jsonb), mailer.shred_email(text) to mailer_owner;

insert into mailer.functions (name, roles) values
  ('key_processes', array['keys']),
  ('stale_emails', array['keys']),
  ('rewrap_emails', array['keys']),
  ('stale_answers', array['keys']),
  ('rewrite_answers', array['keys']),
  ('keys_in_use', array['keys']),
  ('shred_email', array['user', 'admin']);
update mailer.functions f set roles = f.roles || array['keys'] where f.name = 'check_key';

-- As before, but address_index and failure_domain may be lists: while keys are being rotated a
-- text has an index under each of them.
--
-- filter_sql: the condition on mailer.emails e that a filter and the claims come to.
-- filter { statuses: [], is_deferred, tag, metadata: {}, address_index: text or [],
--   scheduled_after, scheduled_before, ids: [], group, smtp_code, failure_domain: text or [] };
--   absent or null: any. smtp_code is that of a recipient who has not got the email.
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

-- As before, but an email whose content was destroyed is not sent again: replay_row says so, and
-- replay_emails leaves it alone.
create or replace function mailer.replay_row(v_email mailer.emails, v_due timestamptz,
  v_is_asked boolean, v_is_edited boolean, v_horizon_ms bigint, v_queued_by uuid)
returns mailer.emails
language plpgsql set search_path = ''
as $$
declare
  v_was_held boolean := v_email.state = 'held';
  v_is_near boolean := v_due <= clock_timestamp() + v_horizon_ms * interval '1 ms';
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

$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000017'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000017', array[v_sql], 'rotate_keys');
end
$migration$;

-- 20261124000018_limits
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Fairness between owners: whoever puts emails into the queue knows whose they are.

-- queue_due: emails of a region that belong into its queue and are not in it; says so in their
-- rows, under the wake they have. Due first.
--
-- args { region, worker_id, horizon_ms, limit }
-- answer { emails: [{ id, wake, delay_ms, owner_id }], has_more }
--
-- Not in it: queued_at is null; or older than the queue's marker. (What the queue lost or keeps
-- waiting all the same is found by overdue_emails.) Nothing to do costs two probes.
create or replace function mailer.queue_due(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + (v_args ->> 'horizon_ms')::bigint * interval '1 ms';
  v_limit integer := (v_args ->> 'limit')::integer;
  v_region mailer.regions;
  v_ids uuid[];
  v_void uuid[];
  v_emails jsonb;
begin
  select * into v_region from mailer.regions r where r.name = v_args ->> 'region';
  v_ids := array(
    select e.id from mailer.emails e
    where e.region = v_region.name and e.state = 'pending' and e.queued_at is null
      and e.next_attempt_at <= v_until
    order by e.next_attempt_at limit v_limit for update skip locked);
  if not v_region.is_swept then
    v_void := array(
      select e.id from mailer.emails e
      where e.region = v_region.name and e.state = 'pending'
        and e.queued_at < v_region.marker_at and e.next_attempt_at <= v_until
      order by e.next_attempt_at limit v_limit for update skip locked);
    if coalesce(array_length(v_void, 1), 0) = 0 then
      update mailer.regions r set is_swept = true
      where r.name = v_region.name and r.marker_at = v_region.marker_at;
    end if;
    v_ids := v_ids || v_void;
  end if;

  with moved as (
    update mailer.emails e set queued_at = v_now, queued_by = (v_args ->> 'worker_id')::uuid
    where e.id = any (v_ids) and e.state = 'pending'
    returning e.id, e.wake, e.next_attempt_at, e.owner_id
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'wake', m.wake,
    -- From when it answers: whatever this took must not come on top.
    'delay_ms', mailer.ms_until(m.next_attempt_at, clock_timestamp()), 'owner_id', m.owner_id)
    order by m.next_attempt_at), '[]')
  into v_emails from moved m;
  return jsonb_build_object('emails', v_emails,
    'has_more', jsonb_array_length(v_emails) >= v_limit)::text;
end
$$;

-- overdue_emails: emails of a region that are due for overdue_ms, queued for as long, and still
-- not claimed; a page of them in order of their time, for the caller to look their jobs up.
--
-- args { region, overdue_ms, limit, after: { next_attempt_at, id } | null }
-- answer { emails: [{ id, wake, owner_id }], last: { next_attempt_at, id } | null (a full page's),
--          until: up to here all were seen; emails queued a little after their time included }
create or replace function mailer.overdue_emails(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_until timestamptz := clock_timestamp()
    - (v_args ->> 'overdue_ms')::bigint * interval '1 ms';
  v_after timestamptz := coalesce((v_args #>> '{after,next_attempt_at}')::timestamptz,
    '-infinity');
  v_after_id uuid := coalesce((v_args #>> '{after,id}')::uuid,
    '00000000-0000-0000-0000-000000000000');
  v_rows jsonb;
begin
  select coalesce(jsonb_agg(to_jsonb(p) order by p.next_attempt_at, p.id), '[]') into v_rows
  from (
    select e.id, e.wake, e.owner_id, e.next_attempt_at from mailer.emails e
    where e.region = v_args ->> 'region' and e.state = 'pending'
      and e.next_attempt_at >= v_after and e.next_attempt_at <= v_until
      and (e.next_attempt_at > v_after or e.id > v_after_id) and e.queued_at < v_until
    order by e.next_attempt_at, e.id limit (v_args ->> 'limit')::integer) p;
  return jsonb_build_object(
    'emails', (select coalesce(jsonb_agg(jsonb_build_object('id', r -> 'id', 'wake', r -> 'wake',
      'owner_id', r -> 'owner_id') order by n), '[]') from jsonb_array_elements(v_rows) with ordinality as q (r, n)),
    'last', case when jsonb_array_length(v_rows) >= (v_args ->> 'limit')::integer
      then v_rows -> -1 end,
    'until', v_until - (v_args ->> 'overdue_ms')::bigint * interval '1 ms')::text;
end
$$;

-- adopt_emails: takes due emails of silent regions into the caller's, queued there by it.
--
-- args { region, worker_id, silent_ms, dead_after_ms, limit }
-- answer { emails: [{ id, wake, owner_id, from_region }] }
--
-- Guarantees: each is adopted by one caller; the wake rises, so that a job of the region it
-- came from does nothing when that returns; a region without a living worker adopts nothing.
create or replace function mailer.adopt_emails(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_silent text[];
  v_rows jsonb;
begin
  if exists (select from mailer.workers w
    where w.region = v_region and w.role <> 'api' and w.stopped_at is null
      and w.beat_at >= v_now - (v_args ->> 'dead_after_ms')::bigint * interval '1 ms')
  then
    v_silent := array(select s from mailer.silent_regions((v_args ->> 'silent_ms')::bigint) s
      where s <> v_region);
  end if;
  if array_length(v_silent, 1) is null then
    return '{"emails":[]}';
  end if;
  with due as (
    select e.id, e.region as from_region from mailer.emails e
    where e.region = any (v_silent) and e.state = 'pending' and e.next_attempt_at <= v_now
    limit (v_args ->> 'limit')::integer for update skip locked
  ),
  moved as (
    update mailer.emails e set region = v_region, wake = e.wake + 1, queued_at = v_now,
      queued_by = (v_args ->> 'worker_id')::uuid, sequence = e.sequence + 1
    from due d where e.id = d.id
    returning e.id, e.owner_id, e.sequence, e.wake, d.from_region
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer, jsonb_build_object('status', 'pending',
      'reason', 'region_silent', 'from_region', r -> 'from_region', 'region', v_region)
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('emails', (
    select coalesce(jsonb_agg(jsonb_build_object('id', r -> 'id', 'wake', r -> 'wake',
      'owner_id', r -> 'owner_id', 'from_region', r -> 'from_region')), '[]')
    from jsonb_array_elements(v_rows) r))::text;
end
$$;
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000018'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000018', array[v_sql], 'limits');
end
$migration$;

-- 20261124000019_quotas
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Quotas of an owner: emails accepted in a day, and emails that are pending.

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
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000019'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000019', array[v_sql], 'quotas');
end
$migration$;

-- 20261124000020_tenancy
do $migration$
declare
  v_sql text := $taskforce_mailer$-- A role of the claims for each part of the program, and names that nobody can bend.
--
-- Until now every part of the program called as `service`, which may call whatever any of them
-- needs. Now each may call what its own work takes and nothing else: what goes wrong in a worker
-- cannot accept emails, read keys or seal the journal.
--   accept         takes new emails in
--   worker         claims, fences, settles and releases
--   reconciler     beats, takes over from the dead, fills the queue
--   sealer         seals the journal
--   authenticator  looks API keys and dropped signing keys up
--   metrics        counts
--   ping           asks for the time and nothing else
-- `service` stays for one release, so that processes of the release before go on working while
-- they are replaced one by one; this program never calls as it, and no newer function knows it.

update mailer.functions f set roles = f.roles || parts.roles
from (values
  ('schedule_emails', array['accept']),
  ('find_idempotent', array['accept']),
  ('keep_answer', array['accept']),
  ('claim_emails', array['worker']),
  ('rewake_email', array['worker']),
  ('read_message', array['worker']),
  ('fence_attempts', array['worker']),
  ('settle_attempts', array['worker']),
  ('release_emails', array['worker']),
  ('reserve_slots', array['worker']),
  ('beat', array['reconciler']),
  ('stop_worker', array['reconciler']),
  ('take_over', array['reconciler']),
  ('set_queue_marker', array['reconciler']),
  ('queue_due', array['reconciler']),
  ('unqueue', array['reconciler']),
  ('count_workers', array['reconciler']),
  ('check_key', array['reconciler']),
  ('forget_idempotent', array['reconciler']),
  ('overdue_emails', array['reconciler']),
  ('adopt_emails', array['reconciler']),
  ('region_standing', array['reconciler']),
  ('seal_journal', array['sealer']),
  ('journal_lag', array['sealer']),
  ('find_api_key', array['authenticator']),
  ('note_api_key_use', array['authenticator']),
  ('dropped_signing_keys', array['authenticator']),
  ('read_figures', array['metrics']),
  ('clock', array['ping'])
) as parts (name, roles)
where f.name = parts.name;

-- What the claims say, as expressions that were read once, now: a search path that somebody sets
-- later changes nothing in them, and the planner still puts them in place. (With a SET clause of
-- its own may_see takes 30 microseconds a row instead of one; measured.)

create or replace function mailer.claim_sub() returns text
language sql stable
return nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub';

-- Never null, which would be neither a role that sees all nor one that does not.
create or replace function mailer.claim_role() returns text
language sql stable
return coalesce(nullif(current_setting('request.jwt.claims', true), '')::json ->> 'role', '');

-- True when the claims may see rows of this owner; without claims nobody may.
create or replace function mailer.may_see(owner_id text) returns boolean
language sql stable
return mailer.claim_role() in ('admin', 'service')
  or coalesce(owner_id = mailer.claim_sub(), false);

-- A key that is an admin's is made by an admin, hence never as mailer_owner: the second wall behind
-- the check in create_api_key.
create policy no_keys_of_admins on mailer.api_keys as restrictive for insert to mailer_owner
  with check (not 'admin' = any (scopes));

-- As before, but never for `anon` and `authenticated`: Supabase's guide to exposing a schema has
-- everything in it granted to them, and whoever follows it must not open this door. The role that
-- PostgREST takes on is still to be seen here, in a function that runs as its owner.
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
  end if;
  execute format('select mailer.%I($1)', fn) using args into v_answer;
  return v_answer;
end
$$;

-- Every function with a body of statements looks names up in pg_catalog and where it says, whoever
-- calls it with whatever search path; triggers too, which run in the session of a SQL console. It
-- costs 5 microseconds a call. Functions made later say it themselves: a test looks.
do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid::regprocedure from pg_catalog.pg_proc p
    join pg_catalog.pg_language l on l.oid = p.prolang
    where p.pronamespace = 'mailer'::regnamespace and l.lanname = 'plpgsql' and not exists (
      select from unnest(p.proconfig) c where c like 'search_path=%')
  loop
    execute format('alter function %s set search_path = %L', v_function, '');
  end loop;
end
$$;
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000020'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000020', array[v_sql], 'tenancy');
end
$migration$;

-- 20261124000021_sessions
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Who is signed in to the console. A row that is gone lets nobody in any more, on any process.
--
-- Of a session only SHA-256 is stored: its cookie is 256 random bits, so there is nothing to
-- guess, and a copy of this table lets nobody in.

create table mailer.sessions (
  hash bytea primary key check (length(hash) = 32),
  owner_id text not null,
  is_admin boolean not null,
  started_at timestamptz not null,
  -- When a person last did something with it, to the minute; a page that refreshes itself is none.
  seen_at timestamptz not null,
  expires_at timestamptz not null
);
create index sessions_of_owner on mailer.sessions (owner_id, started_at);
create index sessions_age on mailer.sessions (expires_at);

alter table mailer.sessions enable row level security;
alter table mailer.sessions force row level security;
revoke all on mailer.sessions from public;
create policy service_rows on mailer.sessions to mailer_service using (true) with check (true);
grant select, insert, update (seen_at), delete on mailer.sessions to mailer_service;

-- start_session: args { hash (hex), replaces (hex) | null, owner_id, is_admin, via, lasts_seconds,
-- origin }; answer {}.
-- Guarantees: the session that the browser had before is over; an owner has at most 20, the
-- oldest out first; expired ones are removed.
create function mailer.start_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  delete from mailer.sessions s
  where s.expires_at <= v_now or s.hash = decode(v_args ->> 'replaces', 'hex')
    or s.hash in (select o.hash from mailer.sessions o where o.owner_id = v_owner
      order by o.started_at desc, o.hash offset 19);
  insert into mailer.sessions (hash, owner_id, is_admin, started_at, seen_at, expires_at)
  values (decode(v_args ->> 'hash', 'hex'), v_owner, (v_args ->> 'is_admin')::boolean, v_now,
    v_now, v_now + make_interval(secs => (v_args ->> 'lasts_seconds')::integer));
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values (v_owner, v_owner, v_args ->> 'origin', 'session.started', jsonb_build_object(
    'via', v_args ->> 'via', 'is_admin', (v_args ->> 'is_admin')::boolean));
  return '{}';
end
$$;

-- find_session: args { hash (hex), idle_seconds, is_active };
-- answer { kind: "found", owner_id, is_admin } | { kind: "unknown" }.
-- Guarantees: none is found past its time, nor when nobody did anything with it for idle_seconds.
-- Only is_active counts as doing something; it writes at most once a minute.
create function mailer.find_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_session mailer.sessions;
begin
  select * into v_session from mailer.sessions s
  where s.hash = decode(v_args ->> 'hash', 'hex') and s.expires_at > v_now
    and s.seen_at > v_now - make_interval(secs => (v_args ->> 'idle_seconds')::integer);
  if v_session.hash is null then
    return '{"kind":"unknown"}';
  end if;
  if (v_args ->> 'is_active')::boolean then
    update mailer.sessions s set seen_at = v_now
    where s.hash = v_session.hash and s.seen_at < v_now - interval '1 minute';
  end if;
  return jsonb_build_object('kind', 'found', 'owner_id', v_session.owner_id,
    'is_admin', v_session.is_admin)::text;
end
$$;

-- end_session: args { hash (hex), is_everywhere, origin }; answer { ended } (how many).
-- Guarantees: with is_everywhere all sessions of its owner end; one that is unknown ends nothing
-- and leaves no entry.
create function mailer.end_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text;
  v_ended integer;
begin
  select s.owner_id into v_owner from mailer.sessions s
  where s.hash = decode(v_args ->> 'hash', 'hex') and s.expires_at > clock_timestamp();
  delete from mailer.sessions s
  where s.owner_id = v_owner
    and (s.hash = decode(v_args ->> 'hash', 'hex') or (v_args ->> 'is_everywhere')::boolean);
  get diagnostics v_ended = row_count;
  if v_ended > 0 then
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, origin, action, detail)
    values (v_owner, v_owner, v_args ->> 'origin', 'session.ended',
      jsonb_build_object('sessions', v_ended));
  end if;
  return jsonb_build_object('ended', v_ended)::text;
end
$$;

-- note_refused_sign_in: args { reason, origin }; answer {}. It belongs to nobody, so only admins
-- see it; whoever calls it bounds how often.
create function mailer.note_refused_sign_in(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values ('console', 'stranger', v_args ->> 'origin', 'session.refused',
    jsonb_build_object('reason', v_args ->> 'reason'));
  return '{}';
end
$$;

revoke execute on function mailer.start_session(text), mailer.find_session(text),
  mailer.end_session(text), mailer.note_refused_sign_in(text) from public;
grant execute on function mailer.start_session(text), mailer.find_session(text),
  mailer.end_session(text), mailer.note_refused_sign_in(text) to mailer_service;

insert into mailer.functions (name, roles) values
  ('start_session', array['console']),
  ('find_session', array['console']),
  ('end_session', array['console']),
  ('note_refused_sign_in', array['console']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000021'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000021', array[v_sql], 'sessions');
end
$migration$;

-- 20261124000022_schema_version
do $migration$
declare
  v_sql text := $taskforce_mailer$-- schema_version: the newest of these files that the database has. args {}; answer { version }.
-- Every later file replaces this function; a test compares it with the newest file's name.
create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000022"}';

revoke execute on function mailer.schema_version(text) from public;
grant execute on function mailer.schema_version(text) to mailer_service;

insert into mailer.functions (name, roles) values ('schema_version', array['reconciler']);
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000022'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000022', array[v_sql], 'schema_version');
end
$migration$;

-- 20261124000023_shared_transports
do $migration$
declare
  v_sql text := $taskforce_mailer$-- A transport that several processes use: each is late by its own delays, so that their messages
-- may meet though their slots do not. Its slots are spaced further apart from then on.

alter table mailer.transports
  -- Who took the last slots; empty: somebody of an older version.
  add column holder text not null default '',
  -- Until then more than one process counts as sending through it.
  add column shared_until timestamptz not null default '-infinity';

-- reserve_slots: moments at which a message may be handed to the next hop.
--
-- args { transport, rate_per_second, count, holder, shared_rate_per_second }, the last two absent
-- when an older version asks; answer { wait_ms: [one per slot, from now], shared }.
--
-- Guarantees: of all slots ever given out for a transport no two are closer than
-- 1 / rate_per_second by the database's clock (1 / shared_rate_per_second while shared), so that
-- a pause is never made up for by a burst. A slot that is not used is lost. It is shared for a
-- minute after a slot was given to another than the last one. Slots more than an hour ahead are
-- those of a clock that was set back meanwhile (nobody reserves so far ahead) and are forgotten.
create or replace function mailer.reserve_slots(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_name text := v_args ->> 'transport';
  v_count integer := (v_args ->> 'count')::integer;
  v_holder text := coalesce(v_args ->> 'holder', '');
  v_now timestamptz;
  v_is_shared boolean;
  v_gap interval;
  v_end timestamptz;
begin
  insert into mailer.transports (name, next_slot_at, holder)
  values (v_name, clock_timestamp(), v_holder)
  on conflict (name) do nothing;
  perform 1 from mailer.transports where name = v_name for update;
  -- Its clock is read once the row is ours: a wait for the lock is no reason for two slots
  -- to meet.
  v_now := clock_timestamp();
  update mailer.transports t set
    holder = v_holder,
    shared_until = case when t.holder <> v_holder then v_now + interval '1 minute'
      else least(t.shared_until, v_now + interval '1 minute') end
  where name = v_name
  returning t.shared_until > v_now into v_is_shared;
  -- Rounded up to the microsecond, the finest a timestamp knows.
  v_gap := ceil(1000000 / (case when v_is_shared
      then coalesce(v_args ->> 'shared_rate_per_second', v_args ->> 'rate_per_second')
      else v_args ->> 'rate_per_second' end)::numeric) * interval '1 microsecond';
  update mailer.transports t set next_slot_at = v_count * v_gap + case
      when t.next_slot_at > v_now + interval '1 hour' then v_now
      else greatest(t.next_slot_at, v_now)
    end
  where name = v_name
  returning t.next_slot_at into v_end;
  return jsonb_build_object('shared', v_is_shared, 'wait_ms', (
    select jsonb_agg(greatest(0, ceil(extract(epoch from
      v_end - v_gap * (v_count - i) - v_now) * 1000)) order by i)
    from generate_series(0, v_count - 1) i))::text;
end
$$;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000023"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000023'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000023', array[v_sql], 'shared_transports');
end
$migration$;

-- 20261124000024_index_plans
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Claim, fence and settle at the speed of their indexes, whatever the tables hold. A plan that
-- a connection made while a table was small reads all of it, and is kept: at 5,000 emails a
-- fence read every email, a claim every message's row, a settlement every attempt.

-- As in 20261124000013_reconcile_more.sql, which says what it takes, answers and guarantees;
-- recipients are read once.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  c_suspect_from constant smallint := 2;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  v_rows jsonb;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i))
  order by e.id for update;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, coalesce(i.isolated, false) as isolated,
      coalesce(i.again, false) as again, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer,
      isolated boolean, again boolean)) with ordinality as i (id, wake, isolated, again, n)
  ),
  judged as materialized (
    select i.n, i.id, i.isolated, e.next_attempt_at, case
        when i.again and i.turn = 1 and e.state = 'sending' and e.wake = i.wake
          and e.worker_id = v_worker and e.fenced_at is null then 'claimed'
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        when e.crashes >= c_suspect_from and not i.isolated then 'suspect'
        else 'claimed'
      end as kind
    from item i left join mailer.emails e on e.id = i.id
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = v_now,
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.*
  )
  select coalesce(jsonb_agg(case j.kind
      when 'claimed' then jsonb_build_object('kind', j.kind, 'id', m.id,
        'sequence', m.sequence, 'token', m.claim_token, 'attempt', m.attempts + 1,
        'attempts_before', m.attempts_before, 'max_retries', m.max_retries,
        'max_age_seconds', m.max_age_seconds,
        'age_ms', mailer.ms_until(v_now, m.age_from),
        'on_uncertain', m.on_uncertain, 'owner_id', m.owner_id,
        'wrapped_key', m.wrapped_key, 'sender', m.sender, 'message_date', m.message_date,
        'message_bytes', m.message_bytes)
      when 'not_due' then jsonb_build_object('kind', j.kind,
        'due_in_ms', mailer.ms_until(j.next_attempt_at, v_now))
      when 'stale' then jsonb_build_object('kind', j.kind)
      when 'suspect' then jsonb_build_object('kind', j.kind)
      else jsonb_build_object('kind', j.kind, 'id', m.id, 'owner_id', m.owner_id,
        'sequence', m.sequence)
    end order by j.n), '[]')
  into v_rows
  from judged j left join moved m on m.id = j.id and j.kind in ('claimed', 'expired', 'held');

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor,
    case r ->> 'kind' when 'claimed' then 'email.sending' else 'email.' || (r ->> 'kind') end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    case r ->> 'kind'
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', r -> 'attempt',
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', r ->> 'kind', 'reason', 'too_late')
    end
  from jsonb_array_elements(v_rows) r
  where r ? 'sequence';

  return (
    select json_agg(case when r ->> 'kind' <> 'claimed' then r::json else json_build_object(
        'kind', 'claimed', 'token', r -> 'token', 'attempt', r -> 'attempt',
        'attempts_before', r -> 'attempts_before', 'max_retries', r -> 'max_retries',
        'max_age_seconds', r -> 'max_age_seconds', 'age_ms', r -> 'age_ms',
        'on_uncertain', r -> 'on_uncertain', 'owner_id', r -> 'owner_id',
        'wrapped_key', r -> 'wrapped_key', 'sender', r -> 'sender',
        'message_date', r -> 'message_date', 'message_bytes', r -> 'message_bytes',
        'message', case when octet_length(c.message) <= (v_args ->> 'inline_bytes_max')::integer
          then encode(c.message, 'base64') end,
        'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced)
      end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
    left join mailer.contents c on c.email_id = (r ->> 'id')::uuid and r ->> 'kind' = 'claimed'
    left join lateral (
      select count(*) filter (where t.status = 'sent') as sent,
        count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
        json_agg(json_build_object('position', t.position, 'address', t.address)
          order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
      from mailer.recipients t where t.email_id = c.email_id
    ) t on true
  )::text;
end
$$;

-- As in 20261124000004_deliver.sql.
create or replace function mailer.fence_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_answer text;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i))
  order by e.id for update;

  with item as (
    select i.id, i.token, i.message_date, i.n,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint,
      message_date timestamptz)) with ordinality as i (id, token, message_date, n)
  ),
  fenced as (
    update mailer.emails e set fenced_at = clock_timestamp(), message_date = i.message_date
    from item i
    where e.id = i.id and e.claim_token = i.token and e.state = 'sending'
      and e.fenced_at is null
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

-- As in 20261124000012_dead_letters.sql; earlier attempts are looked at only for a stale
-- holder.
create or replace function mailer.settle_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_now timestamptz;
  v_actor text := mailer.claim_sub();
  v_rows jsonb;
  v_recipient record;
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
        'owner_id', i.owner_id, 'outcome', i.outcome,
        -- Counted: of an `exists` a plan may be made that reads all attempts into a hash first.
        'is_known', 0 < (select count(*) from mailer.attempts a
          where a.email_id = i.id and a.claim_token = i.token))
    end order by i.n)
  into v_rows
  from item i left join moved m on m.id = i.id and i.is_ours;

  -- One by one: a join of unknown lists with this table may be planned as a read of all of it.
  for v_recipient in
    select (r ->> 'id')::uuid as email_id, t.*
    from jsonb_array_elements(v_rows) r
    cross join lateral jsonb_to_recordset(r -> 'recipients')
      as t (position smallint, status text, smtp_code smallint, enhanced_code text, reply text)
    where (r ->> 'applied')::boolean
  loop
    update mailer.recipients t set status = v_recipient.status,
      smtp_code = v_recipient.smtp_code, enhanced_code = v_recipient.enhanced_code,
      reply = v_recipient.reply
    where t.email_id = v_recipient.email_id and t.position = v_recipient.position
      and t.status in ('pending', 'deferred');
  end loop;

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

alter function mailer.schedule_emails(text)
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off;
alter function mailer.release_emails(text)
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000024"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000024'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000024', array[v_sql], 'index_plans');
end
$migration$;

-- 20261124000025_long_lists
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Lists at any number of emails: what is counted, and what an offset passes over, is bounded.

-- list_emails: newest first by creation.
-- args: { ...the filter of mailer.filter_sql, limit, offset | null, total_max | null,
--         cursor: { created_at, id } | null, with_attempts }
-- answer: { emails: [...], total | null, next: { created_at, id } | null }
-- (total only with offset, and only up to total_max; created_at of a cursor is text with
-- microseconds).
create or replace function mailer.list_emails(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_where text;
  v_total_max bigint := v_args ->> 'total_max';
  v_total bigint;
  v_emails mailer.emails[];
  v_limit integer := (v_args ->> 'limit')::integer;
  v_last mailer.emails;
  v_has_more boolean;
begin
  v_where := mailer.filter_sql(v_args);

  if v_args ->> 'offset' is not null then
    execute format('select count(*) from (select from mailer.emails e where %s limit %L) q',
      v_where, v_total_max + 1) into v_total;
    v_total := nullif(least(v_total, v_total_max + 1), v_total_max + 1);
  end if;
  if v_args -> 'cursor' <> 'null' then
    v_where := v_where || format(' and (e.created_at, e.id) < (%L::timestamptz, %L::uuid)',
      v_args -> 'cursor' ->> 'created_at', v_args -> 'cursor' ->> 'id');
  end if;
  -- One more than asked for tells whether there is a next page.
  -- What an offset leaves out is passed over in the index alone.
  execute format('select array(select e from (select e.id from mailer.emails e where %s
    order by e.created_at desc, e.id desc limit %s offset %s) page
    join mailer.emails e on e.id = page.id order by e.created_at desc, e.id desc)', v_where,
    v_limit + 1, coalesce((v_args ->> 'offset')::integer, 0)) into v_emails;
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

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000025"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000025'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000025', array[v_sql], 'long_lists');
end
$migration$;

-- 20261124000026_plain_texts
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Large texts taken apart and put together by bytes. What counts characters (strpos, left, substr)
-- reads a text several times over, and as a value of JSON a text is copied and escaped: of the
-- time to accept an email of 10 kB that was a fifth, of the time to claim it a sixth.

-- As in 20261124000019_quotas.sql, which says what it takes, answers and guarantees.
create or replace function mailer.schedule_emails(args text) returns text
language plpgsql
set search_path = '' set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_lines text[] := string_to_array(args, E'\n');
  v_json json := v_lines[1];
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
    select id, owner_id, decode(v_lines[message_line + 1], 'base64'), v_lines[details_line + 1]
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

-- As in 20261124000013_reconcile_more.sql, which says what it takes, answers and guarantees, but:
--
-- args: { …, texts_behind | absent }
-- answer with texts_behind: message is null and has_message says whether there is one; behind the
--   JSON, each after a form feed, those messages in base64, in the order of the items.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  c_suspect_from constant smallint := 2;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  -- How large a message may be to come behind the answer, or within it.
  v_bytes_max integer := (v_args ->> 'inline_bytes_max')::integer;
  v_is_behind boolean := coalesce((v_args ->> 'texts_behind')::boolean, false);
  v_rows jsonb;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i))
  order by e.id for update;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, coalesce(i.isolated, false) as isolated,
      coalesce(i.again, false) as again, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer,
      isolated boolean, again boolean)) with ordinality as i (id, wake, isolated, again, n)
  ),
  judged as materialized (
    select i.n, i.id, i.isolated, e.next_attempt_at, case
        when i.again and i.turn = 1 and e.state = 'sending' and e.wake = i.wake
          and e.worker_id = v_worker and e.fenced_at is null then 'claimed'
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        when e.crashes >= c_suspect_from and not i.isolated then 'suspect'
        else 'claimed'
      end as kind
    from item i left join mailer.emails e on e.id = i.id
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = v_now,
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.*
  )
  select coalesce(jsonb_agg(case j.kind
      when 'claimed' then jsonb_build_object('kind', j.kind, 'id', m.id,
        'sequence', m.sequence, 'token', m.claim_token, 'attempt', m.attempts + 1,
        'attempts_before', m.attempts_before, 'max_retries', m.max_retries,
        'max_age_seconds', m.max_age_seconds,
        'age_ms', mailer.ms_until(v_now, m.age_from),
        'on_uncertain', m.on_uncertain, 'owner_id', m.owner_id,
        'wrapped_key', m.wrapped_key, 'sender', m.sender, 'message_date', m.message_date,
        'message_bytes', m.message_bytes)
      when 'not_due' then jsonb_build_object('kind', j.kind,
        'due_in_ms', mailer.ms_until(j.next_attempt_at, v_now))
      when 'stale' then jsonb_build_object('kind', j.kind)
      when 'suspect' then jsonb_build_object('kind', j.kind)
      else jsonb_build_object('kind', j.kind, 'id', m.id, 'owner_id', m.owner_id,
        'sequence', m.sequence)
    end order by j.n), '[]')
  into v_rows
  from judged j left join moved m on m.id = j.id and j.kind in ('claimed', 'expired', 'held');

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor,
    case r ->> 'kind' when 'claimed' then 'email.sending' else 'email.' || (r ->> 'kind') end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    case r ->> 'kind'
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', r -> 'attempt',
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', r ->> 'kind', 'reason', 'too_late')
    end
  from jsonb_array_elements(v_rows) r
  where r ? 'sequence';

  return (
    select json_agg(case when r ->> 'kind' <> 'claimed' then r::json else json_build_object(
        'kind', 'claimed', 'token', r -> 'token', 'attempt', r -> 'attempt',
        'attempts_before', r -> 'attempts_before', 'max_retries', r -> 'max_retries',
        'max_age_seconds', r -> 'max_age_seconds', 'age_ms', r -> 'age_ms',
        'on_uncertain', r -> 'on_uncertain', 'owner_id', r -> 'owner_id',
        'wrapped_key', r -> 'wrapped_key', 'sender', r -> 'sender',
        'message_date', r -> 'message_date', 'message_bytes', r -> 'message_bytes',
        'message', case when not v_is_behind and octet_length(c.message) <= v_bytes_max
          then encode(c.message, 'base64') end,
        'has_message', v_is_behind and octet_length(c.message) <= v_bytes_max,
        'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced)
      end order by n)::text
      || coalesce(E'\f' || string_agg(encode(c.message, 'base64'), E'\f' order by n)
        filter (where v_is_behind and octet_length(c.message) <= v_bytes_max), '')
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
    left join mailer.contents c on c.email_id = (r ->> 'id')::uuid and r ->> 'kind' = 'claimed'
    left join lateral (
      select count(*) filter (where t.status = 'sent') as sent,
        count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
        json_agg(json_build_object('position', t.position, 'address', t.address)
          order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
      from mailer.recipients t where t.email_id = c.email_id
    ) t on true
  );
end
$$;

-- Ciphertext does not compress; trying to was a twelfth of the time to accept.
alter table mailer.contents alter column details set storage external;

-- What changes with every email is judged where the trigger's condition stands, at a fraction of
-- the cost of calling a function; every other edge is still judged by check_edge.
drop trigger emails_start on mailer.emails;
create trigger emails_start before insert on mailer.emails
  for each row when (new.state <> 'pending')
  execute function mailer.check_edge();
drop trigger emails_edge on mailer.emails;
create trigger emails_edge before update of state on mailer.emails
  for each row when (old.state is distinct from new.state
    and not (old.state = 'pending' and new.state = 'sending')
    and not (old.state = 'sending' and old.fenced_at is not null and new.state = 'sent'))
  execute function mailer.check_edge();

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000026"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000026'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000026', array[v_sql], 'plain_texts');
end
$migration$;

-- 20261124000027_accept_and_claim
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Fewer and cheaper calls on the way of an email: one that is due at once can be claimed as it is
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
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000027'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000027', array[v_sql], 'accept_and_claim');
end
$migration$;

-- 20261124000028_packed_messages
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Messages may be stored compressed, and claims and settlements write down what they did without
-- building every row of it as JSON twice.
--
-- Where rows are looked up for each item, `lateral … limit 1` or the ids beside the join say so: a
-- join may be planned as a read of a whole index for each item while the table is small, and that
-- plan stays as it grows, until it is analyzed again. Of a table that was analyzed while it was
-- empty the planner may still take another index that holds the id.
--
-- A message whose ciphertext is shorter than the message was compressed before it was encrypted.

-- claim_emails: as 20261124000013_reconcile_more.sql and 20261124000026_plain_texts.sql say, but:
--
-- args: { …, reads_packed | absent }
-- A program of before reads no compressed messages: to it such an email is not due for so long
-- that it gives it back to the queue, by rewake_email, and one that can read it comes by.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  c_suspect_from constant smallint := 2;
  -- What encrypting adds to a message.
  c_seal_bytes constant integer := 28;
  -- Longer than a worker keeps what it was given too early.
  c_left_to_others_ms constant integer := 3600000;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  -- How large a message may be to come behind the answer, or within it.
  v_bytes_max integer := (v_args ->> 'inline_bytes_max')::integer;
  v_asked uuid[] := array(
    select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i);
  v_is_behind boolean := coalesce((v_args ->> 'texts_behind')::boolean, false);
  v_reads_packed boolean := coalesce((v_args ->> 'reads_packed')::boolean, false);
  v_ids uuid[];
  v_owners text[];
  v_kinds text[];
  v_sequences integer[];
  v_attempts integer[];
  v_answer text;
begin
  perform 1 from mailer.emails e where e.id = any (v_asked) order by e.id for update;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, coalesce(i.isolated, false) as isolated,
      coalesce(i.again, false) as again, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer,
      isolated boolean, again boolean)) with ordinality as i (id, wake, isolated, again, n)
  ),
  judged as materialized (
    select i.n, i.id, i.isolated, e.next_attempt_at, case
        when i.again and i.turn = 1 and e.state = 'sending' and e.wake = i.wake
          and e.worker_id = v_worker and e.fenced_at is null then 'claimed'
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        when not v_reads_packed and exists (select from mailer.contents c
          where c.email_id = e.id and octet_length(c.message) < e.message_bytes + c_seal_bytes)
          then 'not_due'
        when e.crashes >= c_suspect_from and not i.isolated then 'suspect'
        else 'claimed'
      end as kind
    from item i
    left join lateral (select e.id, e.state, e.wake, e.worker_id, e.fenced_at, e.next_attempt_at,
        e.expires_at, e.on_late, e.message_bytes, e.crashes
      from mailer.emails e where e.id = i.id limit 1) e on true
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = v_now,
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = any (v_asked) and e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.id, e.owner_id, e.sequence, e.claim_token, e.attempts, e.attempts_before,
      e.max_retries, e.max_age_seconds, e.age_from, e.on_uncertain, e.wrapped_key, e.sender,
      e.message_date, e.message_bytes, j.n
  ),
  answered as (
    select j.n, j.kind, m.id, m.owner_id, m.sequence, m.attempts + 1 as attempt,
      case when v_is_behind and octet_length(c.message) <= v_bytes_max
        then encode(c.message, 'base64') end as text,
      case j.kind
        when 'claimed' then json_build_object('kind', j.kind, 'token', m.claim_token,
          'attempt', m.attempts + 1, 'attempts_before', m.attempts_before,
          'max_retries', m.max_retries, 'max_age_seconds', m.max_age_seconds,
          'age_ms', mailer.ms_until(v_now, m.age_from), 'on_uncertain', m.on_uncertain,
          'owner_id', m.owner_id, 'wrapped_key', m.wrapped_key, 'sender', m.sender,
          'message_date', m.message_date, 'message_bytes', m.message_bytes,
          'message', case when not v_is_behind and octet_length(c.message) <= v_bytes_max
            then encode(c.message, 'base64') end,
          'has_message', v_is_behind and octet_length(c.message) <= v_bytes_max,
          'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced)
        when 'not_due' then json_build_object('kind', j.kind, 'due_in_ms',
          greatest(mailer.ms_until(j.next_attempt_at, v_now),
            case when j.next_attempt_at <= v_now then c_left_to_others_ms end))
        else json_build_object('kind', j.kind)
      end as answer
    from judged j
    left join moved m on m.n = j.n
    left join lateral (select c.email_id, c.message from mailer.contents c
      where c.email_id = m.id and j.kind = 'claimed' limit 1) c on true
    left join lateral (
      select count(*) filter (where t.status = 'sent') as sent,
        count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
        json_agg(json_build_object('position', t.position, 'address', t.address)
          order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
      from mailer.recipients t where t.email_id = c.email_id
    ) t on true
  )
  select coalesce(json_agg(answer order by n)::text, '[]')
      || coalesce(E'\f' || string_agg(text, E'\f' order by n), ''),
    array_agg(id), array_agg(owner_id), array_agg(kind), array_agg(sequence), array_agg(attempt)
  into v_answer, v_ids, v_owners, v_kinds, v_sequences, v_attempts
  from answered;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select e.owner_id, v_actor,
    case e.kind when 'claimed' then 'email.sending' else 'email.' || e.kind end,
    e.id, e.sequence,
    case e.kind
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', e.attempt,
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', e.kind, 'reason', 'too_late')
    end
  from unnest(v_ids, v_owners, v_kinds, v_sequences, v_attempts)
    as e (id, owner_id, kind, sequence, attempt)
  where e.id is not null;

  return v_answer;
end
$$;

-- settle_attempts: as 20261124000012_dead_letters.sql says.
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
      region text, horizon_ms bigint, queued_by uuid, outcome text, next_state text,
      retry_in_ms bigint, smtp_code smallint, enhanced_code text, reply text,
      failure_group text, failure_domain text, recipients jsonb)) with ordinality
      as i (id, token, transport, region, horizon_ms, queued_by, outcome, next_state,
        retry_in_ms, smtp_code, enhanced_code, reply, failure_group, failure_domain,
        recipients, n)
    left join lateral (select e.id, e.state, e.owner_id, e.worker_id, e.claimed_at, e.fenced_at,
        e.message_date, e.attempts, e.claim_token
      from mailer.emails e where e.id = i.id limit 1) e on true
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
    where e.id = any (v_asked) and e.id = i.id and i.is_ours
    returning i.n, e.id, e.owner_id, e.state, e.attempts, e.wake, e.sequence, e.next_attempt_at,
      case when e.queued_at is not null then mailer.ms_until(e.next_attempt_at, v_now) end
        as delay_ms
  ),
  recorded as (
    insert into mailer.attempts (email_id, number, owner_id, claim_token, worker_id, region,
      transport, started_at, fenced_at, message_date, ended_at, outcome, smtp_code,
      enhanced_code, reply)
    select i.id, i.attempts + 1, i.owner_id, i.token, i.worker_id, i.region, i.transport,
      i.claimed_at, i.fenced_at, i.message_date, v_now, i.outcome, i.smtp_code,
      i.enhanced_code, i.reply
    from item i where i.is_ours
  )
  select json_agg(case when i.is_ours
      then json_build_object('applied', true, 'state', m.state, 'attempt', m.attempts,
        'wake', m.wake, 'delay_ms', m.delay_ms)
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

-- rewake_email: as 20261124000004_deliver.sql says, but what is due already waits for a
-- second, so that it does not go round and round where nobody can read it.
create or replace function mailer.rewake_email(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  update mailer.emails e set wake = e.wake + 1, queued_at = clock_timestamp(),
    queued_by = (v_args ->> 'queued_by')::uuid
  where e.id = (v_args ->> 'id')::uuid and e.wake = (v_args ->> 'wake')::integer
    and e.state = 'pending'
  returning * into v_email;
  return jsonb_build_object('wake', v_email.wake, 'delay_ms',
    greatest(mailer.ms_until(v_email.next_attempt_at, clock_timestamp()), 1000))::text;
end
$$;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000028"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000028'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000028', array[v_sql], 'packed_messages');
end
$migration$;

-- 20261124000029_claim_ahead
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Emails of a flood may be claimed before their time, by a worker that holds them until then, so
-- that at the moment itself nothing of them has to be read any more. Cancelled is not sent all the
-- same: the fence decides, and it asks for the time again.

-- claim_emails: as 20261124000028_packed_messages.sql says, but:
--
-- args: { …, items: [{ …, ahead_ms | absent }] }; one that is due within so many milliseconds is
--   granted as well.
-- answer: claimed says due_in_ms, 0 for what is due; expires_in_ms, after which it may not be sent
--   any more, null for never; and an age_ms that is below 0 before its time.
--
-- claimed_at, and with it the beginning of the attempt, is never before the email is due.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  c_suspect_from constant smallint := 2;
  -- What encrypting adds to a message.
  c_seal_bytes constant integer := 28;
  -- Longer than a worker keeps what it was given too early.
  c_left_to_others_ms constant integer := 3600000;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  -- How large a message may be to come behind the answer, or within it.
  v_bytes_max integer := (v_args ->> 'inline_bytes_max')::integer;
  v_asked uuid[] := array(
    select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i);
  v_is_behind boolean := coalesce((v_args ->> 'texts_behind')::boolean, false);
  v_reads_packed boolean := coalesce((v_args ->> 'reads_packed')::boolean, false);
  v_ids uuid[];
  v_owners text[];
  v_kinds text[];
  v_sequences integer[];
  v_attempts integer[];
  v_answer text;
begin
  perform 1 from mailer.emails e where e.id = any (v_asked) order by e.id for update;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, coalesce(i.isolated, false) as isolated,
      coalesce(i.again, false) as again, coalesce(i.ahead_ms, 0) as ahead_ms, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer,
      isolated boolean, again boolean, ahead_ms integer)) with ordinality
      as i (id, wake, isolated, again, ahead_ms, n)
  ),
  judged as materialized (
    select i.n, i.id, i.isolated, e.next_attempt_at, case
        when i.again and i.turn = 1 and e.state = 'sending' and e.wake = i.wake
          and e.worker_id = v_worker and e.fenced_at is null then 'claimed'
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now + i.ahead_ms * interval '1 ms' then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        when not v_reads_packed and exists (select from mailer.contents c
          where c.email_id = e.id and octet_length(c.message) < e.message_bytes + c_seal_bytes)
          then 'not_due'
        when e.crashes >= c_suspect_from and not i.isolated then 'suspect'
        else 'claimed'
      end as kind
    from item i
    left join lateral (select e.id, e.state, e.wake, e.worker_id, e.fenced_at, e.next_attempt_at,
        e.expires_at, e.on_late, e.message_bytes, e.crashes
      from mailer.emails e where e.id = i.id limit 1) e on true
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = greatest(v_now, e.next_attempt_at),
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = any (v_asked) and e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.id, e.owner_id, e.sequence, e.claim_token, e.attempts, e.attempts_before,
      e.max_retries, e.max_age_seconds, e.age_from, e.on_uncertain, e.wrapped_key, e.sender,
      e.message_date, e.message_bytes, e.next_attempt_at, j.n,
      case when e.on_late <> 'send' then e.expires_at end as expires_at
  ),
  answered as (
    select j.n, j.kind, m.id, m.owner_id, m.sequence, m.attempts + 1 as attempt,
      case when v_is_behind and octet_length(c.message) <= v_bytes_max
        then encode(c.message, 'base64') end as text,
      case j.kind
        when 'claimed' then json_build_object('kind', j.kind, 'token', m.claim_token,
          'attempt', m.attempts + 1, 'attempts_before', m.attempts_before,
          'max_retries', m.max_retries, 'max_age_seconds', m.max_age_seconds,
          'age_ms', ceil(extract(epoch from v_now - m.age_from) * 1000)::bigint,
          'due_in_ms', mailer.ms_until(m.next_attempt_at, v_now),
          'expires_in_ms', case when m.expires_at is not null
            then mailer.ms_until(m.expires_at, v_now) end,
          'on_uncertain', m.on_uncertain,
          'owner_id', m.owner_id, 'wrapped_key', m.wrapped_key, 'sender', m.sender,
          'message_date', m.message_date, 'message_bytes', m.message_bytes,
          'message', case when not v_is_behind and octet_length(c.message) <= v_bytes_max
            then encode(c.message, 'base64') end,
          'has_message', v_is_behind and octet_length(c.message) <= v_bytes_max,
          'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced)
        when 'not_due' then json_build_object('kind', j.kind, 'due_in_ms',
          greatest(mailer.ms_until(j.next_attempt_at, v_now),
            case when j.next_attempt_at <= v_now then c_left_to_others_ms end))
        else json_build_object('kind', j.kind)
      end as answer
    from judged j
    left join moved m on m.n = j.n
    left join lateral (select c.email_id, c.message from mailer.contents c
      where c.email_id = m.id and j.kind = 'claimed' limit 1) c on true
    left join lateral (
      select count(*) filter (where t.status = 'sent') as sent,
        count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
        json_agg(json_build_object('position', t.position, 'address', t.address)
          order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
      from mailer.recipients t where t.email_id = c.email_id
    ) t on true
  )
  select coalesce(json_agg(answer order by n)::text, '[]')
      || coalesce(E'\f' || string_agg(text, E'\f' order by n), ''),
    array_agg(id), array_agg(owner_id), array_agg(kind), array_agg(sequence), array_agg(attempt)
  into v_answer, v_ids, v_owners, v_kinds, v_sequences, v_attempts
  from answered;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select e.owner_id, v_actor,
    case e.kind when 'claimed' then 'email.sending' else 'email.' || e.kind end,
    e.id, e.sequence,
    case e.kind
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', e.attempt,
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', e.kind, 'reason', 'too_late')
    end
  from unnest(v_ids, v_owners, v_kinds, v_sequences, v_attempts)
    as e (id, owner_id, kind, sequence, attempt)
  where e.id is not null;

  return v_answer;
end
$$;

-- fence_attempts: as 20261124000027_accept_and_claim.sql says, but what is not due yet by the
-- clock here, or has become too late to be sent, is not granted: `fence_failed`, as for a fence
-- that could not be asked. It is given back, and the next claim says what becomes of it.
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
      and e.next_attempt_at <= clock_timestamp()
      and (e.on_late = 'send' or e.expires_at is null or e.expires_at >= clock_timestamp())
    returning e.id, e.claim_token
  )
  select json_agg(case
      when f.id is not null and i.turn = 1 then json_build_object('granted', true)
      when e.state = 'cancelled' then json_build_object('granted', false, 'reason', 'cancelled')
      when e.state = 'sending' and e.claim_token = i.token and e.fenced_at is null and i.turn = 1
        then json_build_object('granted', false, 'reason', 'fence_failed')
      else json_build_object('granted', false, 'reason', 'stale')
    end order by i.n)::text
  into v_answer
  from item i
  left join fenced f on f.id = i.id and f.claim_token = i.token
  left join mailer.emails e on e.id = i.id;
  return v_answer;
end
$$;

-- lost_claims: which of the emails that a worker holds are not its own any more: cancelled, or taken
-- over. A flood that was cancelled would otherwise cost the next hop a conversation for each.
-- args: [{ id, token }]; answer: [id, …].
create function mailer.lost_claims(args text) returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
begin
  return (select coalesce(json_agg(i.id), '[]')::text
    from jsonb_to_recordset(v_items) as i (id uuid, token bigint)
    left join lateral (select e.state, e.claim_token from mailer.emails e where e.id = i.id limit 1) e
      on true
    where e.state is distinct from 'sending' or e.claim_token <> i.token);
end
$$;

revoke execute on function mailer.lost_claims(text) from public;
grant execute on function mailer.lost_claims(text) to mailer_service;
insert into mailer.functions (name, roles) values ('lost_claims', array['worker']);

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000029"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000029'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000029', array[v_sql], 'claim_ahead');
end
$migration$;

-- 20261124000030_steady_calls
do $migration$
declare
  v_sql text := $taskforce_mailer$-- What one call promises whatever the server, the database or the role is set to, and what another
-- transaction's lock may cost: the email that it locks, and no other.

-- call_as: as 20261124000027_accept_and_claim.sql says, and
--
-- - the claims may say { lock_timeout_ms }: how long to wait for another transaction's lock
--   (default 3000); a call that carries many emails says less, since all of them wait;
-- - what it writes is on the disk before it answers, also where synchronous_commit is off. Any
--   other setting of it (local, remote_write, remote_apply) is the operator's choice and stays;
-- - instants and intervals become text in one way, whatever DateStyle, IntervalStyle and TimeZone
--   are: cursors are such text, and are read again by the next call.
--
-- All of it holds for this transaction alone, so that it works behind a pooler in transaction mode.
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

-- claim_emails: as 20261124000029_claim_ahead.sql says, but:
--
-- args: { …, waits | absent }; true: it waits for a row that another transaction has locked, up to
--   lock_timeout. Otherwise such an email is left out, so that the others are not held up:
-- answer: … | { kind: "locked" }: nothing was changed, ask again.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  c_suspect_from constant smallint := 2;
  -- What encrypting adds to a message.
  c_seal_bytes constant integer := 28;
  -- Longer than a worker keeps what it was given too early.
  c_left_to_others_ms constant integer := 3600000;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  -- How large a message may be to come behind the answer, or within it.
  v_bytes_max integer := (v_args ->> 'inline_bytes_max')::integer;
  v_asked uuid[] := array(
    select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i);
  -- Those of them that are locked now, and may be changed.
  v_held uuid[];
  v_is_behind boolean := coalesce((v_args ->> 'texts_behind')::boolean, false);
  v_reads_packed boolean := coalesce((v_args ->> 'reads_packed')::boolean, false);
  v_ids uuid[];
  v_owners text[];
  v_kinds text[];
  v_sequences integer[];
  v_attempts integer[];
  v_answer text;
begin
  if coalesce((v_args ->> 'waits')::boolean, false) then
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_asked) order by e.id for update);
  else
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_asked) order by e.id for update skip locked);
  end if;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, coalesce(i.isolated, false) as isolated,
      coalesce(i.again, false) as again, coalesce(i.ahead_ms, 0) as ahead_ms, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer,
      isolated boolean, again boolean, ahead_ms integer)) with ordinality
      as i (id, wake, isolated, again, ahead_ms, n)
  ),
  judged as materialized (
    select i.n, i.id, i.isolated, e.next_attempt_at, case
        when e.id is not null and not i.id = any (v_held) then 'locked'
        when i.again and i.turn = 1 and e.state = 'sending' and e.wake = i.wake
          and e.worker_id = v_worker and e.fenced_at is null then 'claimed'
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now + i.ahead_ms * interval '1 ms' then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        when not v_reads_packed and exists (select from mailer.contents c
          where c.email_id = e.id and octet_length(c.message) < e.message_bytes + c_seal_bytes)
          then 'not_due'
        when e.crashes >= c_suspect_from and not i.isolated then 'suspect'
        else 'claimed'
      end as kind
    from item i
    left join lateral (select e.id, e.state, e.wake, e.worker_id, e.fenced_at, e.next_attempt_at,
        e.expires_at, e.on_late, e.message_bytes, e.crashes
      from mailer.emails e where e.id = i.id limit 1) e on true
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = greatest(v_now, e.next_attempt_at),
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = any (v_held) and e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.id, e.owner_id, e.sequence, e.claim_token, e.attempts, e.attempts_before,
      e.max_retries, e.max_age_seconds, e.age_from, e.on_uncertain, e.wrapped_key, e.sender,
      e.message_date, e.message_bytes, e.next_attempt_at, j.n,
      case when e.on_late <> 'send' then e.expires_at end as expires_at
  ),
  answered as (
    select j.n, j.kind, m.id, m.owner_id, m.sequence, m.attempts + 1 as attempt,
      case when v_is_behind and octet_length(c.message) <= v_bytes_max
        then encode(c.message, 'base64') end as text,
      case j.kind
        when 'claimed' then json_build_object('kind', j.kind, 'token', m.claim_token,
          'attempt', m.attempts + 1, 'attempts_before', m.attempts_before,
          'max_retries', m.max_retries, 'max_age_seconds', m.max_age_seconds,
          'age_ms', ceil(extract(epoch from v_now - m.age_from) * 1000)::bigint,
          'due_in_ms', mailer.ms_until(m.next_attempt_at, v_now),
          'expires_in_ms', case when m.expires_at is not null
            then mailer.ms_until(m.expires_at, v_now) end,
          'on_uncertain', m.on_uncertain,
          'owner_id', m.owner_id, 'wrapped_key', m.wrapped_key, 'sender', m.sender,
          'message_date', m.message_date, 'message_bytes', m.message_bytes,
          'message', case when not v_is_behind and octet_length(c.message) <= v_bytes_max
            then encode(c.message, 'base64') end,
          'has_message', v_is_behind and octet_length(c.message) <= v_bytes_max,
          'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced)
        when 'not_due' then json_build_object('kind', j.kind, 'due_in_ms',
          greatest(mailer.ms_until(j.next_attempt_at, v_now),
            case when j.next_attempt_at <= v_now then c_left_to_others_ms end))
        else json_build_object('kind', j.kind)
      end as answer
    from judged j
    left join moved m on m.n = j.n
    left join lateral (select c.email_id, c.message from mailer.contents c
      where c.email_id = m.id and j.kind = 'claimed' limit 1) c on true
    left join lateral (
      select count(*) filter (where t.status = 'sent') as sent,
        count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
        json_agg(json_build_object('position', t.position, 'address', t.address)
          order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
      from mailer.recipients t where t.email_id = c.email_id
    ) t on true
  )
  select coalesce(json_agg(answer order by n)::text, '[]')
      || coalesce(E'\f' || string_agg(text, E'\f' order by n), ''),
    array_agg(id), array_agg(owner_id), array_agg(kind), array_agg(sequence), array_agg(attempt)
  into v_answer, v_ids, v_owners, v_kinds, v_sequences, v_attempts
  from answered;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select e.owner_id, v_actor,
    case e.kind when 'claimed' then 'email.sending' else 'email.' || e.kind end,
    e.id, e.sequence,
    case e.kind
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', e.attempt,
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', e.kind, 'reason', 'too_late')
    end
  from unnest(v_ids, v_owners, v_kinds, v_sequences, v_attempts)
    as e (id, owner_id, kind, sequence, attempt)
  where e.id is not null;

  return v_answer;
end
$$;

-- fence_attempts: as 20261124000029_claim_ahead.sql says, but a row that another transaction has
-- locked is left out and answered { granted: false, reason: "locked" }; nothing was changed. It is
-- waited for, up to lock_timeout, when the first item says { waits: true }.
create or replace function mailer.fence_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
  v_ids uuid[] := array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i);
  v_held uuid[];
  v_answer text;
begin
  if coalesce((v_items -> 0 ->> 'waits')::boolean, false) then
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_ids) order by e.id for update);
  else
    v_held := array(select e.id from mailer.emails e
      where e.id = any (v_ids) order by e.id for update skip locked);
  end if;

  with item as (
    select i.id, i.token, i.message_date, i.n,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint,
      message_date timestamptz)) with ordinality as i (id, token, message_date, n)
  ),
  fenced as (
    update mailer.emails e set fenced_at = clock_timestamp(), message_date = i.message_date
    from item i
    where e.id = any (v_held) and e.id = i.id and e.claim_token = i.token
      and e.state is not distinct from 'sending' and e.fenced_at is null
      and e.next_attempt_at <= clock_timestamp()
      and (e.on_late = 'send' or e.expires_at is null or e.expires_at >= clock_timestamp())
    returning e.id, e.claim_token
  )
  select json_agg(case
      when f.id is not null and i.turn = 1 then json_build_object('granted', true)
      when e.id is not null and not i.id = any (v_held)
        then json_build_object('granted', false, 'reason', 'locked')
      when e.state = 'cancelled' then json_build_object('granted', false, 'reason', 'cancelled')
      when e.state = 'sending' and e.claim_token = i.token and e.fenced_at is null and i.turn = 1
        then json_build_object('granted', false, 'reason', 'fence_failed')
      else json_build_object('granted', false, 'reason', 'stale')
    end order by i.n)::text
  into v_answer
  from item i
  left join fenced f on f.id = i.id and f.claim_token = i.token
  left join mailer.emails e on e.id = i.id;
  return v_answer;
end
$$;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000030"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000030'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000030', array[v_sql], 'steady_calls');
end
$migration$;

-- 20261124000031_outage_seen
do $migration$
declare
  v_sql text := $taskforce_mailer$-- An outage is seen from everywhere: what each process knows of its transports and of its queue
-- travels with its heartbeat, and how long an email has been due counts from its own time. And due
-- emails can be listed whatever the queue knows of them.

-- What the process last said of itself; null: nothing yet. Never content, and no addresses.
alter table mailer.workers add column state jsonb;

-- An email that is given back without an attempt being spent, to be tried again later, is due all
-- the while: since due_since, as long as next_attempt_at is the moment it was given back until. Any
-- other change of next_attempt_at (a retry, an edit, a replay) ends that by itself.
alter table mailer.emails
  add column due_since timestamptz,
  add column returned_until timestamptz;

-- Also while it is tried again: with one email due, each probe of a transport that is down would
-- make it look as if nothing were. Other emails are in neither column and not in the index.
create index emails_returned on mailer.emails (region, due_since)
  where state in ('pending', 'sending') and next_attempt_at = returned_until;

-- report_state: keeps what a process says of itself, for others to read. args { worker_id, state };
-- answer { is_known }: false before its first beat, and once its row is gone.
create function mailer.report_state(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  update mailer.workers w set state = v_args -> 'state'
  where w.id = (v_args ->> 'worker_id')::uuid;
  return jsonb_build_object('is_known', found)::text;
end
$$;

-- read_fleet: the living processes, and what each said of itself last. args {};
-- answer [{ id, region, role, state | null }].
create function mailer.read_fleet(args text) returns text
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', w.id, 'region', w.region, 'role', w.role,
    'state', w.state) order by w.region, w.started_at), '[]')::text
  from mailer.workers w
  where w.stopped_at is null and w.beat_at > clock_timestamp() - interval '5 seconds'
$$;

-- due_emails: emails of a region that are due and not claimed, queued or not; longest due first.
-- args { region, due_ms: for at least so long, limit }; answer [{ id, wake, owner_id }].
create function mailer.due_emails(args text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_until timestamptz := clock_timestamp() - (v_args ->> 'due_ms')::bigint * interval '1 ms';
begin
  return (select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'wake', d.wake,
      'owner_id', d.owner_id) order by d.next_attempt_at), '[]')::text
    from (
      select e.id, e.wake, e.owner_id, e.next_attempt_at from mailer.emails e
      where e.region = v_args ->> 'region' and e.state = 'pending'
        and e.next_attempt_at <= v_until
      order by e.next_attempt_at limit (v_args ->> 'limit')::integer) d);
end
$$;

-- oldest_due: since when the email that is due longest has been due by its own time; null: none is.
-- of_region null: in all of them. An entry of an index for each region, however many emails.
create function mailer.oldest_due(of_region text) returns timestamptz
language sql stable
set search_path = ''
as $$
  with recursive waiting as (
    (select e.region from mailer.emails e
      where e.state = 'pending' and e.region >= coalesce(of_region, '')
      order by e.region limit 1)
    union all
    select (select e.region from mailer.emails e
      where e.state = 'pending' and e.region > n.region order by e.region limit 1)
    from waiting n where n.region is not null and of_region is null
  ),
  returned as (
    (select e.region from mailer.emails e
      where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
        and e.region >= coalesce(of_region, '')
      order by e.region limit 1)
    union all
    select (select e.region from mailer.emails e
      where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
        and e.region > n.region order by e.region limit 1)
    from returned n where n.region is not null and of_region is null
  )
  select min(d.since) from (
    select (select e.next_attempt_at from mailer.emails e
      where e.region = n.region and e.state = 'pending' and e.next_attempt_at <= clock_timestamp()
      order by e.next_attempt_at limit 1) as since
    from waiting n where n.region = coalesce(of_region, n.region)
    union all
    select (select e.due_since from mailer.emails e
      where e.region = n.region and e.state in ('pending', 'sending')
        and e.next_attempt_at = e.returned_until
      order by e.due_since limit 1)
    from returned n where n.region = coalesce(of_region, n.region)) d
$$;

revoke execute on function mailer.report_state(text), mailer.read_fleet(text),
  mailer.due_emails(text), mailer.oldest_due(text) from public;
grant execute on function mailer.report_state(text), mailer.read_fleet(text),
  mailer.due_emails(text), mailer.oldest_due(text) to mailer_service;
insert into mailer.functions (name, roles) values
  ('report_state', array['reconciler', 'service']),
  ('read_fleet', array['metrics', 'service']),
  ('due_emails', array['reconciler', 'service']);

-- release_emails: as 20261124000004_deliver.sql says, and: an email that has to wait goes on being
-- due, except for a domain's own back-off (`destination_backed_off`), which is that mail's retry.
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
      delay_ms bigint, horizon_ms bigint, queued_by uuid)) with ordinality
      as i (id, token, reason, delay_ms, horizon_ms, queued_by, n)
  ),
  moved as (
    update mailer.emails e set
      state = 'pending',
      worker_id = null,
      fenced_at = null,
      message_date = case when exists (select from mailer.attempts a
        where a.email_id = i.id and a.outcome = 'uncertain') then e.message_date end,
      wake = e.wake + 1,
      next_attempt_at = greatest(e.next_attempt_at, i.again_at),
      due_since = case when i.again_at <= e.next_attempt_at or e.next_attempt_at = e.returned_until
        then e.due_since else e.next_attempt_at end,
      returned_until = case when i.again_at <= e.next_attempt_at then e.returned_until
        when i.reason is distinct from 'destination_backed_off' then i.again_at end,
      queued_at = case when i.again_at <= v_now + i.horizon_ms * interval '1 ms'
        then clock_timestamp() end,
      queued_by = case when i.again_at <= v_now + i.horizon_ms * interval '1 ms'
        then i.queued_by end,
      sequence = e.sequence + 1
    from item i
    where e.id = i.id and i.turn = 1 and e.state = 'sending' and e.claim_token = i.token
    returning e.*
  )
  select jsonb_agg(case when m.id is not null then jsonb_build_object('applied', true,
        'id', m.id, 'owner_id', m.owner_id, 'sequence', m.sequence, 'wake', m.wake,
        'reason', i.reason, 'delay_ms', case when m.queued_at is not null
          then mailer.ms_until(m.next_attempt_at, v_now) end)
      else jsonb_build_object('applied', false) end order by i.n)
  into v_rows
  from item i left join moved m on m.id = i.id and i.turn = 1 and m.claim_token = i.token;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor, 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'pending', 'reason', r ->> 'reason')
  from jsonb_array_elements(v_rows) r
  where (r ->> 'applied')::boolean;

  return (
    select json_agg(case when (r ->> 'applied')::boolean
      then json_build_object('applied', true, 'wake', r -> 'wake', 'delay_ms', r -> 'delay_ms')
      else json_build_object('applied', false) end order by n)
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
  )::text;
end
$$;

-- region_standing: as 20261124000013_reconcile_more.sql says; how long an email has been due counts
-- from its own time.
create or replace function mailer.region_standing(args text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_silent_ms bigint := (v_args ->> 'silent_ms')::bigint;
begin
  return jsonb_build_object(
    'oldest_due_ms', coalesce(mailer.ms_until(v_now, mailer.oldest_due(v_region)), 0),
    'due_unclaimed', (select count(*) from (select from mailer.emails e
      where e.region = v_region and e.state = 'pending' and e.next_attempt_at <= v_now
      limit (v_args ->> 'count_max')::integer) d),
    'workers_alive', (select count(*) from mailer.workers w
      where w.role <> 'api' and w.stopped_at is null
        and w.beat_at >= v_now - (v_args ->> 'dead_after_ms')::bigint * interval '1 ms'),
    'regions', (select coalesce(jsonb_agg(r.name order by r.name), '[]')
      from mailer.regions r),
    'dead_regions', (select coalesce(jsonb_agg(s.name order by s.name), '[]') from (
      select name from mailer.silent_regions(v_silent_ms) as name
      union
      select r.name from mailer.regions r
      where r.beat_at < v_now - v_silent_ms * interval '1 ms'
        and r.beat_at > v_now - interval '1 day') s))::text;
end
$$;

-- read_figures: as 20261124000014_operate.sql says; `due` counts those given back as well, and how
-- long the first has been due counts from its own time.
create or replace function mailer.read_figures(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  c_max constant integer := 1000000;
  c_alive constant interval := '5 seconds';
  v_now timestamptz := clock_timestamp();
  v_pending bigint;
  v_due bigint;
  v_returned bigint;
  v_sending bigint;
  v_dead jsonb;
  v_unsealed bigint;
  v_unsealed_since timestamptz;
begin
  select count(*) into v_pending from (
    select from mailer.emails e where e.state = 'pending' limit c_max) q;
  select count(*) into v_due from (
    select from mailer.emails e
    where e.state = 'pending' and e.next_attempt_at <= v_now limit c_max) q;
  select count(*) into v_returned from (
    select from mailer.emails e
    where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
      and e.state = 'pending' and e.next_attempt_at > v_now and e.due_since <= v_now limit c_max) q;
  select count(*) into v_sending from (
    select from mailer.emails e where e.state = 'sending' limit c_max) q;
  select coalesce(jsonb_object_agg(g.state, g.n), '{}') into v_dead from (
    select q.state, count(*) as n from (
      select e.state from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent') limit c_max) q
    group by q.state) g;
  select count(*), min(q.at) into v_unsealed, v_unsealed_since from (
    select j.at from mailer.journal j where j.position is null order by j.id limit c_max) q;
  return jsonb_build_object('now', v_now, 'server_version', current_setting('server_version'),
    'by_status', jsonb_build_object('pending', v_pending, 'sending', v_sending,
      'failed', 0, 'uncertain', 0, 'held', 0, 'partially_sent', 0) || v_dead,
    'due', least(v_due + v_returned, c_max),
    'oldest_due_ms', coalesce(mailer.ms_until(v_now, mailer.oldest_due(null)), 0),
    'workers_alive', (select count(*) from mailer.workers w
      where w.role <> 'api' and w.stopped_at is null and w.beat_at > v_now - c_alive),
    'workers_died', (select count(*) from mailer.workers w
      where w.stopped_at is null and w.beat_at between v_now - interval '1 day' and v_now - c_alive),
    'unsealed', v_unsealed,
    'oldest_unsealed_ms', coalesce(mailer.ms_until(v_now, v_unsealed_since), 0),
    'counted_max', c_max, 'key_fingerprint', (select s.value from mailer.settings s
      where s.name = 'encryption_key'))::text;
end
$$;

-- queue_stats: as 20261124000005_read.sql says; an email that was given back without an attempt is
-- waiting, not delayed, since its own time.
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
    select e.state, count(*) as n from mailer.emails e
    where v_sub is null or e.owner_id = v_sub group by e.state) s;
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

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000031"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000031'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000031', array[v_sql], 'outage_seen');
end
$migration$;

-- 20261124000032_self_audit
do $migration$
declare
  v_sql text := $taskforce_mailer$-- A worker audits itself: what the database says that it has claimed and its memory does not hold
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
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000032'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000032', array[v_sql], 'self_audit');
end
$migration$;

-- 20261124000033_full_transactions
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Attempts that spend nothing, and retries that the caller left to us.
--
-- A transaction that took fewer recipients than it was given (too many for one) is an attempt of its
-- own number, and does not count against max_retries (RFC 5321 section 4.5.3.1.10). max_retries is
-- null when the caller did not set it: greylisting then gets two tries more.

alter table mailer.emails alter column max_retries drop not null;
-- Constant default: no row is rewritten.
alter table mailer.attempts add column is_counted boolean not null default true;

-- settle_attempts: as 20261124000028_packed_messages.sql says, but:
--
-- args: [{ …, is_counted | absent }]; false: the attempt counts against nothing; emails.attempts_before
--   rises with it.
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
      region text, horizon_ms bigint, queued_by uuid, outcome text, next_state text,
      retry_in_ms bigint, is_counted boolean, smtp_code smallint, enhanced_code text, reply text,
      failure_group text, failure_domain text, recipients jsonb)) with ordinality
      as i (id, token, transport, region, horizon_ms, queued_by, outcome, next_state,
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
    where e.id = any (v_asked) and e.id = i.id and i.is_ours
    returning i.n, e.id, e.owner_id, e.state, e.attempts, e.wake, e.sequence, e.next_attempt_at,
      case when e.queued_at is not null then mailer.ms_until(e.next_attempt_at, v_now) end
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
      then json_build_object('applied', true, 'state', m.state, 'attempt', m.attempts,
        'wake', m.wake, 'delay_ms', m.delay_ms)
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

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000033"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000033'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000033', array[v_sql], 'full_transactions');
end
$migration$;

-- 20261124000034_beat_counter
do $migration$
declare
  v_sql text := $taskforce_mailer$-- A dead process is told by a counter of its beats, and not by comparing clocks: a database clock
-- that was set back kept the dead alive, one set forward took living ones for dead.
--
-- Whoever looks keeps in its memory how many looks in a row found a process without a new beat; a
-- look that the database did not answer begins the count anew. Five make it dead: it is named to
-- take_over with the beat it was last seen at, and is dead only if that is still its last.

alter table mailer.workers
  -- Rises with every beat.
  add column beats bigint not null default 0,
  -- Since when its beats have come without a gap of ten seconds by the clock here. A clock that is
  -- set forward or back makes a gap.
  add column steady_since timestamptz,
  -- Outcomes that it knows and has not been able to write yet.
  add column settling integer not null default 0;

-- beat: as 20261124000013_reconcile_more.sql says, but:
--
-- args { …, settling | absent }: outcomes that the process knows and could not write yet.
-- answer { …, others: [{ id, region, beats, is_stopped }] }: every other process that nobody has
--   found dead yet, for the caller to count its looks.
create or replace function mailer.beat(args text) returns text
language plpgsql set search_path = ''
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
      from mailer.workers w where w.id <> v_id and w.reaped_at is null), '[]'),
    -- In this order, since the planner takes a bare exists for a scan that ends soon.
    'has_due', coalesce((select e.next_attempt_at <= v_now from mailer.emails e
      where e.region = v_region and e.state = 'pending' and e.queued_at is null
      order by e.next_attempt_at limit 1), false))::text;
end
$$;

-- take_over: as 20261124000013_reconcile_more.sql says, but:
--
-- args { …, dead: [{ id, beats }] | absent }: processes whose last beat the caller has seen in five
--   looks in a row; each is dead if that still is its last. Dead as well are those found dead
--   before, and those of the caller's region that have stopped. Absent: an earlier program asks,
--   and the clock decides.
--
-- A fenced email of a process whose row is gone is an orphan, too, and its unfenced one is pending
-- again: nothing will ever be heard of it. What a living worker has held for too long is freed only
-- once that worker has been heard for as long without a gap, and, fenced, while it has no outcome
-- to write: after an outage of the database it still knows its replies. (Each worker audits
-- itself within seconds; this is the net.)
create or replace function mailer.take_over(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  -- Longer than a conversation before the fence may take, and its settle after it.
  c_longest constant interval := '15 minutes';
  c_poison_from constant smallint := 3;
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
  c_batch constant integer := 10000;
  v_count integer;
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
  -- What a newly dead process had put into the queue may never have got there. What is due may
  -- be held by a dead worker that had not claimed it: under a new wake it need not wait until
  -- the queue finds the stalled job. Nothing is in the queue long before its time.
  v_new := array(select w.id from mailer.workers w
    where w.id = any (v_dead) and w.reaped_at is null
      -- Asked again of a row that has changed meanwhile: one that beats now is not dead.
      and (v_everything or v_args -> 'dead' is null or w.stopped_at is not null
        or exists (select from jsonb_to_recordset(v_args -> 'dead') as d (id uuid, beats bigint)
          where d.id = w.id and d.beats = w.beats))
    order by w.id for update skip locked);
  if array_length(v_new, 1) is not null then
    with queued as (
      select e.id from mailer.emails e
      where e.state = 'pending' and e.queued_by = any (v_new)
        and e.region in (select w.region from mailer.workers w where w.id = any (v_new))
        and e.next_attempt_at <= v_now + interval '1 hour'
      limit c_batch for update skip locked
    )
    update mailer.emails e set queued_at = null, queued_by = null,
      wake = e.wake + case when e.next_attempt_at <= v_now and exists (
        select from mailer.workers w where w.id = e.queued_by and w.stopped_at is null)
        then 1 else 0 end
    from queued q where e.id = q.id;
    get diagnostics v_count = row_count;
    -- There is more: the next beat finds them newly dead again, and nothing is locked for long.
    if v_count >= c_batch then
      v_new := '{}';
    end if;
    update mailer.workers w set reaped_at = v_now where w.id = any (v_new);
  end if;

  with lost as (
    select e.id,
      case when e.worker_id = any (v_dead) and exists (select from mailer.workers w
        where w.id = e.worker_id and w.stopped_at is null) then 1 else 0 end as crash
    from mailer.emails e
    where e.state = 'sending' and e.fenced_at is null
      and (e.worker_id = any (v_dead)
        -- A process that has just started may claim before its first beat has come through.
        or ((v_everything or e.claimed_at < v_now - interval '1 minute') and not exists (
          select from mailer.workers w where w.id = e.worker_id))
        or (e.claimed_at < v_now - c_longest and exists (
          select from mailer.workers w where w.id = e.worker_id
            and w.beat_at between v_now - c_heard and v_now + c_heard
            and w.steady_since < v_now - c_longest)))
    order by e.id limit 1000 for update skip locked
  ),
  judged as (
    select l.id, l.crash, l.crash * e.isolated::integer as alone,
      l.crash = 1 and e.isolated and e.crashes_alone + 1 >= c_poison_from as is_poison
    from lost l join mailer.emails e on e.id = l.id
  ),
  moved as (
    update mailer.emails e set state = case when j.is_poison then 'held' else 'pending' end,
      worker_id = null, wake = e.wake + 1, queued_at = null, queued_by = null,
      isolated = false, crashes = e.crashes + j.crash,
      crashes_alone = e.crashes_alone + j.alone, sequence = e.sequence + 1
    from judged j where e.id = j.id
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
    case r ->> 'state' when 'held' then 'email.held' else 'email.released' end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
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

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000034"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000034'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000034', array[v_sql], 'beat_counter');
end
$migration$;

-- 20261124000035_kept_keys
do $migration$
declare
  v_sql text := $taskforce_mailer$-- An Idempotency-Key is kept until a day after the last email that it made has ended, and not for
-- a day after the request: who repeats a request for an email of next year makes no second one.

alter table mailer.idempotency_keys
  -- What the request made; null: nothing, or it was stored by an earlier release.
  add column email_ids uuid[],
  -- Not before then it is looked at again; null: a day after it was made.
  add column kept_until timestamptz;

-- Of keys that were never looked at, and of those that were: each is found by its own time.
create index idempotency_keys_new on mailer.idempotency_keys (created_at) where kept_until is null;
create index idempotency_keys_kept on mailer.idempotency_keys (kept_until)
  where kept_until is not null;
drop index mailer.idempotency_keys_age;

-- key_kept_until: how long a key is kept at least: a day after it was made and after the last of its
-- emails ended; while one has not ended, a day from now.
create function mailer.key_kept_until(k mailer.idempotency_keys, now_at timestamptz)
returns timestamptz
language sql stable set search_path = ''
return (
  select greatest(k.created_at, max(case
      when e.state in ('pending', 'sending', 'held') then now_at
      else (select max(j.at) from mailer.journal j where j.email_id = e.id)
    end)) + interval '24 hours'
  from unnest(k.email_ids) i (id) join mailer.emails e on e.id = i.id);

-- find_idempotent: as 20261124000003_accept.sql says, for as long as the key is kept.
create or replace function mailer.find_idempotent(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_key mailer.idempotency_keys;
begin
  select * into v_key from mailer.idempotency_keys k
  where k.owner_id = v_args ->> 'owner_id' and k.path = v_args ->> 'path'
    and k.key = v_args ->> 'key'
    and (k.created_at > now() - interval '24 hours' or k.kept_until > now()
      or mailer.key_kept_until(k, now()) > now());
  return case
    when v_key.key is null then jsonb_build_object('kind', 'new')
    when v_key.fingerprint = v_args ->> 'fingerprint' then jsonb_build_object(
      'kind', 'replayed', 'response', v_key.response, 'created_at', v_key.created_at)
    else jsonb_build_object('kind', 'reused')
  end::text;
end
$$;

-- forget_idempotent: looks at up to 5,000 keys whose time has come, longest first, and drops those
-- that need not be kept; how many it looked at. Fewer than 5,000: there are no more for now.
create or replace function mailer.forget_idempotent(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  c_batch constant integer := 5000;
  v_now timestamptz := clock_timestamp();
  v_count integer;
begin
  with new as materialized (
    select k as key from mailer.idempotency_keys k
    where k.kept_until is null and k.created_at <= v_now - interval '25 hours'
    order by k.created_at limit c_batch / 2 for update skip locked
  ),
  again as materialized (
    select k as key from mailer.idempotency_keys k
    where k.kept_until <= v_now
    order by k.kept_until limit c_batch / 2 for update skip locked
  ),
  old as (select key from new union all select key from again),
  judged as materialized (
    select (o.key).owner_id, (o.key).path, (o.key).key,
      mailer.key_kept_until(o.key, v_now) as until
    from old o
  ),
  kept as (
    update mailer.idempotency_keys k set kept_until = j.until
    from judged j
    where j.until > v_now and k.owner_id = j.owner_id and k.path = j.path and k.key = j.key
  ),
  dropped as (
    delete from mailer.idempotency_keys k using judged j
    where coalesce(j.until, v_now) <= v_now
      and k.owner_id = j.owner_id and k.path = j.path and k.key = j.key
  )
  select count(*) into v_count from judged;
  return v_count::text;
end
$$;

-- A key that forget_idempotent has not reached yet and that need not be kept must not answer.
create or replace function mailer.drop_expired_key() returns trigger
language plpgsql set search_path = ''
as $$
begin
  delete from mailer.idempotency_keys k
  where k.owner_id = new.owner_id and k.path = new.path and k.key = new.key
    and k.created_at <= new.created_at - interval '24 hours'
    and coalesce(k.kept_until, '-infinity') <= new.created_at
    and coalesce(mailer.key_kept_until(k, new.created_at), '-infinity') <= new.created_at;
  return new;
end
$$;

-- refuse_requests: as 20261124000027_accept_and_claim.sql says; a key remembers what it made.
create or replace function mailer.refuse_requests(requests json, now_at timestamptz) returns jsonb
language plpgsql set search_path = '' set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_over jsonb := mailer.over_quota(requests, now_at);
  v_taken bigint[];
begin
  with request as materialized (
    select r ->> 'owner_id' as owner_id, r -> 'idempotency' ->> 'path' as path,
      r -> 'idempotency' ->> 'key' as key, r -> 'idempotency' as idempotency,
      r -> 'emails' as emails, n
    from json_array_elements(requests) with ordinality as q (r, n)
  ),
  first as materialized (
    select distinct on (owner_id, path, key) * from request
    where key is not null and not v_over ? n::text
    order by owner_id, path, key, n
  ),
  new_key as (
    insert into mailer.idempotency_keys (owner_id, path, key, created_at, fingerprint, response,
      email_ids)
    select owner_id, path, key, now_at, idempotency ->> 'fingerprint',
      idempotency ->> 'response',
      array(select (e ->> 'id')::uuid from json_array_elements(emails) e)
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

revoke execute on function mailer.key_kept_until(mailer.idempotency_keys, timestamptz) from public;
grant execute on function mailer.key_kept_until(mailer.idempotency_keys, timestamptz)
  to mailer_service;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000035"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000035'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000035', array[v_sql], 'kept_keys');
end
$migration$;

-- 20261124000036_pauses
do $migration$
declare
  v_sql text := $taskforce_mailer$-- The emergency stop: sending of a region, or of an owner's emails anywhere, is paused until
-- somebody resumes it. It is obeyed where emails are claimed and once more at the fence, so it
-- needs no Redis and survives every restart.

create table mailer.pauses (
  kind text not null check (kind in ('region', 'owner')),
  -- The region's name, or the owner's id.
  name text not null,
  paused_at timestamptz not null,
  paused_by text not null,
  reason text not null check (reason <> ''),
  primary key (kind, name)
);
alter table mailer.pauses enable row level security;
alter table mailer.pauses force row level security;
revoke all on mailer.pauses from public;
create policy service_rows on mailer.pauses to mailer_service using (true) with check (true);
grant select, insert, delete on mailer.pauses to mailer_service;

-- is_paused: whether emails of this owner in this region are not to be sent now.
create function mailer.is_paused(p_region text, p_owner text) returns boolean
language sql stable set search_path = ''
return exists (select from mailer.pauses p
  where (p.kind = 'region' and p.name = p_region) or (p.kind = 'owner' and p.name = p_owner));

-- pause_sending: args { kind: region | owner, name, reason, origin | null }
-- answer { kind, name, paused_at, paused_by, reason }: of the pause in force, which may be an
-- earlier one.
-- Guarantees: once it returns no email concerned gets a fence; an owner's pause stands in that
-- owner's journal, a region's in the admin's.
create function mailer.pause_sending(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_kind text := v_args ->> 'kind';
  v_name text := v_args ->> 'name';
  v_pause mailer.pauses;
  v_is_new boolean;
begin
  insert into mailer.pauses (kind, name, paused_at, paused_by, reason)
  values (v_kind, v_name, date_trunc('milliseconds', clock_timestamp()), mailer.claim_sub(),
    v_args ->> 'reason')
  on conflict do nothing;
  v_is_new := found;
  select * into strict v_pause from mailer.pauses p where p.kind = v_kind and p.name = v_name;
  if v_is_new then
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, origin, action, detail)
    values (case v_kind when 'owner' then v_name else mailer.claim_sub() end,
      mailer.claim_sub(), v_args ->> 'origin', 'sending.paused',
      jsonb_build_object(v_kind, v_name, 'reason', v_pause.reason));
  end if;
  return to_json(v_pause)::text;
end
$$;

-- resume_sending: args { kind, name, reason | null, origin | null }; answer { was_paused }.
-- Guarantees: what was paused may be claimed again once it returns; the journal has who resumed it,
-- why if a reason was given, and whose pause it was.
create function mailer.resume_sending(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_pause mailer.pauses;
begin
  delete from mailer.pauses p
  where p.kind = v_args ->> 'kind' and p.name = v_args ->> 'name' returning * into v_pause;
  if v_pause.name is null then
    return '{"was_paused":false}';
  end if;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values (case v_pause.kind when 'owner' then v_pause.name else mailer.claim_sub() end,
    mailer.claim_sub(), v_args ->> 'origin', 'sending.resumed',
    jsonb_strip_nulls(jsonb_build_object(v_pause.kind, v_pause.name,
      'paused_at', v_pause.paused_at, 'paused_by', v_pause.paused_by,
      'reason', v_args ->> 'reason')));
  return '{"was_paused":true}';
end
$$;

-- list_pauses: args {}; answer [{ kind, name, paused_at, paused_by, reason }], the oldest first.
create function mailer.list_pauses(args text) returns text
language sql stable
set search_path = ''
return (select coalesce(json_agg(p order by p.paused_at, p.kind, p.name), '[]')::text
  from mailer.pauses p);

revoke execute on function mailer.is_paused(text, text), mailer.pause_sending(text),
  mailer.resume_sending(text), mailer.list_pauses(text) from public;
grant execute on function mailer.is_paused(text, text), mailer.pause_sending(text),
  mailer.resume_sending(text), mailer.list_pauses(text) to mailer_service;
insert into mailer.functions (name, roles) values
  ('pause_sending', array['admin']),
  ('resume_sending', array['admin']),
  ('list_pauses', array['admin', 'reconciler', 'metrics']);

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000036"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000036'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000036', array[v_sql], 'pauses');
end
$migration$;

-- 20261124000037_claim_due
do $migration$
declare
  v_sql text := $taskforce_mailer$-- One way to the next hop: the dispatcher of a worker process claims what is due in batches,
-- straight from the table.

-- Whose emails are due, owner by owner. Suspects of a crash are claimed apart, by the index below.
create index emails_due_of_owner on mailer.emails (region, owner_id, next_attempt_at)
  where state = 'pending' and crashes < 2;
-- Empty unless workers died.
create index emails_suspect on mailer.emails (region, crashes desc, next_attempt_at)
  where state = 'pending' and crashes >= 2;

-- due_owners: the owners in whose turn emails of a region are claimed, each once.
--
-- args   p_region; p_until: due by then; p_limit: size of the batch; p_after: owner after which the
--        walk goes on, '' from the start
-- answer owners, those whose emails are due longest first; is_all: nobody else has anything due;
--        next_after: for the next call's p_after
--
-- Guarantees: reads at most 3 * p_limit rows of emails_due and 200 places of
-- emails_due_of_owner, whatever the backlog. An owner hidden behind floods is found by the walk
-- within (owners / 200) calls; measured: 30 us a place, so the walk is the guarantee, not the means.
create function mailer.due_owners(p_region text, p_until timestamptz, p_limit integer,
  p_after text, out owners text[], out is_all boolean, out next_after text)
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_sort = on
as $$
declare
  c_visits_max constant integer := 200;
  v_scan constant integer := 2 * p_limit;
  v_seen integer;
  v_newest text[];
  v_walked text[];
  v_visited integer;
  v_due integer;
begin
  next_after := '';
  select array_agg(s.owner_id order by s.first_at), coalesce(sum(s.count), 0)
  into owners, v_seen
  from (
    select d.owner_id, min(d.next_attempt_at) as first_at, count(*) as count
    from (select e.owner_id, e.next_attempt_at from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.next_attempt_at <= p_until
      order by e.next_attempt_at limit v_scan) d
    group by d.owner_id) s;
  is_all := v_seen < v_scan;
  if is_all then
    owners := coalesce(owners, '{}');
    return;
  end if;

  -- A flood is older than what becomes due behind it: the newest show who came since.
  v_newest := array(
    select distinct d.owner_id
    from (select e.owner_id from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.next_attempt_at <= p_until
      order by e.next_attempt_at desc limit p_limit) d
    where d.owner_id <> all (owners));
  with recursive walk (owner_id, is_due, visited, due) as (
    (select e.owner_id, e.next_attempt_at <= p_until, 1, (e.next_attempt_at <= p_until)::integer
      from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.crashes < 2
        and e.owner_id > p_after
      order by e.owner_id, e.next_attempt_at limit 1)
    union all
    select n.owner_id, n.is_due, w.visited + 1, w.due + n.is_due::integer
    from walk w cross join lateral (
      select e.owner_id, e.next_attempt_at <= p_until as is_due
      from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.crashes < 2
        and e.owner_id > w.owner_id
      order by e.owner_id, e.next_attempt_at limit 1) n
    where w.visited < c_visits_max and w.due < p_limit
  )
  select array_agg(w.owner_id) filter (where w.is_due and w.owner_id <> all (owners || v_newest)),
    count(*), coalesce(max(w.due), 0), coalesce(max(w.owner_id), '')
  into v_walked, v_visited, v_due, next_after
  from walk w;
  if v_visited < c_visits_max and v_due < p_limit then
    next_after := '';
  end if;
  owners := owners || v_newest || coalesce(v_walked, '{}');
end
$$;

-- pick_due: locks the emails of a batch and answers their ids, so that each owner gets an equal
-- part and what one leaves goes to the others.
--
-- args   p_owners: in their order; p_holds: { <owner>: emails the caller holds already };
--        p_per_owner: what an owner may hold in all; the rest as in due_owners
--
-- Guarantees: a row is locked within the pick, so two processes never pick the same one; a row
-- locked by somebody else is passed over, never waited for.
create function mailer.pick_due(p_region text, p_until timestamptz, p_owners text[],
  p_limit integer, p_per_owner integer, p_holds jsonb) returns uuid[]
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  -- What is not given out in the first round goes to those who have more: two rounds fill a batch
  -- but for what others lock meanwhile.
  c_rounds constant integer := 3;
  v_owners text[] := p_owners;
  v_rooms integer[];
  v_picked uuid[] := '{}';
  v_each integer;
begin
  select array_agg(o.owner_id order by held, o.n), array_agg(p_per_owner - held order by held, o.n)
  into v_owners, v_rooms
  from unnest(p_owners) with ordinality as o (owner_id, n)
  cross join lateral (select coalesce((p_holds ->> o.owner_id)::integer, 0) as held) h
  where held < p_per_owner;

  for v_round in 1 .. c_rounds loop
    exit when coalesce(cardinality(v_owners), 0) = 0 or cardinality(v_picked) >= p_limit;
    v_each := ceil((p_limit - cardinality(v_picked))::numeric / cardinality(v_owners));
    with found as materialized (
      select o.n, d.id
      from unnest(v_owners, v_rooms) with ordinality as o (owner_id, room, n)
      cross join lateral (
        select e.id from mailer.emails e
        where e.region = p_region and e.state = 'pending' and e.crashes < 2
          and e.owner_id = o.owner_id and e.next_attempt_at <= p_until
          -- Our own locks are not passed over.
          and e.id <> all (v_picked)
        order by e.next_attempt_at limit least(v_each, o.room)
        for update skip locked) d
      limit p_limit - cardinality(v_picked)
    ),
    counted as (
      select o.n, o.owner_id, o.room - count(f.id) as room, count(f.id) as count
      from unnest(v_owners, v_rooms) with ordinality as o (owner_id, room, n)
      left join found f on f.n = o.n
      group by o.n, o.owner_id, o.room
    )
    select v_picked || array(select f.id from found f),
      array_agg(c.owner_id order by c.n) filter (where c.count >= v_each and c.room > 0),
      array_agg(c.room order by c.n) filter (where c.count >= v_each and c.room > 0)
    into v_picked, v_owners, v_rooms
    from counted c;
  end loop;
  return v_picked;
end
$$;

-- claim_due: claims up to `limit` emails of a region that are due within `ahead_ms`, in equal
-- parts for their owners.
--
-- args { region: whose emails; worker_id; limit; ahead_ms: how long before its time an email may be
--   claimed; per_owner: emails an owner may hold in the caller, of which it holds
--   holds: { <owner>: count } already; after: of the answer before, '' at first; bytes_max: of
--   the messages behind the answer; inline_bytes_max: larger messages are read by themselves;
--   suspects: whether a group of suspects may be claimed beside them }
-- answer { is_paused: whether the region is; paused_owners: whose emails are not to be sent
--     anywhere; emails: [{ id, token, attempt, attempts_before, max_retries, max_age_seconds, age_ms,
--     due_in_ms, expires_in_ms | null, on_uncertain, owner_id, wrapped_key, sender, message_date,
--     message_bytes, has_message, recipients, sent_before, bounced_before, is_suspect }],
--   has_more: something is due that was not claimed; after; next_due_in_ms: of the first email
--   beyond ahead_ms, null when there is none }, and behind it the messages of those that say
--   has_message, in their order, as base64.
--
-- Guarantees: never waits for a row that somebody else holds; each email is given to one caller;
-- what has become too late to be sent ends as `expired` or `held` here, with its journal entry; an
-- owner is found whatever floods stand before it (due_owners). Suspects of a crash come in groups
-- of 64, then 8, then 1 as their count of crashes rises, those with the most crashes first.
-- claimed_at, and with it the beginning of the attempt, is never before the email is due.
create function mailer.claim_due(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_until timestamptz := v_now + (v_args ->> 'ahead_ms')::bigint * interval '1 ms';
  v_inline_max integer := (v_args ->> 'inline_bytes_max')::integer;
  v_bytes_max integer := (v_args ->> 'bytes_max')::integer;
  v_found record;
  v_picked uuid[];
  v_suspects uuid[] := '{}';
  v_crashes smallint;
  v_count integer;
  v_is_cut boolean := false;
  v_ids uuid[];
  v_owners text[];
  v_kinds text[];
  v_sequences integer[];
  v_emails text;
  v_texts text;
  v_next timestamptz;
  v_is_paused boolean := exists (select from mailer.pauses p
    where p.kind = 'region' and p.name = v_region);
  v_paused text[] := array(select p.name from mailer.pauses p where p.kind = 'owner');
  v_head text := '{"is_paused":' || v_is_paused::text || ',"paused_owners":'
    || to_json(v_paused)::text;
begin
  if v_is_paused then
    return v_head || ',"emails":[],"has_more":true,"after":"","next_due_in_ms":null}';
  end if;
  select * into v_found
  from mailer.due_owners(v_region, v_until, v_limit, coalesce(v_args ->> 'after', ''));
  v_picked := case when cardinality(v_found.owners) = 0 then '{}'
    else mailer.pick_due(v_region, v_until,
      array(select o from unnest(v_found.owners) with ordinality as u (o, n)
        where o <> all (v_paused) order by n), v_limit,
      (v_args ->> 'per_owner')::integer, coalesce(v_args -> 'holds', '{}')) end;

  if (v_args ->> 'suspects')::boolean then
    -- A row that somebody else tries is passed over, and its group with it.
    select e.crashes into v_crashes from mailer.emails e
    where e.region = v_region and e.state = 'pending' and e.crashes >= 2
      and e.next_attempt_at <= v_now and e.owner_id <> all (v_paused)
    order by e.crashes desc, e.next_attempt_at limit 1 for update skip locked;
    if found then
      v_suspects := array(
        select e.id from mailer.emails e
        where e.region = v_region and e.state = 'pending' and e.crashes >= 2
          and e.crashes = v_crashes and e.next_attempt_at <= v_now
          and e.owner_id <> all (v_paused)
        order by e.next_attempt_at
        limit case v_crashes when 2 then 64 when 3 then 8 else 1 end
        for update skip locked);
    end if;
  end if;

  -- What does not fit behind the answer is not claimed; one email always fits.
  select array_agg(p.id order by p.n), count(*) into v_ids, v_count
  from (
    select q.id, q.n, sum(case when e.message_bytes <= v_inline_max then e.message_bytes
        else 0 end + 500) over (order by q.n) as bytes
    from unnest(v_suspects || v_picked) with ordinality as q (id, n)
    join mailer.emails e on e.id = q.id) p
  where p.bytes <= v_bytes_max or p.n = 1;
  v_is_cut := v_count < cardinality(v_suspects) + cardinality(v_picked);

  if v_count > 0 then
    with asked as (
      select a.id, a.n from unnest(v_ids) with ordinality as a (id, n)
    ),
    moved as (
      update mailer.emails e set
        state = case
          when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
          when e.expires_at < v_now and e.on_late = 'hold' then 'held'
          else 'sending' end,
        claim_token = e.claim_token + 1,
        worker_id = case when e.expires_at < v_now and e.on_late <> 'send' then null
          else v_worker end,
        claimed_at = greatest(v_now, e.next_attempt_at),
        fenced_at = null,
        isolated = e.crashes >= 2,
        sequence = e.sequence
          + case when e.expires_at < v_now and e.on_late <> 'send' then 1 else 0 end
      where e.id = any (v_ids)
      returning e.id, e.owner_id, e.sequence, e.claim_token, e.attempts, e.attempts_before,
        e.max_retries, e.max_age_seconds, e.age_from, e.on_uncertain, e.wrapped_key, e.sender,
        e.message_date, e.message_bytes, e.next_attempt_at, e.state, e.crashes,
        case when e.on_late <> 'send' then e.expires_at end as expires_at
    ),
    answered as (
      select m.id, m.owner_id, m.state, m.sequence, a.n,
        case when m.state = 'sending' and octet_length(c.message) <= v_inline_max
          then encode(c.message, 'base64') end as text,
        case when m.state = 'sending' then json_build_object('id', m.id, 'token', m.claim_token,
          'attempt', m.attempts + 1, 'attempts_before', m.attempts_before,
          'max_retries', m.max_retries, 'max_age_seconds', m.max_age_seconds,
          'age_ms', ceil(extract(epoch from v_now - m.age_from) * 1000)::bigint,
          'due_in_ms', mailer.ms_until(m.next_attempt_at, v_now),
          'expires_in_ms', case when m.expires_at is not null
            then mailer.ms_until(m.expires_at, v_now) end,
          'on_uncertain', m.on_uncertain, 'owner_id', m.owner_id,
          'wrapped_key', m.wrapped_key, 'sender', m.sender, 'message_date', m.message_date,
          'message_bytes', m.message_bytes,
          'has_message', octet_length(c.message) <= v_inline_max,
          'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced,
          'is_suspect', m.crashes >= 2) end as answer
      from asked a
      join moved m on m.id = a.id
      left join lateral (select c.message from mailer.contents c
        where c.email_id = m.id and m.state = 'sending' limit 1) c on true
      left join lateral (
        select count(*) filter (where t.status = 'sent') as sent,
          count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
          json_agg(json_build_object('position', t.position, 'address', t.address)
            order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
        from mailer.recipients t where t.email_id = m.id and m.state = 'sending'
      ) t on true
    )
    select json_agg(answer order by n) filter (where answer is not null)::text,
      string_agg(text, E'\f' order by n) filter (where answer is not null),
      array_agg(id), array_agg(owner_id), array_agg(state), array_agg(sequence)
    into v_emails, v_texts, v_ids, v_owners, v_kinds, v_sequences
    from answered;

    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
    select e.owner_id, mailer.claim_sub(), 'email.' || e.kind, e.id, e.sequence,
      jsonb_build_object('status', e.kind, 'reason', 'too_late')
    from unnest(v_ids, v_owners, v_kinds, v_sequences) as e (id, owner_id, kind, sequence)
    where e.kind <> 'sending';
  end if;

  v_next := (select e.next_attempt_at from mailer.emails e
    where e.region = v_region and e.state = 'pending' and e.next_attempt_at > v_until
    order by e.next_attempt_at limit 1);
  return v_head || ',"emails":' || coalesce(v_emails, '[]')
    || ',"has_more":' || (v_is_cut or not v_found.is_all
      or exists (select from mailer.emails e
        where e.region = v_region and e.state = 'pending' and e.crashes < 2
          and e.next_attempt_at <= v_until limit 1))::text
    || ',"after":' || to_json(v_found.next_after)::text
    || ',"next_due_in_ms":' || case when v_next is null then 'null'
      else mailer.ms_until(v_next, v_now)::text end || '}'
    || coalesce(E'\f' || v_texts, '');
end
$$;

revoke execute on function mailer.due_owners(text, timestamptz, integer, text),
  mailer.pick_due(text, timestamptz, text[], integer, integer, jsonb), mailer.claim_due(text)
  from public;
grant execute on function mailer.due_owners(text, timestamptz, integer, text),
  mailer.pick_due(text, timestamptz, text[], integer, integer, jsonb), mailer.claim_due(text)
  to mailer_service;
insert into mailer.functions (name, roles) values ('claim_due', array['worker']);

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000037"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000037'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000037', array[v_sql], 'claim_due');
end
$migration$;

-- 20261124000038_one_way
do $migration$
declare
  v_sql text := $taskforce_mailer$-- One way to the next hop. Emails are claimed in batches by the dispatchers (claim_due) and need no
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
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000038'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000038', array[v_sql], 'one_way');
end
$migration$;

-- 20261124000039_unseen_claims
do $migration$
declare
  v_sql text := $taskforce_mailer$-- Claims that nobody sees: what readers are told of them, whom a death is blamed on, and plans.

-- release_emails: as before; the entry of a claim without a fence really has no sequence.
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

  with item as materialized (
    select i.*, e.fenced_at is not null as was_fenced, mailer.ceil_ms(v_now + i.delay_ms * interval '1 ms') as again_at,
      row_number() over (partition by i.id, i.token order by i.n) as turn
    from rows from (jsonb_to_recordset(v_items) as (id uuid, token bigint, reason text,
      delay_ms bigint)) with ordinality
      as i (id, token, reason, delay_ms, n)
    left join lateral (select e.fenced_at from mailer.emails e where e.id = i.id limit 1) e on true
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
        'id', m.id, 'owner_id', m.owner_id, 'sequence', case when i.was_fenced then m.sequence end,
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

-- release_email: as before, but a claimed email is not said to be sending.
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
    return jsonb_build_object('kind', 'not_held', 'state',
      mailer.shown_state(v_email.state, v_email.fenced_at))::text;
  end if;
  v_now := date_trunc('milliseconds', clock_timestamp());
  v_due := case when v_args ? 'scheduled_at'
    then coalesce(mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz), v_now)
    else greatest(v_email.next_attempt_at, v_now) end;
  v_row := mailer.replay_row(v_email, v_due, v_args ? 'scheduled_at', false);
  return mailer.replayed_answer(v_email, v_row, v_args, 'released');
end
$$;

-- replay_email: as before, but a claimed email is not said to be sending.
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
    return jsonb_build_object('kind', 'not_a_dead_letter', 'state',
      mailer.shown_state(v_email.state, v_email.fenced_at))::text;
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

-- shred_email: as before, but a claimed email is not said to be sending.
create or replace function mailer.shred_email(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state in ('pending', 'sending', 'held') then
    return jsonb_build_object('kind', 'not_finished', 'status',
      mailer.shown_state(v_email.state, v_email.fenced_at))::text;
  end if;
  if v_email.wrapped_key is null then
    return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
  end if;
  update mailer.contents c set message = null, details = null where c.email_id = v_email.id;
  update mailer.recipients r set address = null, address_index = null, reply = null
  where r.email_id = v_email.id;
  update mailer.attempts a set reply = null where a.email_id = v_email.id;
  update mailer.emails e set wrapped_key = null, sender = null, subject = null,
    failure_group = null, failure_domain = null, version = e.version + 1,
    sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.shredded',
    v_email.id, v_email.sequence + 1, jsonb_build_object('status', v_email.state));
  return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
end
$$;

create index emails_claimed_of_owner on mailer.emails (owner_id)
  where state = 'sending' and fenced_at is null;

-- over_quota: as before; what is fenced is not pending any more. Two counts, each by an index of its
-- own: of both states in one there is none, and an owner's whole history would be read.
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
        v_pending_count := coalesce(v_pending_count, 
          (select count(*) from mailer.emails e
            where e.owner_id = v_owner and e.state = 'pending')
          + (select count(*) from mailer.emails e
            where e.owner_id = v_owner and e.state = 'sending' and e.fenced_at is null));
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

-- filter_sql: as before, but by the stored state, which partial indexes are found by.
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
    v_where := v_where || format(' and e.state = any (%L::text[])', array(
      select jsonb_array_elements_text(filter -> 'statuses')
      union select 'sending' where filter -> 'statuses' ? 'pending'));
    if (filter -> 'statuses' ? 'pending') <> (filter -> 'statuses' ? 'sending') then
      v_where := v_where || format(' and (e.state <> ''sending'' or e.fenced_at is %snull)',
        case when filter -> 'statuses' ? 'sending' then 'not ' else '' end);
    end if;
  end if;
  if (filter ->> 'is_deferred')::boolean then
    v_where := v_where || ' and e.state in (''pending'', ''sending'')
      and (e.state = ''pending'' or e.fenced_at is null) and e.attempts > e.attempts_before';
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

-- queue_stats: as before, but what is claimed and due is waiting.
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
    select 'pending' as state, e.next_attempt_at as since from mailer.emails e
    where (e.state = 'pending' or (e.state = 'sending' and e.fenced_at is null))
      and e.next_attempt_at <= now()
      and e.next_attempt_at is distinct from e.returned_until
      and (v_sub is null or e.owner_id = v_sub)
    union all
    select mailer.shown_state(e.state, e.fenced_at), e.due_since from mailer.emails e
    where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
      and e.due_since <= now() and (v_sub is null or e.owner_id = v_sub)) d;
  return jsonb_build_object('by_status', v_by_status, 'waiting', v_waiting,
    'delayed', coalesce((v_by_status ->> 'pending')::bigint, 0) - v_waiting,
    'oldest_due_ms', coalesce(mailer.ms_until(now(), v_oldest), 0))::text;
end
$$;

-- read_figures: as before, but what is claimed is pending until its fence.
create or replace function mailer.read_figures(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  c_max constant integer := 1000000;
  c_alive constant interval := '5 seconds';
  v_now timestamptz := clock_timestamp();
  v_pending bigint;
  v_due bigint;
  v_returned bigint;
  v_sending bigint;
  v_claimed bigint;
  v_claimed_due bigint;
  v_dead jsonb;
  v_unsealed bigint;
  v_unsealed_since timestamptz;
begin
  select count(*) into v_pending from (
    select from mailer.emails e where e.state = 'pending' limit c_max) q;
  select count(*) into v_due from (
    select from mailer.emails e
    where e.state = 'pending' and e.next_attempt_at <= v_now limit c_max) q;
  select count(*) into v_returned from (
    select from mailer.emails e
    where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
      and e.state = 'pending' and e.next_attempt_at > v_now and e.due_since <= v_now limit c_max) q;
  select count(*) into v_sending from (
    select from mailer.emails e
    where e.state = 'sending' and e.fenced_at is not null limit c_max) q;
  select count(*), count(*) filter (where q.next_attempt_at <= v_now)
  into v_claimed, v_claimed_due
  from (select e.next_attempt_at from mailer.emails e
    where e.state = 'sending' and e.fenced_at is null limit c_max) q;
  select coalesce(jsonb_object_agg(g.state, g.n), '{}') into v_dead from (
    select q.state, count(*) as n from (
      select e.state from mailer.emails e
      where e.state in ('failed', 'uncertain', 'held', 'partially_sent') limit c_max) q
    group by q.state) g;
  select count(*), min(q.at) into v_unsealed, v_unsealed_since from (
    select j.at from mailer.journal j where j.position is null order by j.id limit c_max) q;
  return jsonb_build_object('now', v_now, 'server_version', current_setting('server_version'),
    'by_status', jsonb_build_object('pending', least(v_pending + v_claimed, c_max), 'sending', v_sending,
      'failed', 0, 'uncertain', 0, 'held', 0, 'partially_sent', 0) || v_dead,
    'due', least(v_due + v_claimed_due + v_returned, c_max),
    'oldest_due_ms', coalesce(mailer.ms_until(v_now, mailer.oldest_due(null)), 0),
    'workers_alive', (select count(*) from mailer.workers w
      where w.role <> 'api' and w.stopped_at is null and w.beat_at > v_now - c_alive),
    'workers_died', (select count(*) from mailer.workers w
      where w.stopped_at is null and w.beat_at between v_now - interval '1 day' and v_now - c_alive),
    'unsealed', v_unsealed,
    'oldest_unsealed_ms', coalesce(mailer.ms_until(v_now, v_unsealed_since), 0),
    'counted_max', c_max, 'key_fingerprint', (select s.value from mailer.settings s
      where s.name = 'encryption_key'))::text;
end
$$;

-- take_over: as before, but who is blamed does not depend on which 1,000 are freed first.
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
  v_guilty uuid[];
  v_lost uuid[];
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

  -- Begun by the last beat, or due since: what only waited for its time killed nobody. claimed_at
  -- is never before an email's time. Judged over all that a worker held, since a look frees 1,000.
  v_guilty := array(select distinct w.id
    from mailer.workers w join mailer.emails e on e.worker_id = w.id
    where w.id = any (v_dead) and w.stopped_at is null
      and e.state = 'sending' and e.fenced_at is null
      and (e.id = any (w.begun)
        or e.claimed_at between w.beat_at - interval '1 second' and v_now));
  -- Those that are blamed come last: until then every look knows that somebody is.
  v_lost := array(
    select e.id from mailer.emails e
    left join lateral (select w.id, w.begun, w.beat_at, w.steady_since from mailer.workers w
      where w.id = e.worker_id limit 1) w on true
    where e.state = 'sending' and e.fenced_at is null
      and (e.worker_id = any (v_dead)
        -- A process that has just started may claim before its first beat has come through.
        or ((v_everything or e.claimed_at < v_now - interval '1 minute') and w.id is null)
        or (e.claimed_at < v_now - c_longest and w.beat_at between v_now - c_heard and v_now + c_heard
          and w.steady_since < v_now - c_longest))
    order by coalesce(e.id = any (w.begun)
      or e.claimed_at between w.beat_at - interval '1 second' and v_now, false), e.id
    limit 1000 for update of e skip locked);

  with blamed as materialized (
    select e.id, e.crashes, coalesce(e.worker_id = any (v_dead) and w.stopped_at is null
      and case when e.worker_id = any (v_guilty) then e.id = any (w.begun)
          or e.claimed_at between w.beat_at - interval '1 second' and v_now
        else e.claimed_at <= v_now end, false)::integer as crash
    from mailer.emails e join mailer.workers w on w.id = e.worker_id
    where e.id = any (v_lost)
    union all
    -- Its worker's row is gone.
    select e.id, e.crashes, 0 from mailer.emails e
    where e.id = any (v_lost)
      and not exists (select from mailer.workers w where w.id = e.worker_id)
  ),
  moved as (
    update mailer.emails e set state = case when b.crash = 1 and b.crashes + 1 >= c_poison_from
        then 'held' else 'pending' end,
      worker_id = null, isolated = false, crashes = e.crashes + b.crash,
      sequence = e.sequence + (b.crash = 1 and b.crashes + 1 >= c_poison_from)::integer
    from blamed b where e.id = any (v_lost) and e.id = b.id
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

-- A body that is replaced loses what was set of it since.
alter function mailer.beat(text) set search_path = '';
alter function mailer.cancel_email(text) set search_path = '';
alter function mailer.cancel_emails(text) set search_path = '';
alter function mailer.change_email(text) set search_path = '';
alter function mailer.edit_row(mailer.emails, jsonb, text[]) set search_path = '';
alter function mailer.hold_email(text) set search_path = '';
alter function mailer.release_email(text) set search_path = '';
alter function mailer.replay_email(text) set search_path = '';
alter function mailer.replayed_answer(mailer.emails, mailer.emails, jsonb, text) set search_path = '';
alter function mailer.take_over(text) set search_path = '';

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000039"}';
$taskforce_mailer$;
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '20261124000039'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('20261124000039', array[v_sql], 'unseen_claims');
end
$migration$;

notify pgrst, 'reload schema';

commit;
