-- find_api_key: args { prefix, hash (hex) };
-- answer { kind: "found", key } | { kind: "unknown" | "revoked" | "expired" }.
-- Guarantees: none is found once a key is over that it goes back to, however far.
-- The hashes are of 190 random bits, so it tells nobody anything how long comparing them takes.
create or replace function mailer.find_api_key(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_key mailer.api_keys;
  v_is_revoked boolean;
  v_is_expired boolean := false;
begin
  select * into v_key from mailer.api_keys k
  where k.prefix = v_args ->> 'prefix' and k.hash = decode(v_args ->> 'hash', 'hex');
  if v_key.made_by is null then
    v_is_revoked := v_key.revoked_at is not null;
    v_is_expired := coalesce(v_key.expires_at <= clock_timestamp(), false);
  else
    with recursive line as (
      select v_key.made_by, v_key.revoked_at, v_key.expires_at
      union all
      select k.made_by, k.revoked_at, k.expires_at
      from line join mailer.api_keys k on k.id = line.made_by
    )
    select bool_or(revoked_at is not null),
      bool_or(coalesce(expires_at <= clock_timestamp(), false))
    into v_is_revoked, v_is_expired from line;
  end if;
  return case
    when v_key.id is null then '{"kind":"unknown"}'
    when v_is_revoked then '{"kind":"revoked"}'
    when v_is_expired then '{"kind":"expired"}'
    else jsonb_build_object('kind', 'found', 'key', mailer.api_key_json(v_key))::text
  end;
end
$$;

call mailer.offer('find_api_key', 'authenticator');
