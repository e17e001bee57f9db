-- read_message: the message of a claimed email that was too large to come with the claim.
-- args: { id, token }; answer: { message (base64) } or { message: null } for a stale token.
create or replace function mailer.read_message(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  return json_build_object('message', (
    select encode(c.message, 'base64') from mailer.emails e
    join mailer.contents c on c.email_id = e.id
    where e.id = (v_args ->> 'id')::uuid and e.state = 'sending'
      and e.claim_token = (v_args ->> 'token')::bigint))::text;
end
$$;

call mailer.offer('read_message', 'worker');
