-- Webhooks: where events are delivered to, and what became of each delivery.

-- One row per endpoint. Its cursor over the sealed journal is the outbox: what lies behind it is
-- still to be delivered, what lies before it was delivered or stands as a row below.
create table mailer.webhooks (
  id uuid primary key,
  owner_id text not null,
  -- Hears of everybody's events; an admin made it.
  is_global boolean not null,
  url text not null,
  description text,
  -- Types, or `email.*` and the like.
  events text[] not null check (cardinality(events) between 1 and 50),
  -- Only events of emails that carry one of them; empty: of any.
  tags text[] not null default '{}',
  -- The endpoint's data key, wrapped by a key of the ring.
  wrapped_key text not null,
  -- Ciphertext of the secret that signs, and of the one before, which signs beside it for a while.
  secret text not null,
  old_secret text,
  old_secret_until timestamptz,
  enabled boolean not null default true,
  -- Why it is not enabled, when not its owner said so: `gone` (410), `failing` (five days).
  disabled_reason text check (disabled_reason in ('gone', 'failing')),
  disabled_at timestamptz,
  created_at timestamptz not null,
  -- Rises with every change: a process that delivers looks at it with every record.
  version integer not null default 1,
  -- The journal's position up to which nothing is left to be begun.
  cursor bigint not null,
  -- The process that delivers, and until when without a renewal; the token fences off a late one.
  token bigint not null default 0,
  worker_id uuid,
  leased_until timestamptz,
  -- When it was last given to a process: the one that waited longest comes first.
  served_at timestamptz,
  -- Failures since the last success, and the first of them.
  failures integer not null default 0,
  failing_since timestamptz,
  -- Nothing is begun before it: too many failures in a row.
  held_until timestamptz,
  last_success_at timestamptz
) with (fillfactor = 50);
create index webhooks_of_owner on mailer.webhooks (owner_id, created_at desc, id desc);
create index webhooks_newest on mailer.webhooks (created_at desc, id desc);

-- One row per event and endpoint, from its first try on. Its id is the webhook-id of every try.
create table mailer.webhook_deliveries (
  id text primary key,
  webhook_id uuid not null,
  owner_id text not null,
  -- The event's place in the journal; null: a test.
  position bigint,
  type text not null,
  email_id uuid,
  sequence integer,
  outcome text not null check (outcome in ('pending', 'delivered', 'failed')),
  tries smallint not null,
  -- Of the last try: the status of the answer (null: there was none), why it failed, how long it
  -- took, and ciphertext of what was answered.
  status_code smallint,
  error text,
  duration_ms integer,
  answer text,
  created_at timestamptz not null,
  last_try_at timestamptz,
  -- null unless pending.
  next_try_at timestamptz,
  check ((outcome = 'pending') = (next_try_at is not null))
) with (fillfactor = 80);
-- What an endpoint's process looks for, what callers list, what is kept for 30 days, and what was
-- delivered beyond a cursor.
create index webhook_deliveries_due on mailer.webhook_deliveries (webhook_id, next_try_at)
  where next_try_at is not null;
create index webhook_deliveries_newest on mailer.webhook_deliveries
  (webhook_id, created_at desc, id desc);
create index webhook_deliveries_old on mailer.webhook_deliveries (last_try_at)
  where next_try_at is null;
create index webhook_deliveries_place on mailer.webhook_deliveries (webhook_id, position);

-- A caller never moves what is global, nor whose it is, nor what only deliveries move.
call mailer.guard('webhooks', p_service => 'select, insert, update, delete',
  p_owner => 'select, insert, delete, update (url, description, events, tags, secret, old_secret,
    old_secret_until, enabled, disabled_reason, disabled_at, version, cursor, failures,
    failing_since, held_until)');
-- Only an admin makes one that hears of everybody's events, hence never as mailer_owner: the second
-- wall behind the check in create_webhook.
create policy no_global_ones on mailer.webhooks as restrictive for insert to mailer_owner
  with check (not is_global);
call mailer.guard('webhook_deliveries', p_service => 'select, insert, update, delete',
  p_owner => 'select, insert, update (outcome, tries, next_try_at)');
