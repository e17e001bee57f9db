-- expiry_of: when an email that is due at `due` is too late; null without max_lateness. PostgreSQL
-- counts further than year 9999, where our times end.
create or replace function mailer.expiry_of(due timestamptz, max_lateness_seconds integer)
returns timestamptz
language sql stable
as $$
  select case when max_lateness_seconds is not null then least(
    due + max_lateness_seconds * interval '1 second',
    timestamptz '9999-12-31 23:59:59.999+00') end
$$;

grant execute on function mailer.expiry_of(timestamptz, integer) to mailer_owner;
