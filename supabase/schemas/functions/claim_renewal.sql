-- claim_renewal: args { hash (hex) }; answer { kind: "yours", refresh (base64) } | { kind: "busy" }
-- | { kind: "unknown" }. The process that gets it renews the session within ten seconds; another process
-- waits for it meanwhile, since a refresh token is used once.
create or replace function mailer.claim_renewal(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_hash bytea := decode(args::jsonb ->> 'hash', 'hex');
  v_now timestamptz := clock_timestamp();
  v_session mailer.sessions;
begin
  select * into v_session from mailer.sessions s
  where s.hash = v_hash and s.expires_at > v_now and s.refresh is not null for update;
  if v_session.hash is null then
    return '{"kind":"unknown"}';
  elsif v_session.renewing_until > v_now
    or v_session.token_expires_at > v_now + interval '5 minutes' then
    return '{"kind":"busy"}';
  end if;
  update mailer.sessions s set renewing_until = v_now + interval '10 seconds'
  where s.hash = v_hash;
  return jsonb_build_object('kind', 'yours', 'refresh',
    translate(encode(v_session.refresh, 'base64'), E'\n', ''))::text;
end
$$;

call mailer.offer('claim_renewal', 'console');
