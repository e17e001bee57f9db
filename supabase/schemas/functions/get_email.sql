-- get_email: args { id, details: bool, message: bool };
-- answer: the email with recipients and attempts, details (ciphertext) and message (base64 of
-- ciphertext) when asked for; null when there is none the claims may see.
create or replace function mailer.get_email(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return 'null';
  end if;
  return (mailer.email_json(v_email) || jsonb_build_object(
    'recipients', mailer.recipients_json(v_email.id),
    'attempts', mailer.attempts_json(v_email.id),
    'details', case when (v_args ->> 'details')::boolean then (
      select c.details from mailer.contents c where c.email_id = v_email.id) end,
    'message', case when (v_args ->> 'message')::boolean then (
      select encode(c.message, 'base64') from mailer.contents c
      where c.email_id = v_email.id) end))::text;
end
$$;

call mailer.offer('get_email', 'user', 'admin');
