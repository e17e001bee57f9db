-- dead_regions: regions in which nothing can send for silent_ms, if they have pending emails or were
-- heard of within a day.
create or replace function mailer.dead_regions(silent_ms bigint) returns setof text
language sql stable set search_path = ''
as $$
  select name from mailer.silent_regions(silent_ms) as name
  union
  select r.name from mailer.regions r
  where r.beat_at < clock_timestamp() - silent_ms * interval '1 ms'
    and r.beat_at > clock_timestamp() - interval '1 day'
$$;
