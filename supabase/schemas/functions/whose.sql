-- whose: the owner whose rows a call is about: p_asked where the claims see everybody's, null: all of
-- them; else the claims' own sub, whatever is asked for.
create or replace function mailer.whose(p_asked text) returns text
language sql stable
return case when mailer.claim_role() in ('admin', 'follower', 'maintenance') then p_asked
  else coalesce(mailer.claim_sub(), '') end;

grant execute on function mailer.whose(text) to mailer_owner;
