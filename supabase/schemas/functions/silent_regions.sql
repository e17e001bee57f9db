-- silent_regions: regions with pending emails in which nothing has sent for silent_ms, or that
-- nobody ever heard of. Hops from region to region on the index, whatever number of emails there
-- is.
create or replace function mailer.silent_regions(silent_ms bigint) returns setof text
language sql stable
as $$
  with recursive named as (
    (select e.region from mailer.emails e where e.state = 'pending' order by e.region limit 1)
    union all
    select (select e.region from mailer.emails e
      where e.state = 'pending' and e.region > n.region order by e.region limit 1)
    from named n where n.region is not null
  )
  select n.region from named n left join mailer.regions r on r.name = n.region
  where n.region is not null
    and (r.name is null or r.beat_at < clock_timestamp() - silent_ms * interval '1 ms')
$$;
