-- dead_group_sql: the group of the dead letter e, as an expression for dynamic SQL (a function
-- call per row would take longer than the rest of the query). Emails from before fingerprints
-- and those of which nothing is known have the group of their code.
create or replace function mailer.dead_group_sql() returns text
language sql immutable
as $$
  select $sql$(case when e.state = 'held' then 'held'
    when e.failure_group is not null then e.failure_group
    else 'code-' || coalesce((select min(r.smtp_code) from mailer.recipients r
      where r.email_id = e.id and r.status in ('bounced', 'deferred'))::text, 'none') end)$sql$
$$;

grant execute on function mailer.dead_group_sql() to mailer_owner;
