-- API keys, and signing keys of others that an admin no longer trusts.

-- Only the SHA-256 of an API key is stored: it is 190 random bits, so there is nothing to guess, and
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
  revoked_at timestamptz,
  -- The key that made it, with which it ends; null: a person did.
  made_by uuid references mailer.api_keys (id),
  -- Its maker was an admin by the word of an issuer, which may take the role away: then it ends.
  rests_on_role boolean not null default false
);
-- revoke_api_key: those that a key has made, which end with it.
create index api_keys_by_maker on mailer.api_keys (made_by) where made_by is not null;
-- list_api_keys: those of an owner, and for admins everybody's.
create index api_keys_of_owner on mailer.api_keys (owner_id, created_at desc, id desc);
create index api_keys_newest on mailer.api_keys (created_at desc, id desc);

-- Ids of keys of JWKS_URL; a dropped one stays dropped, whatever the key set says.
create table mailer.dropped_signing_keys (
  kid text primary key,
  dropped_at timestamptz not null,
  dropped_by text not null
);

-- Nothing that a key can do is ever changed: only that it ends, and when it was used.
call mailer.guard('api_keys', p_service => 'select, insert, update (revoked_at, last_used_at)',
  p_owner => 'select, insert, update (revoked_at)');
-- A key that is an admin's is made by an admin, hence never as mailer_owner: the second wall behind
-- the check in create_api_key.
create policy no_keys_of_admins on mailer.api_keys as restrictive for insert to mailer_owner
  with check (not 'admin' = any (scopes));
call mailer.guard('dropped_signing_keys', p_service => 'select, insert');
