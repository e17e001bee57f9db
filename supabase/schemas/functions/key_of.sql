-- key_of: id of the ring's key that made a ciphertext.
create or replace function mailer.key_of(ciphertext text) returns text
language sql immutable
as $$ select split_part(ciphertext, '.', 2) $$;

revoke execute on function mailer.key_of(text) from public;
grant execute on function mailer.key_of(text) to mailer_service;
