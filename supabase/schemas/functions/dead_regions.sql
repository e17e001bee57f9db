-- dead_regions: regions in which nothing has sent for silent_ms, if they have pending emails or were heard
-- of within a day; and those with pending emails that nobody ever heard of.
create or replace function mailer.dead_regions(silent_ms bigint) returns setof text
language sql stable set search_path = ''
as $$
  select p.name from mailer.pending_regions() p (name) left join mailer.regions r on r.name = p.name
  where r.name is null or r.beat_at < clock_timestamp() - silent_ms * interval '1 ms'
  union
  select r.name from mailer.regions r
  where r.beat_at < clock_timestamp() - silent_ms * interval '1 ms'
    and r.beat_at > clock_timestamp() - interval '1 day'
$$;
