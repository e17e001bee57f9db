-- ceil_ms: rounds up to whole milliseconds, so that nothing is due before its time. Stable and not
-- immutable, as its body is: otherwise it cannot be put in place where it is used, and is planned
-- and run once for every email.
create or replace function mailer.ceil_ms(t timestamptz) returns timestamptz
language sql stable
return date_trunc('milliseconds', t + interval '999 microseconds');

grant execute on function mailer.ceil_ms(timestamptz) to mailer_owner;
