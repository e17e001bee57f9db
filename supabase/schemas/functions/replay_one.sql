-- replay_one: replay_rows of one email, of which somebody has to be left to send it to, and its content:
-- raises invalid_content, which undoes an edit as well, or not_found. Answers { kind, delay_ms: until it
-- is due }.
create or replace function mailer.replay_one(p_id uuid, p_due timestamptz, p_is_asked boolean,
  p_is_edited boolean, p_args jsonb, p_kind text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_email mailer.emails := (select e from mailer.emails e where e.id = p_id);
begin
  if v_email.wrapped_key is null then
    raise exception using errcode = 'TM001', message = 'not_found',
      detail = 'The content of this email was destroyed.';
  elsif not mailer.is_sendable(v_email) then
    raise exception using errcode = 'TM001', message = 'invalid_content',
      detail = 'Nobody is left to send to: each recipient has got it or was refused.';
  end if;
  perform mailer.replay_rows(array[p_id], array[p_due], p_is_asked, p_is_edited, p_args);
  return jsonb_build_object('kind', p_kind,
    'delay_ms', mailer.ms_until(p_due, clock_timestamp()))::text;
end
$$;

grant execute on function mailer.replay_one(uuid, timestamptz, boolean, boolean, jsonb, text)
  to mailer_owner;
