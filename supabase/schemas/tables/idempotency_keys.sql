-- Answers of requests that came with an Idempotency-Key. A key is kept until a day after the last
-- email that it made has ended, and not for a day after the request: who repeats a request for an
-- email of next year makes no second one.
create table mailer.idempotency_keys (
  owner_id text not null,
  path text not null,
  key text not null,
  created_at timestamptz not null,
  -- Hash of the request's body.
  fingerprint text not null,
  -- Ciphertext of the answer.
  response text not null,
  -- What the request made; null: nothing.
  email_ids uuid[],
  -- Not before then it is looked at again; null: a day after it was made.
  kept_until timestamptz,
  primary key (owner_id, path, key)
);
-- forget_idempotent: keys that were never looked at, and those that were, each by its own time.
create index idempotency_keys_new on mailer.idempotency_keys (created_at) where kept_until is null;
create index idempotency_keys_kept on mailer.idempotency_keys (kept_until)
  where kept_until is not null;

call mailer.guard('idempotency_keys', p_service => 'select, insert, update, delete');
