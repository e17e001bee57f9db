-- What the journal held at a moment, signed by the program once a day. A copy of this table that is kept
-- elsewhere proves more than the table: the signing key is not in the database, but whoever owns its
-- tables can delete rows.
create table mailer.checkpoints (
  -- Of the newest entry that was sealed by then.
  position bigint primary key,
  made_at timestamptz not null default clock_timestamp(),
  -- JSON as `audit checkpoint` prints it, with key and signature.
  checkpoint text not null
);

call mailer.guard('checkpoints', p_service => 'select, insert');
