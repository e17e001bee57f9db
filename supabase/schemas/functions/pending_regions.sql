-- pending_regions: the regions that have emails waiting, anybody's. An entry of an index for each,
-- however many emails; an owner's own rows alone would be looked for in all of it, hence security
-- definer: it tells names of regions and nothing of any email.
create or replace function mailer.pending_regions() returns setof text
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  with recursive regions (region) as (
    (select e.region from mailer.emails e where e.state = 'pending' order by e.region limit 1)
    union all
    select (select e.region from mailer.emails e
      where e.state = 'pending' and e.region > r.region order by e.region limit 1)
    from regions r where r.region is not null
  )
  select r.region from regions r where r.region is not null
$$;

-- It acts as mailer_service, who may not make anything but in this moment.
grant create on schema mailer to mailer_service;
alter function mailer.pending_regions() owner to mailer_service;
revoke create on schema mailer from mailer_service;
revoke execute on function mailer.pending_regions() from public;
grant execute on function mailer.pending_regions() to mailer_owner, mailer_service;
