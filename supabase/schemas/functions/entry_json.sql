-- entry_json: a sealed entry of the journal as readers are told it; with proof also the bytes that
-- its hash is made of, and the hash.
create or replace function mailer.entry_json(j mailer.journal, s mailer.seals, proof boolean)
returns jsonb
language sql stable
as $$
  select jsonb_build_object('position', s.position, 'number', s.number,
    'at', mailer.utc_text(j.at), 'owner_id', j.owner_id, 'actor', j.actor, 'origin', j.origin,
    'action', j.action, 'email_id', j.email_id, 'sequence', j.sequence, 'detail', j.detail)
    || case when proof then jsonb_build_object(
      'canonical', encode(mailer.journal_canonical(j, s.position, s.number), 'base64'),
      'hash', encode(s.hash, 'hex')) else '{}' end
$$;

grant execute on function mailer.entry_json(mailer.journal, mailer.seals, boolean) to mailer_owner;
