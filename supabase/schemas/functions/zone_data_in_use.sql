-- zone_data_in_use: by which versions of the zone data the local times were resolved that emails wait
-- for; "" stands for one that is not known.
-- args {}; answer [version].
-- Guarantees: hops from version to version on the index, however many emails there are.
create or replace function mailer.zone_data_in_use(args text) returns text
language sql stable set search_path = ''
as $$
  with recursive used as (
    (select coalesce(e.wall_clock ->> 'zone_data', '') as version from mailer.emails e
      where e.wall_clock is not null and e.state in ('pending', 'held', 'sending')
      order by coalesce(e.wall_clock ->> 'zone_data', '') limit 1)
    union all
    select (select coalesce(e.wall_clock ->> 'zone_data', '') from mailer.emails e
      where e.wall_clock is not null and e.state in ('pending', 'held', 'sending')
        and coalesce(e.wall_clock ->> 'zone_data', '') > u.version
      order by coalesce(e.wall_clock ->> 'zone_data', '') limit 1)
    from used u where u.version is not null
  )
  select coalesce(json_agg(u.version order by u.version), '[]')::text
  from used u where u.version is not null
$$;

call mailer.offer('zone_data_in_use', 'reconciler');
