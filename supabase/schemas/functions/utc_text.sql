-- utc_text: an instant as canonical entries have it: UTC, microseconds.
create or replace function mailer.utc_text(t timestamptz) returns text
language sql stable
as $$ select to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

grant execute on function mailer.utc_text(timestamptz) to mailer_owner;
