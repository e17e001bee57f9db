-- event_json: one entry as an event, with what its payload is made of. place: its
-- position, null while it is not sealed. Address and reply are
-- ciphertext under wrapped_key: of the recipient that an entry is about, else of the attempt that it
-- ends. Null where the content was shredded.
create or replace function mailer.event_json(j mailer.journal, place bigint, e mailer.emails)
returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  v_address text;
  v_reply text;
  v_place smallint := (j.detail ->> 'recipient')::smallint;
begin
  if e.wrapped_key is not null and v_place is not null then
    select r.address, r.reply into v_address, v_reply from mailer.recipients r
    where r.email_id = j.email_id and r.position = v_place;
  elsif e.wrapped_key is not null and j.detail ? 'outcome' then
    select a.reply into v_reply from mailer.attempts a
    where a.email_id = j.email_id and a.number = (j.detail ->> 'attempt')::smallint;
  end if;
  return jsonb_build_object('position', place, 'at', j.at, 'owner_id', j.owner_id,
    'actor', j.actor, 'action', j.action, 'email_id', j.email_id, 'sequence', j.sequence,
    'detail', j.detail, 'tags', coalesce(e.tags, '{}'), 'metadata', coalesce(e.metadata, '{}'),
    'wrapped_key', e.wrapped_key, 'address', v_address, 'reply', v_reply);
end
$$;

grant execute on function mailer.event_json(mailer.journal, bigint, mailer.emails) to mailer_owner;
