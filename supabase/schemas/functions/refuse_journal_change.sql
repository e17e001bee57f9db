-- refuse_journal_change: entries are only ever added, unsealed, and then sealed once; also for the
-- table's owner. Nor is a checkpoint changed. What delete_dropped deletes passes it by: triggers.sql.
create or replace function mailer.refuse_journal_change() returns trigger
language plpgsql set search_path = ''
as $$
begin
  raise exception 'the journal is append-only: % refused', lower(tg_op)
    using errcode = 'check_violation';
end
$$;

grant execute on function mailer.refuse_journal_change() to mailer_dropper;
