-- journal_canonical: the bytes of an entry that are hashed: JSON in UTF-8, its members in this
-- order, spaced as json_build_object does; detail as jsonb prints it (members by length, then by
-- bytes). They are not stored: an entry is made into them again for whoever verifies, so this body
-- may never change for entries that are sealed. Another form needs a column of seals that names it.
create or replace function mailer.journal_canonical(j mailer.journal, place bigint, number bigint)
returns bytea
language sql stable
as $$
  select convert_to(json_build_object('position', place, 'number', number,
    'at', mailer.utc_text(j.at), 'owner_id', j.owner_id, 'actor', j.actor, 'origin', j.origin,
    'action', j.action, 'email_id', j.email_id, 'sequence', j.sequence,
    'detail', j.detail)::text, 'UTF8')
$$;

grant execute on function mailer.journal_canonical(mailer.journal, bigint, bigint) to mailer_owner;
