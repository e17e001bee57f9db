-- restored_due: up to p_limit emails of each region that a restored or copied database may send again:
-- pending, made before it was (p_knows_until), and due by p_until, the earliest first. So are those
-- after an attempt of which nobody knows the end, up to the longest delay of a retry: it was under way
-- when the dump was made.
create or replace function mailer.restored_due(p_knows_until timestamptz, p_until timestamptz,
  p_limit integer) returns table (id uuid, next_attempt_at timestamptz)
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  c_retry_max constant interval := '5 hours';
begin
  return query select d.id, d.next_attempt_at
  from mailer.regions r cross join lateral (
    select e.id, e.next_attempt_at from mailer.emails e
    where e.region = r.name and e.state = 'pending' and e.next_attempt_at <= p_until + c_retry_max
      and (e.next_attempt_at <= p_until or e.message_date is not null)
      and e.created_at <= p_knows_until
    order by e.next_attempt_at limit p_limit) d;
end
$$;
