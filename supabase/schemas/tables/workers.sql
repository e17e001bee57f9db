-- Every process that works or accepts, and the regions they belong to; both beat once a second.

create table mailer.workers (
  id uuid primary key,
  region text not null,
  role text not null,
  started_at timestamptz not null,
  beat_at timestamptz not null,
  -- A fenced email of a silent worker is uncertain once 1.2 times this has passed.
  reply_timeout_ms integer not null,
  stopped_at timestamptz,
  -- What a dead one had claimed was looked over.
  reaped_at timestamptz,
  -- Which key it writes with; null: one that does not say.
  key_id text,
  -- What the process last said of itself; null: nothing yet. Never content, and no addresses.
  state jsonb,
  -- Rises with every beat.
  beats bigint not null default 0,
  -- Since when its beats have come without a gap of ten seconds by the clock here. A clock that is
  -- set forward or back makes a gap.
  steady_since timestamptz,
  -- Outcomes that it knows and has not been able to write yet.
  settling integer not null default 0,
  -- Ids of the emails whose content it was decrypting or sending at its last beat.
  begun uuid[] not null default '{}',
  -- The timeline under which all that it sent is written; null: nobody could tell it.
  timeline text
) with (
  -- A row is written every second, on its own page and without a new entry in an index (HOT).
  fillfactor = 50
);

create table mailer.regions (
  name text primary key,
  beat_at timestamptz not null,
  -- A worker died before it could vouch: of what was due by then nobody knows whether it was sent.
  doubt_until timestamptz
) with (fillfactor = 50);

call mailer.guard('workers', p_service => 'select, insert, update, delete');
call mailer.guard('regions', p_service => 'select, insert, update');
