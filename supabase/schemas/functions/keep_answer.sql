-- keep_answer: the answer of a request that stores no emails, beside its Idempotency-Key.
-- args { owner_id, path, key, fingerprint, response, replaces | absent }; answer true, or false when
-- the key is known already, with another response than `replaces`.
create or replace function mailer.keep_answer(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  insert into mailer.idempotency_keys (owner_id, path, key, created_at, fingerprint, response)
  values (v_args ->> 'owner_id', v_args ->> 'path', v_args ->> 'key', clock_timestamp(),
    v_args ->> 'fingerprint', v_args ->> 'response')
  on conflict (owner_id, path, key) do update set response = excluded.response
    where idempotency_keys.response = v_args ->> 'replaces'
      and idempotency_keys.fingerprint = excluded.fingerprint;
  return found::text;
end
$$;

call mailer.offer('keep_answer', 'accept');
