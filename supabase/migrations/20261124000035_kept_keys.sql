-- An Idempotency-Key is kept until a day after the last email that it made has ended, and not for
-- a day after the request: who repeats a request for an email of next year makes no second one.

alter table mailer.idempotency_keys
  -- What the request made; null: nothing, or it was stored by an earlier release.
  add column email_ids uuid[],
  -- Not before then it is looked at again; null: a day after it was made.
  add column kept_until timestamptz;

-- Of keys that were never looked at, and of those that were: each is found by its own time.
create index idempotency_keys_new on mailer.idempotency_keys (created_at) where kept_until is null;
create index idempotency_keys_kept on mailer.idempotency_keys (kept_until)
  where kept_until is not null;
drop index mailer.idempotency_keys_age;

-- key_kept_until: how long a key is kept at least: a day after it was made and after the last of its
-- emails ended; while one has not ended, a day from now.
create function mailer.key_kept_until(k mailer.idempotency_keys, now_at timestamptz)
returns timestamptz
language sql stable set search_path = ''
return (
  select greatest(k.created_at, max(case
      when e.state in ('pending', 'sending', 'held') then now_at
      else (select max(j.at) from mailer.journal j where j.email_id = e.id)
    end)) + interval '24 hours'
  from unnest(k.email_ids) i (id) join mailer.emails e on e.id = i.id);

-- find_idempotent: as 20261124000003_accept.sql says, for as long as the key is kept.
create or replace function mailer.find_idempotent(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_key mailer.idempotency_keys;
begin
  select * into v_key from mailer.idempotency_keys k
  where k.owner_id = v_args ->> 'owner_id' and k.path = v_args ->> 'path'
    and k.key = v_args ->> 'key'
    and (k.created_at > now() - interval '24 hours' or k.kept_until > now()
      or mailer.key_kept_until(k, now()) > now());
  return case
    when v_key.key is null then jsonb_build_object('kind', 'new')
    when v_key.fingerprint = v_args ->> 'fingerprint' then jsonb_build_object(
      'kind', 'replayed', 'response', v_key.response, 'created_at', v_key.created_at)
    else jsonb_build_object('kind', 'reused')
  end::text;
end
$$;

-- forget_idempotent: looks at up to 5,000 keys whose time has come, longest first, and drops those
-- that need not be kept; how many it looked at. Fewer than 5,000: there are no more for now.
create or replace function mailer.forget_idempotent(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  c_batch constant integer := 5000;
  v_now timestamptz := clock_timestamp();
  v_count integer;
begin
  with new as materialized (
    select k as key from mailer.idempotency_keys k
    where k.kept_until is null and k.created_at <= v_now - interval '25 hours'
    order by k.created_at limit c_batch / 2 for update skip locked
  ),
  again as materialized (
    select k as key from mailer.idempotency_keys k
    where k.kept_until <= v_now
    order by k.kept_until limit c_batch / 2 for update skip locked
  ),
  old as (select key from new union all select key from again),
  judged as materialized (
    select (o.key).owner_id, (o.key).path, (o.key).key,
      mailer.key_kept_until(o.key, v_now) as until
    from old o
  ),
  kept as (
    update mailer.idempotency_keys k set kept_until = j.until
    from judged j
    where j.until > v_now and k.owner_id = j.owner_id and k.path = j.path and k.key = j.key
  ),
  dropped as (
    delete from mailer.idempotency_keys k using judged j
    where coalesce(j.until, v_now) <= v_now
      and k.owner_id = j.owner_id and k.path = j.path and k.key = j.key
  )
  select count(*) into v_count from judged;
  return v_count::text;
end
$$;

-- A key that forget_idempotent has not reached yet and that need not be kept must not answer.
create or replace function mailer.drop_expired_key() returns trigger
language plpgsql set search_path = ''
as $$
begin
  delete from mailer.idempotency_keys k
  where k.owner_id = new.owner_id and k.path = new.path and k.key = new.key
    and k.created_at <= new.created_at - interval '24 hours'
    and coalesce(k.kept_until, '-infinity') <= new.created_at
    and coalesce(mailer.key_kept_until(k, new.created_at), '-infinity') <= new.created_at;
  return new;
end
$$;

-- refuse_requests: as 20261124000027_accept_and_claim.sql says; a key remembers what it made.
create or replace function mailer.refuse_requests(requests json, now_at timestamptz) returns jsonb
language plpgsql set search_path = '' set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_over jsonb := mailer.over_quota(requests, now_at);
  v_taken bigint[];
begin
  with request as materialized (
    select r ->> 'owner_id' as owner_id, r -> 'idempotency' ->> 'path' as path,
      r -> 'idempotency' ->> 'key' as key, r -> 'idempotency' as idempotency,
      r -> 'emails' as emails, n
    from json_array_elements(requests) with ordinality as q (r, n)
  ),
  first as materialized (
    select distinct on (owner_id, path, key) * from request
    where key is not null and not v_over ? n::text
    order by owner_id, path, key, n
  ),
  new_key as (
    insert into mailer.idempotency_keys (owner_id, path, key, created_at, fingerprint, response,
      email_ids)
    select owner_id, path, key, now_at, idempotency ->> 'fingerprint',
      idempotency ->> 'response',
      array(select (e ->> 'id')::uuid from json_array_elements(emails) e)
    from first
    order by owner_id, path, key
    on conflict do nothing
    returning owner_id, path, key
  )
  select array(select f.n from first f join new_key k using (owner_id, path, key))
    || array(select n from request where key is null)
  into v_taken;

  -- A statement of its own: it sees the keys that were just taken.
  return v_over || coalesce((
    select jsonb_object_agg(n, case when k.fingerprint = r -> 'idempotency' ->> 'fingerprint'
      then jsonb_build_object('kind', 'replayed', 'response', k.response,
        'created_at', k.created_at)
      else jsonb_build_object('kind', 'reused') end)
    from json_array_elements(requests) with ordinality as q (r, n)
    join mailer.idempotency_keys k on k.owner_id = r ->> 'owner_id'
      and k.path = r -> 'idempotency' ->> 'path' and k.key = r -> 'idempotency' ->> 'key'
    where not n = any (v_taken) and not v_over ? n::text
  ), '{}');
end
$$;

revoke execute on function mailer.key_kept_until(mailer.idempotency_keys, timestamptz) from public;
grant execute on function mailer.key_kept_until(mailer.idempotency_keys, timestamptz)
  to mailer_service;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000035"}';
