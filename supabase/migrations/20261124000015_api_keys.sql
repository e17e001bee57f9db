-- API keys, and signing keys of others that an admin no longer trusts.
--
-- Of an API key only SHA-256 is stored: it is 190 random bits, so there is nothing to guess, and
-- a copy of this table lets nobody in.

create table mailer.api_keys (
  id uuid primary key,
  -- Whom it acts as.
  owner_id text not null,
  name text not null check (length(name) between 1 and 100),
  -- Its first characters, to find it by and to know it again by.
  prefix text not null unique,
  hash bytea not null check (length(hash) = 32),
  -- Where admin is among them, it acts as an admin.
  scopes text[] not null check (cardinality(scopes) > 0
    and scopes <@ array['send', 'read', 'admin']),
  created_at timestamptz not null,
  -- null: never.
  expires_at timestamptz,
  -- To the minute; null: never.
  last_used_at timestamptz,
  revoked_at timestamptz
);
create index api_keys_of_owner on mailer.api_keys (owner_id, created_at desc, id desc);
create index api_keys_newest on mailer.api_keys (created_at desc, id desc);

-- Ids of keys of JWKS_URL; a dropped one stays dropped, whatever the key set says.
create table mailer.dropped_signing_keys (
  kid text primary key,
  dropped_at timestamptz not null,
  dropped_by text not null
);

create policy own_rows on mailer.api_keys to mailer_owner
  using (owner_id = (select mailer.claim_sub()))
  with check (owner_id = (select mailer.claim_sub()));

do $$
declare
  v_table text;
