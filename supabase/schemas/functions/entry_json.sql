-- entry_json: a sealed entry of the journal as readers are told it { position, number, at (UTC,
-- microseconds), owner_id, actor, origin, action, email_id, sequence, detail }, and its proof: the bytes
-- that its hash is made of, and the hash { canonical (base64), hash (hex) }.
create or replace function mailer.entry_json(j mailer.journal, s mailer.seals) returns jsonb
language sql stable
as $$
  select jsonb_build_object('position', s.position, 'number', s.number,
    'at', mailer.utc_text(j.at), 'owner_id', j.owner_id, 'actor', j.actor, 'origin', j.origin,
    'action', j.action, 'email_id', j.email_id, 'sequence', j.sequence, 'detail', j.detail,
    'canonical', encode(mailer.journal_canonical(j, s.position, s.number), 'base64'),
    'hash', encode(s.hash, 'hex'))
$$;

grant execute on function mailer.entry_json(mailer.journal, mailer.seals) to mailer_owner;
