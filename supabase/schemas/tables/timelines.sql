-- Timelines that this database was seen on. A standby that is promoted, and a backup that is restored,
-- has another one, and may lack what was written last: what was sent is pending there. So each worker
-- writes again what it fenced and settled, and until all have, nothing is claimed.
create table mailer.timelines (
  -- The first 8 digits of a WAL file's name.
  timeline text primary key,
  -- When a beat saw it first; -infinity: it was the first of all, no failover led to it.
  since timestamptz not null
);

call mailer.guard('timelines', p_service => 'select, insert');
