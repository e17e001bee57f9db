-- chain_link: the chain of an owner's entries: hash = sha256(hash of the one before || canonical).
-- Before the first one come 32 zero bytes. As a window aggregate: chain(head, canonical), where
-- head is the hash before the first row.
create or replace function mailer.chain_link(hash bytea, head bytea, canonical bytea) returns bytea
language sql immutable
as $$ select sha256(coalesce(hash, head) || canonical) $$;
