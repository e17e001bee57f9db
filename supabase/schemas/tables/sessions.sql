-- The sessions of the console. A row that is gone lets nobody in any more, on any process.
--
-- Only SHA-256 of a session's cookie is stored: it is 256 random bits, so there is nothing to
-- guess, and a copy of this table lets nobody in.
create table mailer.sessions (
  hash bytea primary key check (length(hash) = 32),
  owner_id text not null,
  is_admin boolean not null,
  started_at timestamptz not null,
  -- When a person last did something with it, to the minute; a page that refreshes itself is none.
  seen_at timestamptz not null,
  -- At most when its token ends, unless the token is renewed.
  expires_at timestamptz not null,
  -- What it rests on. HMAC-SHA256 of the cookie with JWT_SECRET, where the secret signed the token
  -- or the link: another secret makes another value, and no copy of this table tells of the secret.
  ground bytea check (length(ground) = 32),
  -- Of the key of JWKS_URL that signed the token.
  kid text,
  thumbprint text,
  check ((ground is null) <> (kid is null)),
  -- When the token ends that is to be renewed by `refresh`, a refresh token encrypted with a key
  -- that the cookie is needed for; null: the token is not renewed.
  token_expires_at timestamptz,
  refresh bytea,
  check ((token_expires_at is null) = (refresh is null)),
  -- One process renews at a time.
  renewing_until timestamptz
);
-- start_session: an owner's oldest.
create index sessions_of_owner on mailer.sessions (owner_id, started_at);
-- forget_sessions.
create index sessions_age on mailer.sessions (expires_at);

call mailer.guard('sessions', p_service => 'select, insert, delete, update (seen_at, is_admin, ground,
  kid, thumbprint, token_expires_at, refresh, renewing_until)');
