-- chain: the hash of each entry of an owner, from the hash before it, as a window function.
create or replace aggregate mailer.chain(head bytea, canonical bytea) (
  sfunc = mailer.chain_link, stype = bytea
);
