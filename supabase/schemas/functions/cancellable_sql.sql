-- cancellable_sql: whether e may be cancelled, as an expression for dynamic SQL; the refusals
-- are those of cancel_email.
create or replace function mailer.cancellable_sql() returns text
language sql immutable
as $$
  select $sql$(e.state = 'pending' or e.state = 'held'
      or (e.state = 'sending' and e.fenced_at is null))
    and (e.attempts = 0 or not exists (select from mailer.recipients r
        where r.email_id = e.id and r.status = 'sent')
      and not exists (select from mailer.attempts a
        where a.email_id = e.id and a.outcome = 'uncertain'))$sql$
$$;

grant execute on function mailer.cancellable_sql() to mailer_owner;
