-- key_of: id of the ring's key that made a ciphertext.
create or replace function mailer.key_of(ciphertext text) returns text
language sql immutable
as $$ select split_part(ciphertext, '.', 2) $$;
