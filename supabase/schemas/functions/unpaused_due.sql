-- unpaused_due: since when the region's email that is due longest, and of no owner whose sending is
-- paused, has been due; null: none is. Looks at the 1,000 that are due longest.
create or replace function mailer.unpaused_due(p_region text) returns timestamptz
language sql stable set search_path = ''
as $$
  select min(q.next_attempt_at) from (
    select e.owner_id, e.next_attempt_at from mailer.emails e
    where e.region = p_region and e.state = 'pending' and e.next_attempt_at <= now()
    order by e.next_attempt_at limit 1000) q
  where not exists (select from mailer.pauses p where p.kind = 'owner' and p.name = q.owner_id)
$$;
