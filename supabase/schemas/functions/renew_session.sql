-- renew_session: args { hash (hex), is_admin, ground (hex) | null, kid | null, thumbprint | null,
-- token_expires_at, refresh (base64), origin }; answer {}. Its token was renewed: it is an admin's session as long as the new token is an
-- admin's. A change of that stands in the journal.
create or replace function mailer.renew_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_is_admin boolean := (v_args ->> 'is_admin')::boolean;
  v_session mailer.sessions;
begin
  select * into v_session from mailer.sessions s
  where s.hash = decode(v_args ->> 'hash', 'hex') for update;
  update mailer.sessions s set is_admin = v_is_admin,
    ground = decode(v_args ->> 'ground', 'hex'), kid = v_args ->> 'kid',
    thumbprint = v_args ->> 'thumbprint', refresh = decode(v_args ->> 'refresh', 'base64'),
    token_expires_at = (v_args ->> 'token_expires_at')::timestamptz, renewing_until = null
  where s.hash = v_session.hash;
  if v_is_admin <> v_session.is_admin then
    perform mailer.write_entry(v_session.owner_id, 'session.changed',
      jsonb_build_object('is_admin', v_is_admin), v_args ->> 'origin',
      p_actor => v_session.owner_id);
  end if;
  return '{}';
end
$$;

call mailer.offer('renew_session', 'console');
