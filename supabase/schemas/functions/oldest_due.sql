-- oldest_due: since when the email that is due longest has been due by its own time; null: none is.
-- of_region null: in all of them. An entry of an index for each region, however many emails.
create or replace function mailer.oldest_due(of_region text) returns timestamptz
language sql stable
set search_path = ''
as $$
  with recursive waiting (region) as (
    select of_region where of_region is not null
    union all
    select p.name from mailer.pending_regions() p (name) where of_region is null
  ),
  returned as (
    (select e.region from mailer.emails e
      where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
        and e.region >= coalesce(of_region, '')
      order by e.region limit 1)
    union all
    select (select e.region from mailer.emails e
      where e.state in ('pending', 'sending') and e.next_attempt_at = e.returned_until
        and e.region > n.region order by e.region limit 1)
    from returned n where n.region is not null and of_region is null
  )
  select min(d.since) from (
    select (select e.next_attempt_at from mailer.emails e
      where e.region = n.region and e.state = 'pending' and e.next_attempt_at <= now()
      order by e.next_attempt_at limit 1) as since
    from waiting n
    union all
    select (select e.due_since from mailer.emails e
      where e.region = n.region and e.state in ('pending', 'sending')
        and e.next_attempt_at = e.returned_until
      order by e.due_since limit 1)
    from returned n where n.region = coalesce(of_region, n.region)) d
$$;
