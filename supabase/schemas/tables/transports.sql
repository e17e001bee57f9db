-- A transport's limit of messages a second holds over all processes and regions that share
-- this database: every message takes a slot first, and slots are spaced here. A transport that
-- several processes use: each is late by its own delays, so that their messages may meet though
-- their slots do not. Its slots are spaced further apart from then on.
create table mailer.transports (
  -- Host and port, and a hash of the user: no address, no secret.
  name text primary key,
  -- The first moment that nobody has reserved yet.
  next_slot_at timestamptz not null,
  -- The process that took the last slots.
  holder text not null default '',
  -- Until then more than one process counts as sending through it.
  shared_until timestamptz not null default '-infinity'
) with (
  -- A row is written for every slot, on its own page and without a new entry in an index (HOT).
  fillfactor = 50
);

call mailer.guard('transports', p_service => 'select, insert, update');
