-- bulk_due: when e is due after a reschedule of many, as an expression.
create or replace function mailer.bulk_due(args jsonb) returns text
language sql stable set search_path = ''
as $$
  select case when args ->> 'scheduled_at' is not null
    then format('%L::timestamptz', mailer.ceil_ms((args ->> 'scheduled_at')::timestamptz))
    else format('(e.scheduled_at + %L * interval ''1 s'')', (args ->> 'shift_seconds')::bigint) end
$$;

grant execute on function mailer.bulk_due(jsonb) to mailer_owner;