begin
  foreach v_table in array array['api_keys', 'dropped_signing_keys'] loop
    execute format('alter table mailer.%I enable row level security', v_table);
    execute format('alter table mailer.%I force row level security', v_table);
    execute format('revoke all on mailer.%I from public', v_table);
    execute format('create policy service_rows on mailer.%I to mailer_service
      using (true) with check (true)', v_table);
  end loop;
end
$$;

-- Nothing that a key can do is ever changed: only that it ends, and when it was used.
grant select, insert, update (revoked_at) on mailer.api_keys to mailer_owner;
grant select, insert, update (revoked_at, last_used_at) on mailer.api_keys to mailer_service;
grant select, insert on mailer.dropped_signing_keys to mailer_service;

create function mailer.api_key_json(k mailer.api_keys) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', k.id, 'owner_id', k.owner_id, 'name', k.name,
    'prefix', k.prefix, 'scopes', k.scopes, 'created_at', k.created_at,
    'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at)
$$;

-- create_api_key: args { id, name, prefix, hash (hex), scopes: [], expires_at | null, origin };
-- answer { kind: "created", key } | { kind: "too_many" } | { kind: "expired" } (expires_at is past).
-- Guarantees: it belongs to the sub of the claims; only an admin makes one that is an admin's;
-- an owner has at most 100 that count.
create function mailer.create_api_key(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_owner text := mailer.claim_sub();
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_scopes text[] := array(select jsonb_array_elements_text(v_args -> 'scopes'));
  v_key mailer.api_keys;
begin
  if 'admin' = any (v_scopes) and mailer.claim_role() <> 'admin' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'Only an admin may make a key with the scope admin.';
  end if;
  if (v_args ->> 'expires_at')::timestamptz <= v_now then
    return '{"kind":"expired"}';
  end if;
  -- One at a time for each owner, so that the count below holds.
  perform pg_advisory_xact_lock(hashtextextended(v_owner, 7382640002));
  if (select count(*) from mailer.api_keys k where k.owner_id = v_owner
    and k.revoked_at is null and (k.expires_at is null or k.expires_at > v_now)) >= 100 then
    return '{"kind":"too_many"}';
  end if;
  insert into mailer.api_keys (id, owner_id, name, prefix, hash, scopes, created_at, expires_at)
  values ((v_args ->> 'id')::uuid, v_owner, v_args ->> 'name', v_args ->> 'prefix',
    decode(v_args ->> 'hash', 'hex'), v_scopes, v_now, (v_args ->> 'expires_at')::timestamptz)
  returning * into v_key;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values (v_owner, v_owner, v_args ->> 'origin', 'key.created', jsonb_build_object(
    'key_id', v_key.id, 'name', v_key.name, 'scopes', v_key.scopes,
    'expires_at', v_key.expires_at));
  return jsonb_build_object('kind', 'created', 'key', mailer.api_key_json(v_key))::text;
end
$$;

-- list_api_keys: newest first by creation, revoked ones too.
-- args { id | null, limit, offset | null, cursor: { created_at, id } | null };
-- answer { keys: [], total | null, next: { created_at, id } | null } (total only with offset;
-- created_at of a cursor is text with microseconds). Never a hash.
create function mailer.list_api_keys(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_sub text := case when mailer.claim_role() <> 'admin' then mailer.claim_sub() end;
  v_id uuid := (v_args ->> 'id')::uuid;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_from jsonb := nullif(v_args -> 'cursor', 'null');
  v_keys mailer.api_keys[];
  v_last mailer.api_keys;
  v_has_more boolean;
begin
  -- One more than asked for tells whether there is a next page.
  v_keys := array(
    select k from mailer.api_keys k
    where (v_sub is null or k.owner_id = v_sub) and (v_id is null or k.id = v_id)
      and (v_from is null or (k.created_at, k.id)
        < ((v_from ->> 'created_at')::timestamptz, (v_from ->> 'id')::uuid))
    order by k.created_at desc, k.id desc
    limit v_limit + 1 offset coalesce((v_args ->> 'offset')::integer, 0));
  v_has_more := coalesce(array_length(v_keys, 1), 0) > v_limit;
  v_keys := v_keys[1:v_limit];
  v_last := v_keys[array_length(v_keys, 1)];
  return jsonb_build_object(
    'keys', (select coalesce(jsonb_agg(mailer.api_key_json(q.key) order by n), '[]')
      from generate_subscripts(v_keys, 1) n cross join lateral (select v_keys[n] as key) q),
    'total', case when v_args ->> 'offset' is not null then (
      select count(*) from mailer.api_keys k where v_sub is null or k.owner_id = v_sub) end,
    'next', case when v_has_more then jsonb_build_object(
      'created_at', v_last.created_at::text, 'id', v_last.id) end)::text;
end
$$;

-- revoke_api_key: args { id, origin }; answer { kind: "revoked", key } | { kind: "not_found" }.
-- Revoking a revoked one changes nothing and leaves no entry.
create function mailer.revoke_api_key(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_key mailer.api_keys;
begin
  select * into v_key from mailer.api_keys k where k.id = (v_args ->> 'id')::uuid for update;
  if v_key.id is null or not mailer.may_see(v_key.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_key.revoked_at is null then
    update mailer.api_keys k set revoked_at = date_trunc('milliseconds', clock_timestamp())
    where k.id = v_key.id returning * into v_key;
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, origin, action, detail)
    values (v_key.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'key.revoked',
      jsonb_build_object('key_id', v_key.id, 'name', v_key.name));
  end if;
  return jsonb_build_object('kind', 'revoked', 'key', mailer.api_key_json(v_key))::text;
end
$$;

-- find_api_key: args { prefix, hash (hex) };
-- answer { kind: "found", key } | { kind: "unknown" | "revoked" | "expired" }.
-- The hashes are of 190 random bits, so it tells nobody anything how long comparing them takes.
create function mailer.find_api_key(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_key mailer.api_keys;
begin
  select * into v_key from mailer.api_keys k
  where k.prefix = v_args ->> 'prefix' and k.hash = decode(v_args ->> 'hash', 'hex');
  return case
    when v_key.id is null then '{"kind":"unknown"}'
    when v_key.revoked_at is not null then '{"kind":"revoked"}'
    when v_key.expires_at <= clock_timestamp() then '{"kind":"expired"}'
    else jsonb_build_object('kind', 'found', 'key', mailer.api_key_json(v_key))::text
  end;
end
$$;

-- note_api_key_use: args { ids: [] }; answer {}. Writes at most once a minute for each key,
-- however many processes ask.
create function mailer.note_api_key_use(args text) returns text
language plpgsql
as $$
begin
  update mailer.api_keys k set last_used_at = date_trunc('minute', clock_timestamp())
  where k.id in (select value::uuid from jsonb_array_elements_text(args::jsonb -> 'ids'))
    and (k.last_used_at is null
      or k.last_used_at < date_trunc('minute', clock_timestamp()));
  return '{}';
end
$$;

-- drop_signing_key: args { kid, origin }; answer {}. Once and for good; again is no change.
create function mailer.drop_signing_key(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
begin
  insert into mailer.dropped_signing_keys (kid, dropped_at, dropped_by)
  values (v_args ->> 'kid', date_trunc('milliseconds', clock_timestamp()), mailer.claim_sub())
  on conflict (kid) do nothing;
  if not found then
    return '{}';
  end if;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values (mailer.claim_sub(), mailer.claim_sub(), v_args ->> 'origin', 'signing_key.dropped',
    jsonb_build_object('kid', v_args ->> 'kid'));
  return '{}';
end
$$;

-- dropped_signing_keys: args {}; answer [{ kid, dropped_at }].
create function mailer.dropped_signing_keys(args text) returns text
language sql stable
as $$
  select coalesce(json_agg(json_build_object('kid', d.kid, 'dropped_at', d.dropped_at)
    order by d.kid), '[]')::text
  from mailer.dropped_signing_keys d
$$;

revoke execute on function mailer.api_key_json(mailer.api_keys), mailer.create_api_key(text),
  mailer.list_api_keys(text), mailer.revoke_api_key(text), mailer.find_api_key(text),
  mailer.note_api_key_use(text), mailer.drop_signing_key(text),
  mailer.dropped_signing_keys(text) from public;
grant execute on function mailer.api_key_json(mailer.api_keys), mailer.create_api_key(text),
  mailer.list_api_keys(text), mailer.revoke_api_key(text), mailer.find_api_key(text),
  mailer.note_api_key_use(text), mailer.drop_signing_key(text),
  mailer.dropped_signing_keys(text) to mailer_service;
grant execute on function mailer.api_key_json(mailer.api_keys), mailer.create_api_key(text),
  mailer.list_api_keys(text), mailer.revoke_api_key(text) to mailer_owner;

insert into mailer.functions (name, roles) values
  ('create_api_key', array['user', 'admin']),
  ('list_api_keys', array['user', 'admin']),
  ('revoke_api_key', array['user', 'admin']),
  ('find_api_key', array['service']),
  ('note_api_key_use', array['service']),
  ('drop_signing_key', array['admin']),
  ('dropped_signing_keys', array['service', 'admin']);
