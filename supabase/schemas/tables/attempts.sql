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
  -- False: it does not count against max_retries.
  is_counted boolean not null default true,
  -- Also finds the attempt of a token among the few of its email. A token is recorded once, since
  -- settle_attempts moves the email on in the same statement.
  primary key (email_id, number)
) with (
  -- Written once: the first vacuum that sees a page freezes it, and none reads it again.
  autovacuum_freeze_min_age = 0
);

-- Shredding takes the reply out of an attempt, and nothing else is ever changed there.
call mailer.guard('attempts', p_service => 'select, insert, update (reply), delete',
  p_owner => 'select, update (reply)');
