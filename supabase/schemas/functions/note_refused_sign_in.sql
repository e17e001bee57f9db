-- note_refused_sign_in: args { reason, origin }; answer {}. It belongs to nobody, so only admins
-- see it; whoever calls it bounds how often.
create or replace function mailer.note_refused_sign_in(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  perform mailer.write_entry('taskforce-mailer:console', 'session.refused',
    jsonb_build_object('reason', v_args ->> 'reason'), v_args ->> 'origin',
    p_actor => 'taskforce-mailer:stranger');
  return '{}';
end
$$;

call mailer.offer('note_refused_sign_in', 'console');
