-- An admin wants to know at once whether a transport that is down works again: whichever processes
-- hold its breaker open look here once a second and probe without waiting.
create table mailer.probe_requests (
  -- As in attempts and in the journal.
  transport text primary key,
  asked_at timestamptz not null
);

call mailer.guard('probe_requests', p_service => 'select, insert, update');
