-- What each process did in each minute, for the charts of the Health page; kept for 30 days. A minute
-- in which nothing happened has no row. A process writes its row again until the minute is over.
create table mailer.minutes (
  -- Its beginning, by the database's clock.
  minute timestamptz not null,
  worker_id uuid not null,
  region text not null,
  -- Emails stored for their callers.
  accepted integer not null,
  -- Attempts by outcome.
  sent integer not null,
  partial integer not null,
  deferred integer not null,
  bounced integer not null,
  uncertain integer not null,
  -- First attempts by how late they began: up to each bound of the program, and above the last.
  lateness integer[] not null,
  -- read_minutes and forget_minutes go by time.
  primary key (minute, worker_id)
) with (
  -- A row is written up to six times, on its own page and without a new entry in an index (HOT).
  fillfactor = 80
);

call mailer.guard('minutes', p_service => 'select, insert, update, delete');
