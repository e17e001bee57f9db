-- Periodic work: when each part of it ran last, with what result, and who has it in hand. Whichever
-- way a process is told that it is time (BullMQ, or this table's clock), a row here lets one do it.
create table mailer.maintenance (
  name text primary key,
  started_at timestamptz not null,
  -- null: it is under way, or its process died with it.
  ended_at timestamptz,
  -- Counts; null until it has ended once. Never content, and no addresses.
  result jsonb,
  -- Nobody else begins it before.
  leased_until timestamptz not null,
  holder uuid not null
);

call mailer.guard('maintenance', p_service => 'select, insert, update');
