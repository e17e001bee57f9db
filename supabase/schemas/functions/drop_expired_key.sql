-- drop_expired_key: a key that forget_idempotent has not reached yet and that need not be kept
-- must not answer.
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
