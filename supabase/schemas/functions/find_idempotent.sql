-- find_idempotent: what an earlier request with this key was answered, before anything is
-- composed, for as long as the key is kept (key_kept_until).
-- args: { owner_id, path, key, fingerprint };
-- answer: { kind: "new" } | { kind: "replayed", response, created_at } | { kind: "reused" }.
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

call mailer.offer('find_idempotent', 'accept');
