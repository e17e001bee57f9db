-- ms_until: milliseconds until t, never negative, rounded up.
create or replace function mailer.ms_until(t timestamptz, from_time timestamptz) returns bigint
language sql immutable
as $$ select greatest(0, ceil(extract(epoch from (t - from_time)) * 1000))::bigint $$;

grant execute on function mailer.ms_until(timestamptz, timestamptz) to mailer_owner;
