-- journal_boundary: the largest id there is, at a moment when no entry below it can appear any
-- more; null when a transaction holds the journal for longer than 20 ms.
--
-- Functions take the journal's lock shared in the statement before their insert, which draws
-- the id, and keep it to their commit. So while it is held exclusively no insert is under way,
-- and the snapshot of the next statement sees all there ever will be up to the largest id.
-- Inserts wait behind this lock meanwhile: hence the short patience. The lock is let
-- go by leaving the block with an exception, which undoes a subtransaction and what it locked:
-- no error, no cancel and no pooler can leave it behind, as could happen to a session's lock.
create or replace function mailer.journal_boundary() returns bigint
language plpgsql set search_path = ''
as $$
declare
  v_boundary bigint;
begin
  perform set_config('lock_timeout', '20ms', true);
  perform pg_advisory_xact_lock(7382640001);
  select max(j.id) into v_boundary from mailer.journal j;
  raise exception using errcode = 'TM002', message = 'boundary read';
exception
  when sqlstate 'TM002' then return v_boundary;
  when lock_not_available then return null;
end
$$;
