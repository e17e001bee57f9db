-- The append-only record of what happened: audit trail, source of live events, outbox of
-- webhooks.
--
-- Entries become visible when their transaction commits, and not in the order of their ids.
-- Positions are given later, by one sealer at a time, so they become visible in their own
-- order: whoever has read up to a position has missed nothing below it.

-- Sealing makes no second version of an entry: position, number and hash stand in a narrow table
-- beside it, and the bytes that are hashed are made of the entry again whenever they are asked for.

create table mailer.journal (
  -- Also how the sealer finds what it has not seen: everything above sealer.sealed_to, and what has
  -- appeared in journal_gaps.
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  owner_id text not null,
  -- A sub, or a part of the program such as taskforce-mailer:worker:local.
  actor text not null,
  -- From where, when a request caused it.
  origin text,
  action text not null,
  email_id uuid,
  -- Gapless place within the email, from 1.
  sequence integer,
  -- Never content: codes, states and counts.
  detail jsonb not null default '{}'
) with (
  -- Written once: the first vacuum that sees a page freezes it, and none reads it again.
  autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0.05
);
-- email_events: the timeline of an email, sealed or not; read_audit and read_events with email_id.
create index journal_of_email on mailer.journal (email_id, sequence) where email_id is not null;
-- read_audit and filter_sql by time. Times follow ids closely, so a summary of blocks finds a range
-- of them, and costs the insert next to nothing.
-- Pages of dropped entries are filled anew, and their blocks keep the summary of the old times, too: with
-- a single range for both, a look at an hour in between read every such block.
create index journal_at on mailer.journal
  using brin (at timestamptz_minmax_multi_ops (values_per_range = 16)) with (pages_per_range = 32);

-- What makes an entry a sealed one; the sealer adds a row for each, once.
create table mailer.seals (
  -- Gapless over the whole journal, from 1: read_audit and read_events go by it.
  position bigint primary key,
  -- Unique, so that no entry is sealed twice; also finds the seals of an email's entries.
  entry_id bigint not null unique,
  owner_id text not null,
  -- Gapless per owner, from 1.
  number bigint not null,
  -- sha256(hash of the owner's entry before || canonical bytes of the entry).
  hash bytea not null
) with (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0.05);
-- read_audit and read_events of an owner, and verification, which goes through the owner's chain;
-- list_owners: an owner's newest.
create index seals_of_owner on mailer.seals (owner_id, position);

-- Ids up to sealer.sealed_to of which no entry was seen: of transactions that were under way when the
-- sealer passed them, or that failed. Each round looks at these and at nothing else of what it has
-- passed; a range is dropped once nobody can fill it any more.
create table mailer.journal_gaps (
  from_id bigint primary key,
  to_id bigint not null,
  -- Every transaction that could have drawn one of these ids has a smaller number; and the moment,
  -- for one that had drawn its id and had no number yet.
  seen_before xid8 not null,
  seen_at timestamptz not null
) with (fillfactor = 50);

-- The newest sealed entry of each owner: where the chain goes on, and where it must end.
create table mailer.journal_heads (
  owner_id text primary key,
  number bigint not null,
  hash bytea not null
) with (fillfactor = 50);

-- The newest dropped entry of each owner, which the oldest that is kept follows on: with the entries
-- from journal_start.position on they come to the same heads as if nothing had been dropped.
create table mailer.journal_anchors (
  owner_id text primary key,
  position bigint not null,
  number bigint not null,
  hash bytea not null
) with (fillfactor = 50);

-- Where the journal begins; one row.
create table mailer.journal_start (
  is_only_row boolean primary key default true check (is_only_row),
  -- The newest entry that was dropped; 0: none was.
  position bigint not null,
  -- Position of a stored checkpoint: entries up to there are to be dropped, as entry_id, sealed, says.
  drop_to bigint not null,
  entry_id bigint,
  -- The same of a drop whose entry is not sealed yet, so that nothing has been deleted for it.
  next_to bigint,
  next_entry_id bigint
) with (
  -- Written by every step of a drop, on its own page (HOT).
  fillfactor = 10
);
insert into mailer.journal_start (position, drop_to) values (0, 0);

-- What the sealer knows; one row.
create table mailer.sealer (
  is_only_row boolean primary key default true check (is_only_row),
  -- Of the newest sealed entry; 0: none yet.
  position bigint not null,
  -- Every entry up to this id is sealed, or its id is in journal_gaps.
  sealed_to bigint not null
) with (
  -- Written by every round, on its own page and without a new entry in an index (HOT).
  fillfactor = 10
);
insert into mailer.sealer (position, sealed_to) values (0, 0);

call mailer.guard('journal', p_service => 'select, insert', p_owner => 'select, insert');
call mailer.guard('seals', p_service => 'select, insert', p_owner => 'select');
call mailer.guard('journal_gaps', p_service => 'select, insert, delete');
call mailer.guard('journal_heads', p_service => 'select, insert, update', p_owner => 'select');
call mailer.guard('journal_anchors', p_service => 'select', p_owner => 'select');
call mailer.guard('journal_start', p_service => 'select, update (next_to, next_entry_id)');
call mailer.guard('sealer', p_service => 'select, update');
-- Numbers of entries and nothing of what is in them: an owner's counts need to know what is unsealed.
create policy all_rows on mailer.journal_gaps for select to mailer_owner using (true);
create policy all_rows on mailer.sealer for select to mailer_owner using (true);
create policy all_rows on mailer.journal_start for select to mailer_owner using (true);
grant select on mailer.journal_gaps, mailer.sealer, mailer.journal_start to mailer_owner;

-- mailer_dropper deletes up to where a drop was announced, and moves the anchors there.
create policy dropper_reads on mailer.journal for select to mailer_dropper using (true);
create policy dropper_deletes on mailer.journal for delete to mailer_dropper
  using (exists (select from mailer.seals s where s.entry_id = id
    and s.position <= (select t.drop_to from mailer.journal_start t where t.is_only_row)));
create policy dropper_reads on mailer.seals for select to mailer_dropper using (true);
create policy dropper_deletes on mailer.seals for delete to mailer_dropper
  using (position <= (select t.drop_to from mailer.journal_start t where t.is_only_row));
create policy dropper_rows on mailer.journal_anchors to mailer_dropper using (true);
create policy dropper_rows on mailer.journal_start to mailer_dropper using (true);
grant select, delete on mailer.journal, mailer.seals to mailer_dropper;
grant select, insert, update on mailer.journal_anchors to mailer_dropper;
grant select, update on mailer.journal_start to mailer_dropper;
