-- The emergency stop: sending of a region, or of an owner's emails anywhere, is paused until
-- somebody resumes it. One of kind database, of which there is at most one, stops all sending and
-- webhooks, too: the database was restored or copied (check_origin). It is obeyed where emails are claimed and once more at the fence, so it
-- needs no Redis and survives every restart.
create table mailer.pauses (
  kind text not null check (kind in ('region', 'owner', 'database')),
  -- The region's name, or the owner's id; `restored` of the database.
  name text not null,
  paused_at timestamptz not null,
  paused_by text not null,
  reason text not null check (reason <> ''),
  primary key (kind, name)
);

call mailer.guard('pauses', p_service => 'select, insert, delete');
