-- end_sessions: args { owner_id | null (everybody's), origin }; answer { ended } (how many).
create or replace function mailer.end_sessions(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
  v_ended integer;
begin
  delete from mailer.sessions s where v_owner is null or s.owner_id = v_owner;
  get diagnostics v_ended = row_count;
  perform mailer.write_entry(coalesce(v_owner, mailer.claim_sub()), 'session.ended',
    jsonb_build_object('sessions', v_ended, 'everybody', v_owner is null), v_args ->> 'origin');
  return jsonb_build_object('ended', v_ended)::text;
end
$$;

call mailer.offer('end_sessions', 'admin');
