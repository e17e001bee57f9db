-- Emails: the row that changes often, the content apart from it, and the recipients.
--
-- No foreign keys point here: the functions are the only writers, and a check per inserted row
-- would cost the accepting path more than it protects.

create table mailer.emails (
  id uuid primary key,
  owner_id text not null,
  -- Text and not an enum: under row-level security enum comparisons lose their indexes.
  state text not null default 'pending' check (state in ('pending', 'sending', 'sent',
    'partially_sent', 'failed', 'uncertain', 'held', 'cancelled', 'expired', 'suppressed')),
  -- Rises with every change a caller makes (If-Match).
  version integer not null default 1,
  -- Home region: whose workers it belongs to.
  region text not null,
  created_at timestamptz not null,
  -- What the caller asked for.
  scheduled_at timestamptz not null,
  -- The local time that scheduled_at was made of: { local_time, timezone, gap, overlap,
  -- scheduled_at, utc_offset, resolution, zone_data: version of the zone data that resolved it }. Of
  -- another instant than scheduled_at it says nothing.
  wall_clock jsonb,
  -- When a worker looks next.
  next_attempt_at timestamptz not null,
  -- max_age_seconds counts from here: scheduled_at, or the moment of a person's replay.
  age_from timestamptz not null,
  expires_at timestamptz,
  on_late text not null check (on_late in ('send', 'drop', 'hold')),
  on_uncertain text not null check (on_uncertain in ('retry', 'hold')),
  -- Null when the caller did not set it: greylisting then gets two tries more.
  max_retries smallint check (max_retries between 0 and 20),
  max_age_seconds integer not null check (max_age_seconds > 0),
  -- Attempts spent so far, and how many of them do not count: those before the last replay, and
  -- transactions that took fewer recipients than they were given (RFC 5321 section 4.5.3.1.10).
  attempts smallint not null default 0,
  attempts_before smallint not null default 0,
  -- The fencing token: rises with every claim, and every later write must name it.
  claim_token bigint not null default 0,
  worker_id uuid,
  claimed_at timestamptz,
  -- Set after SMTP's 354 and before the first byte of the body.
  fenced_at timestamptz,
  -- The Date header of the running attempt, kept after an uncertain one to be repeated.
  message_date timestamptz,
  -- Deaths of workers that the email is blamed for, by itself or among others. From the second on
  -- it is a suspect, which is claimed in ever smaller groups; from the first, where few are blamed.
  crashes smallint not null default 0,
  sent_at timestamptz,
  -- Place of the newest journal entry within this email.
  sequence integer not null default 0,
  -- In clear, as the documentation says.
  tags text[] not null default '{}',
  metadata jsonb not null default '{}',
  -- The email's data key, wrapped by a key of the ring; null once shredded. A ciphertext made by a
  -- key of the ring names that key: v1.<key id>.… . So the rows themselves say what a rotation has
  -- still to do, and one that was killed goes on where it was.
  wrapped_key text,
  -- Encrypted under the data key: MAIL FROM address, subject.
  sender text,
  subject text,
  -- Size of the composed message before encryption.
  message_bytes integer not null,
  -- expires_at follows the due time when this is set: so many seconds after it.
  max_lateness_seconds integer check (max_lateness_seconds > 0),
  -- What a dead letter failed of, without showing it: replies and addresses are ciphertext, so the
  -- worker leaves keyed fingerprints for SQL to group and filter by. Of code and normalised reply,
  -- and of the domain; null: nobody was refused, or not known.
  failure_group text,
  -- Of the domain of the recipient that was refused.
  failure_domain text,
  -- When it last became a dead letter.
  dead_at timestamptz,
  -- When a person said that this dead letter needs no decision; null: nobody did.
  dismissed_at timestamptz,
  -- An email that is given back without an attempt being spent, to be tried again later, is due all
  -- the while: since due_since, as long as next_attempt_at is the moment it was given back until.
  -- Any other change of next_attempt_at (a retry, an edit, a replay) ends that by itself.
  due_since timestamptz,
  returned_until timestamptz
) with (
  -- Room for a second version of each row on its page: the next change finds the first one dead and
  -- takes its place. So the fence, which changes no indexed column, needs no entry in any index (HOT),
  -- and the table does not grow by the versions of a flood: at 80 two fences of three were HOT, and
  -- an email left 1.2 kB behind.
  fillfactor = 50,
  -- An email leaves two dead versions in a second, and their entries stay in the partial indexes,
  -- which every claim reads, until a vacuum: at the default of a fifth a table of 10 million emails
  -- would keep two million of them.
  autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000,
  autovacuum_analyze_scale_factor = 0.02
);

