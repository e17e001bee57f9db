-- check_key: whether a process may work with its encryption key.
-- args { fingerprint, old: [fingerprints of the keys it can also read with], key_id,
--        worker_id | null }; answer { matches }.
-- The database keeps the fingerprint of the key that was used last. Another one matches, and is
-- kept from now on, when the process can also read with the one kept.
create or replace function mailer.check_key(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_fingerprint text := v_args ->> 'fingerprint';
  v_kept text;
begin
  insert into mailer.settings (name, value) values ('encryption_key', v_fingerprint)
  on conflict (name) do nothing;
  select s.value into v_kept from mailer.settings s where s.name = 'encryption_key';
  if v_kept <> v_fingerprint then
    select s.value into v_kept from mailer.settings s where s.name = 'encryption_key' for update;
  end if;
  if v_kept <> v_fingerprint and not coalesce(v_args -> 'old' ? v_kept, false) then
    return '{"matches": false}';
  end if;
  update mailer.workers w set key_id = v_args ->> 'key_id'
  where w.id = (v_args ->> 'worker_id')::uuid;
  if v_kept = v_fingerprint then
    return '{"matches": true}';
  end if;
  update mailer.settings s set value = v_fingerprint where s.name = 'encryption_key';
  perform mailer.write_entry(mailer.claim_sub(), 'encryption.key_replaced',
    jsonb_build_object('key_id', v_args -> 'key_id'));
  return '{"matches": true}';
end
$$;

call mailer.offer('check_key', 'reconciler', 'keys');
