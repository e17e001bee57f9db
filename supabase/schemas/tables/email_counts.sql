-- How many emails of each owner are in each state, and how many were accepted on each day: what a count
-- over the table of emails would say, at a cost that does not grow with it. Only the sealer writes
-- here, in the transaction that seals the entries that it counts, so no accept waits for a row that
-- all others change; what is not sealed yet is added when it is read (email_counts_of). Under its lock
-- drop_old takes off what it deletes, and check_counts adds what it finds missing.

create table mailer.email_counts (
  owner_id text not null,
  -- A state, or `accepted`. An email being sent counts as pending: those are few, and counted where
  -- that matters.
  counted text not null,
  -- Of `accepted`: the day in UTC; else -infinity.
  day date not null,
  n bigint not null,
  primary key (owner_id, counted, day)
) with (
  -- Written by every round of the sealer, on its own page and without a new entry in an index (HOT).
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05
);

call mailer.guard('email_counts', p_service => 'select, insert, update, delete',
  p_owner => 'select');
