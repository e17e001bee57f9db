-- Roles, schemas and tables.
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
