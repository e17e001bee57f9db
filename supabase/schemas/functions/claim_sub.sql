-- claim_sub: the sub of the transaction's claims, which mailer_api.call_as sets.
--
-- This and the two below are expressions that were read once, when they were made: a search path
-- that somebody sets later changes nothing in them, and the planner still puts them in place. (With
-- a SET clause of its own may_see takes 30 microseconds a row instead of one; measured.)
create or replace function mailer.claim_sub() returns text
language sql stable
return nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub';

grant execute on function mailer.claim_sub() to mailer_owner;
