-- start_session: args { hash (hex), replaces (hex) | null, owner_id, is_admin, via, lasts_seconds,
-- origin, ground (hex) | null, kid | null, thumbprint | null, token_expires_at | null,
-- refresh (base64) | null }; answer {}. See the table for what it rests on.
-- Guarantees: the session that the browser had before is over; an owner has at most 20, the
-- oldest out first. It ends with its token, unless there is a refresh token.
create or replace function mailer.start_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_token_end timestamptz := (v_args ->> 'token_expires_at')::timestamptz;
  v_refresh bytea := decode(v_args ->> 'refresh', 'base64');
begin
  delete from mailer.sessions s
  where s.hash = decode(v_args ->> 'replaces', 'hex')
    or s.hash in (select o.hash from mailer.sessions o where o.owner_id = v_owner
      order by o.started_at desc, o.hash offset 19);
  insert into mailer.sessions (hash, owner_id, is_admin, started_at, seen_at, expires_at, ground,
    kid, thumbprint, token_expires_at, refresh)
  values (decode(v_args ->> 'hash', 'hex'), v_owner, (v_args ->> 'is_admin')::boolean, v_now, v_now,
    least(v_now + make_interval(secs => (v_args ->> 'lasts_seconds')::integer),
      case when v_refresh is null then v_token_end end),
    decode(v_args ->> 'ground', 'hex'), v_args ->> 'kid', v_args ->> 'thumbprint',
    case when v_refresh is not null then v_token_end end, v_refresh);
  perform mailer.write_entry(v_owner, 'session.started', jsonb_build_object(
    'via', v_args ->> 'via', 'is_admin', (v_args ->> 'is_admin')::boolean), v_args ->> 'origin',
    p_actor => v_owner);
  return '{}';
end
$$;

call mailer.offer('start_session', 'console');
