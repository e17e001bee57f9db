-- note_refused_sign_in: args { reason, origin }; answer {}. It belongs to nobody, so only admins
-- see it; whoever calls it bounds how often.
create or replace function mailer.note_refused_sign_in(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values ('taskforce-mailer:console', 'taskforce-mailer:stranger', v_args ->> 'origin', 'session.refused',
    jsonb_build_object('reason', v_args ->> 'reason'));
  return '{}';
end
$$;

call mailer.offer('note_refused_sign_in', 'console');
