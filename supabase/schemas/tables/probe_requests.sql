-- An admin wants to know at once whether a transport that is down works again: whichever processes
-- hold its breaker open look here once a second and probe without waiting.
create table mailer.probe_requests (
  -- As in attempts and in the journal.
  transport text primary key,
  asked_at timestamptz not null
);

alter table mailer.probe_requests enable row level security;
alter table mailer.probe_requests force row level security;
revoke all on mailer.probe_requests from public;
create policy service_rows on mailer.probe_requests to mailer_service
  using (true) with check (true);
grant select, insert, update on mailer.probe_requests to mailer_service;
