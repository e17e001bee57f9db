-- may_see: whether the claims may see rows of this owner; without claims nobody may.
--
-- What callers may ask and change runs as mailer_owner for a user, who then sees the rows of the
-- claims' sub only, and as mailer_service for an admin or the program; each function checks the
-- claims itself as well.
create or replace function mailer.may_see(owner_id text) returns boolean
language sql stable
return mailer.claim_role() = 'admin'
  or coalesce(owner_id = mailer.claim_sub(), false);

grant execute on function mailer.may_see(text) to mailer_owner;
