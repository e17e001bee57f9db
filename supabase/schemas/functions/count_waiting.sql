-- count_waiting: how many emails of an owner count towards QUOTA_PENDING: pending or held.
create or replace function mailer.count_waiting(p_owner text) returns bigint
language sql stable set search_path = ''
as $$
  select (c.counts ->> 'pending')::bigint + coalesce((c.counts ->> 'held')::bigint, 0)
  from (select mailer.email_counts_of(p_owner) as counts offset 0) c
$$;

grant execute on function mailer.count_waiting(text) to mailer_owner;
