-- is_paused: whether emails of this owner in this region are not to be sent now.
create or replace function mailer.is_paused(p_region text, p_owner text) returns boolean
language sql stable set search_path = ''
return exists (select from mailer.pauses p
  where (p.kind = 'region' and p.name = p_region) or (p.kind = 'owner' and p.name = p_owner)
    or p.kind = 'database');
