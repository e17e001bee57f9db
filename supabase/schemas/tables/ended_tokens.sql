-- Owners whose earlier tokens were ended: one counts only when it was issued at or after not_before.
create table mailer.ended_tokens (
  owner_id text primary key,
  -- A whole second, as `iat` is.
  not_before timestamptz not null
);

call mailer.guard('ended_tokens', p_service => 'select, insert, update (not_before)');
