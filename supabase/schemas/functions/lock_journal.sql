-- lock_journal: taken shared in the statement before every journal insert, which is a function's
-- last write. The sealer takes it exclusively for the instant of reading its boundary, so that
-- nothing below the boundary can still appear.
create or replace function mailer.lock_journal() returns void
language sql
as $$ select pg_advisory_xact_lock_shared(7382640001) $$;

grant execute on function mailer.lock_journal() to mailer_owner;
