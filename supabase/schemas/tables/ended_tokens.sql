-- Owners whose earlier tokens were ended: one counts only when it was issued at or after not_before.
create table mailer.ended_tokens (
  owner_id text primary key,
  -- A whole second, as `iat` is.
  not_before timestamptz not null
);

alter table mailer.ended_tokens enable row level security;
alter table mailer.ended_tokens force row level security;
revoke all on mailer.ended_tokens from public;
create policy service_rows on mailer.ended_tokens to mailer_service using (true) with check (true);
grant select, insert, update (not_before) on mailer.ended_tokens to mailer_service;
