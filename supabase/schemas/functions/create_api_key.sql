-- create_api_key: args { id, name, prefix, hash (hex), scopes: [], expires_at (absent: in a year, null:
-- never), made_by (the key that asks) | null, rests_on_role (see the table), origin };
-- answer { kind: "created", key, is_new } | { kind: "too_many" } | { kind: "expired" } (expires_at is past).
-- Guarantees: it belongs to the sub of the claims; only an admin makes one that is an admin's;
-- an owner has at most 100 that count; it ends with the key that made it; the same id again changes
-- nothing and answers the key as it is.
create or replace function mailer.create_api_key(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := mailer.claim_sub();
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_scopes text[] := array(select jsonb_array_elements_text(v_args -> 'scopes'));
  v_expires_at timestamptz := case when v_args ? 'expires_at'
    then (v_args ->> 'expires_at')::timestamptz else v_now + interval '1 year' end;
  v_made_by uuid := (v_args ->> 'made_by')::uuid;
  v_key mailer.api_keys;
begin
  if 'admin' = any (v_scopes) and mailer.claim_role() <> 'admin' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'Only an admin may make a key with the scope admin.';
  end if;
  if v_made_by is not null then
    v_expires_at := least(v_expires_at,
      (select k.expires_at from mailer.api_keys k where k.id = v_made_by));
  end if;
  -- One at a time for each owner, so that the looks below hold.
  perform pg_advisory_xact_lock(hashtextextended(v_owner, 7382640002));
  select * into v_key from mailer.api_keys k
  where k.id = (v_args ->> 'id')::uuid and k.owner_id = v_owner;
  if found then
    return jsonb_build_object('kind', 'created', 'key', mailer.api_key_json(v_key),
      'is_new', false)::text;
  end if;
  if v_expires_at <= v_now then
    return '{"kind":"expired"}';
  end if;
  if (select count(*) from mailer.api_keys k where k.owner_id = v_owner
    and k.revoked_at is null and (k.expires_at is null or k.expires_at > v_now)) >= 100 then
    return '{"kind":"too_many"}';
  end if;
  insert into mailer.api_keys (id, owner_id, name, prefix, hash, scopes, created_at, expires_at,
    made_by, rests_on_role)
  values ((v_args ->> 'id')::uuid, v_owner, v_args ->> 'name', v_args ->> 'prefix',
    decode(v_args ->> 'hash', 'hex'), v_scopes, v_now, v_expires_at, v_made_by,
    coalesce((v_args ->> 'rests_on_role')::boolean, false))
  returning * into v_key;
  perform mailer.write_entry(v_owner, 'key.created', jsonb_build_object(
    'key_id', v_key.id, 'name', v_key.name, 'scopes', v_key.scopes,
    'expires_at', v_key.expires_at)
    || case when v_made_by is null then '{}' else jsonb_build_object('made_by', v_made_by) end,
    v_args ->> 'origin');
  return jsonb_build_object('kind', 'created', 'key', mailer.api_key_json(v_key),
    'is_new', true)::text;
end
$$;

call mailer.offer('create_api_key', 'user', 'admin');
