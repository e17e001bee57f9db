-- journal_where: the condition on sealed entries, mailer.journal j with their mailer.seals s, that these
-- arguments and the claims come to. args, absent or null: any { owner_id, email_id, action, actor,
--   after, before (positions, both exclusive), at_from (inclusive), at_to (exclusive) }
-- Guarantees: a user gets its own entries, whatever is asked for.
create or replace function mailer.journal_where(args jsonb) returns text
language sql stable
as $$
  select 'true' || coalesce(string_agg(format(' and ' || c.test, asked.args ->> c.name), ''), '')
  from (select args || jsonb_build_object('owner_id', mailer.whose(args ->> 'owner_id'))) asked (args)
  join (values
    ('owner_id', 's.owner_id = %L'),
    ('email_id', 'j.email_id = %L::uuid'),
    ('action', 'j.action = %L'),
    ('actor', 'j.actor = %L'),
    ('after', 's.position > %L::bigint'),
    ('before', 's.position < %L::bigint'),
    ('at_from', 'j.at >= %L::timestamptz'),
    ('at_to', 'j.at < %L::timestamptz')
  ) c (name, test) on asked.args ->> c.name is not null
$$;

grant execute on function mailer.journal_where(jsonb) to mailer_owner;
