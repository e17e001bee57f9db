-- claim_role: the role of the transaction's claims. Never null, which would be neither a role that
-- sees all nor one that does not.
create or replace function mailer.claim_role() returns text
language sql stable
return coalesce(nullif(current_setting('request.jwt.claims', true), '')::json ->> 'role', '');

grant execute on function mailer.claim_role() to mailer_owner;
