-- end_session: args { hash (hex), is_everywhere, origin }; answer { ended } (how many).
-- Guarantees: with is_everywhere all sessions of its owner end; one that is unknown ends nothing
-- and leaves no entry.
create or replace function mailer.end_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text;
  v_ended integer;
begin
  select s.owner_id into v_owner from mailer.sessions s
  where s.hash = decode(v_args ->> 'hash', 'hex') and s.expires_at > clock_timestamp();
  delete from mailer.sessions s
  where s.owner_id = v_owner
    and (s.hash = decode(v_args ->> 'hash', 'hex') or (v_args ->> 'is_everywhere')::boolean);
  get diagnostics v_ended = row_count;
  if v_ended > 0 then
    perform mailer.write_entry(v_owner, 'session.ended', jsonb_build_object('sessions', v_ended),
      v_args ->> 'origin', p_actor => v_owner);
  end if;
  return jsonb_build_object('ended', v_ended)::text;
end
$$;

call mailer.offer('end_session', 'console');
