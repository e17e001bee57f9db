-- shred_email: destroys the content of an email that has ended.
-- args { id, origin }; answer { kind: "shredded", status } (also when it already was)
--   | { kind: "not_found" } | { kind: "not_finished", status }; a claimed email is not said to be
--   sending.
-- Guarantees: the data key is gone, and with it whatever copy of a ciphertext there is beside a
-- backup of this row; so are the ciphertexts themselves, the blind index of every address and
-- what the failure was grouped by. State, codes, times, tags, metadata and the journal remain.
-- An email that may still be sent is left alone.
create or replace function mailer.shred_email(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state in ('pending', 'sending', 'held') then
    return jsonb_build_object('kind', 'not_finished', 'status',
      mailer.shown_state(v_email.state, v_email.fenced_at))::text;
  end if;
  if v_email.wrapped_key is null then
    return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
  end if;
  perform mailer.destroy_contents(array[v_email.id]);
  update mailer.emails e set version = e.version + 1, sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.write_entry(v_email.owner_id, 'email.shredded',
    jsonb_build_object('status', v_email.state), v_args ->> 'origin', p_email => v_email.id,
    p_sequence => v_email.sequence + 1);
  return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
end
$$;

call mailer.offer('shred_email', 'user', 'admin');
