-- refuse_requests: which requests store nothing, as { <place from 1>: answer }; the keys of the
-- others are taken, and remember what their requests made.
--
-- requests: [{ owner_id, idempotency: { path, key, fingerprint, response } | null,
--   quota: { per_day | null, pending | null } | null, emails: [{ id }] }]
-- answers: { kind: "replayed", response, created_at } | { kind: "reused" }
--   | { kind: "quota_exceeded", quota: per_day | pending, used, resets_in_seconds | null }
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