-- An entry of each full index is written three times for an email: accepted, claimed, settled. So
-- there are three: the key, and two lists of an owner. fenced_at, message_date and sequence are in
-- none, nor in a condition of one, so that the fence is HOT.

-- due_owners (what is due longest, and since when), claim_due's next_due_in_ms, oldest_due,
-- region_status, pending_regions, read_figures.
create index emails_due on mailer.emails (region, next_attempt_at) where state = 'pending';
-- pick_due and the walk of due_owners: what is due, owner by owner; queue_stats. Suspects of a
-- crash are claimed apart, by the index below.
create index emails_due_of_owner on mailer.emails (region, owner_id, next_attempt_at)
  where state = 'pending' and crashes < 2;
-- claim_due: groups of suspects, and what one death is blamed on. Empty unless workers died.
create index emails_suspect on mailer.emails (region, crashes desc, next_attempt_at)
  where state = 'pending' and crashes >= 1;
-- list_claims, take_over: what a worker has claimed. email_counts_of, read_figures: all that is
-- claimed, a few thousands in each process at most.
create index emails_sending on mailer.emails (worker_id) where state = 'sending';
-- oldest_due, queue_stats, read_figures: what was given back. Also while it is tried again: with one
-- email due, each probe of a transport that is down would make it look as if nothing were. Other
-- emails are in neither column and not in the index.
create index emails_returned on mailer.emails (region, due_since)
  where state in ('pending', 'sending') and next_attempt_at = returned_until;
-- zone_data_in_use, stale_wall_clocks: what waits for a local time, by the zone data that resolved it.
create index emails_wall_clock on mailer.emails ((coalesce(wall_clock ->> 'zone_data', '')), id)
  where wall_clock is not null and state in ('pending', 'held', 'sending');
-- list_emails of an owner, the newest first.
-- A list of all owners goes by id, which is a UUIDv7.
create index emails_of_owner on mailer.emails (owner_id, created_at desc, id desc);
-- list_emails of an owner by due time.
create index emails_of_owner_by_due on mailer.emails (owner_id, scheduled_at, id);
-- Dead letters are few: find_changeable, dead_letter_groups, list_emails of an owner.
create index emails_dead_of_owner on mailer.emails (owner_id, id)
  where state in ('failed', 'uncertain', 'held', 'partially_sent');
-- The same for admins, who go through everybody's in the order of ids. read_figures counts them by
-- the index alone: among ten million emails a thousand of them are a thousand pages.
create index emails_dead_by_id on mailer.emails (id) include (state, dismissed_at)
  where state in ('failed', 'uncertain', 'held', 'partially_sent');

-- The large parts, apart from the row that changes often. Both are ciphertext.
create table mailer.contents (
  email_id uuid primary key,
  owner_id text not null,
  -- RFC 5322 bytes without a Date header.
  message bytea,
  -- JSON of what the caller asked for, without the bytes of attachments.
  details text
) with (
  -- Written once: the first vacuum that sees a page freezes it, and none reads it again.
  autovacuum_freeze_min_age = 0
);
-- Ciphertext does not compress; trying to was a twelfth of the time to accept.
alter table mailer.contents alter column message set storage external;
alter table mailer.contents alter column details set storage external;

create table mailer.recipients (
  email_id uuid not null,
  -- Place within the email, from 0: the To line, then Cc, then Bcc.
  position smallint not null,
  owner_id text not null,
  kind text not null check (kind in ('to', 'cc', 'bcc')),
  status text not null default 'pending'
    check (status in ('pending', 'sent', 'deferred', 'bounced', 'suppressed')),
  -- Ciphertext of the address; the index finds equal addresses without showing them. Both are gone
  -- once the content is destroyed.
  address text,
  address_index text,
  smtp_code smallint,
  enhanced_code text,
  -- Ciphertext: replies quote addresses.
  reply text,
  primary key (email_id, position)
) with (
  -- The reply is written on the same page, without a new entry in an index (HOT); those of a batch
  -- all at once, hence room for each. At 80 every second one was.
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05
);
-- filter_sql: emails to an address.
create index recipients_by_address on mailer.recipients (owner_id, address_index);

call mailer.guard('emails', p_service => 'select, insert, update, delete',
  p_owner => 'select, update');
-- A user's claims reach the content and the recipients of its own emails, and never make a
-- recipient of somebody else's.
call mailer.guard('contents', p_service => 'select, insert, update, delete',
  p_owner => 'select, update (message, details)');
call mailer.guard('recipients', p_service => 'select, insert, update, delete',
  p_owner => 'select, insert, update, delete');
create policy of_own_email on mailer.recipients as restrictive for insert to mailer_owner
  with check (exists (select from mailer.emails e
    where e.id = recipients.email_id and e.owner_id = recipients.owner_id));
