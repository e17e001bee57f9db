-- find_session: args { hash (hex), ground (hex), former_grounds: [hex] (absent: none), idle_seconds,
--   is_active };
-- answer { kind: "found", owner_id, is_admin, kid | null, thumbprint | null, ends_in_ms,
--   renewal: null | "due" | "needed" } | { kind: "unknown" }
-- renewal: its token ends within five minutes, or has ended; ends_in_ms: until the token's end where
-- it is renewed, else the session's.
-- Guarantees: none is found past its time, nor when nobody did anything with it for idle_seconds,
-- nor when neither ground nor one of former_grounds is that of the secret it was made with, nor when
-- its signing key was dropped.
-- Only is_active counts as doing something; it writes at most once a minute.
create or replace function mailer.find_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_session mailer.sessions;
  v_end timestamptz;
begin
  select * into v_session from mailer.sessions s
  where s.hash = decode(v_args ->> 'hash', 'hex') and s.expires_at > v_now
    and s.seen_at > v_now - make_interval(secs => (v_args ->> 'idle_seconds')::integer)
    and (s.ground is null or s.ground = decode(v_args ->> 'ground', 'hex')
      or (v_args -> 'former_grounds') ? encode(s.ground, 'hex'))
    and not exists (select from mailer.dropped_signing_keys d where d.kid = s.kid);
  if v_session.hash is null then
    return '{"kind":"unknown"}';
  end if;
  if (v_args ->> 'is_active')::boolean then
    update mailer.sessions s set seen_at = v_now
    where s.hash = v_session.hash and s.seen_at < v_now - interval '1 minute';
  end if;
  v_end := least(v_session.expires_at, v_session.token_expires_at);
  return jsonb_build_object('kind', 'found', 'owner_id', v_session.owner_id,
    'is_admin', v_session.is_admin, 'kid', v_session.kid, 'thumbprint', v_session.thumbprint,
    'ends_in_ms', mailer.ms_until(v_end, v_now),
    'renewal', case when v_session.token_expires_at <= v_now then 'needed'
      when v_session.token_expires_at <= v_now + interval '5 minutes' then 'due' end)::text;
end
$$;

call mailer.offer('find_session', 'console');
