-- is_sendable: whether somebody is left whom a dead letter or a held email would be sent to.
create or replace function mailer.is_sendable(e mailer.emails) returns boolean
language sql stable
as $$
  select exists (select from mailer.recipients r where r.email_id = e.id
    and (r.status in ('pending', 'deferred') or r.status = 'bounced' and e.state <> 'held'))
$$;

grant execute on function mailer.is_sendable(mailer.emails) to mailer_owner;
