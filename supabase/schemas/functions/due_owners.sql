-- due_owners: the owners in whose turn emails of a region are claimed, each once.
--
-- args   p_region; p_until: due by then; p_limit: size of the batch; p_after: owner after which the
--        walk goes on, '' from the start
-- answer owners, those whose emails are due longest first; is_all: nobody else has anything due;
--        next_after: for the next call's p_after
--
-- Guarantees: reads at most 3 * p_limit rows of emails_due and 200 places of
-- emails_due_of_owner, whatever the backlog. An owner hidden behind floods is found by the walk
-- within (owners / 200) calls; measured: 30 us a place, so the walk is the guarantee, not the means.
create or replace function mailer.due_owners(p_region text, p_until timestamptz, p_limit integer,
  p_after text, out owners text[], out is_all boolean, out next_after text)
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_sort = on
as $$
declare
  c_visits_max constant integer := 200;
  v_scan constant integer := 2 * p_limit;
  v_seen integer;
  v_newest text[];
  v_walked text[];
  v_visited integer;
  v_due integer;
begin
  next_after := '';
  select array_agg(s.owner_id order by s.first_at), coalesce(sum(s.count), 0)
  into owners, v_seen
  from (
    select d.owner_id, min(d.next_attempt_at) as first_at, count(*) as count
    from (select e.owner_id, e.next_attempt_at from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.next_attempt_at <= p_until
      order by e.next_attempt_at limit v_scan) d
    group by d.owner_id) s;
  is_all := v_seen < v_scan;
  if is_all then
    owners := coalesce(owners, '{}');
    return;
  end if;

  -- A flood is older than what becomes due behind it: the newest show who came since.
  v_newest := array(
    select distinct d.owner_id
    from (select e.owner_id from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.next_attempt_at <= p_until
      order by e.next_attempt_at desc limit p_limit) d
    where d.owner_id <> all (owners));
  with recursive walk (owner_id, is_due, visited, due) as (
    (select e.owner_id, e.next_attempt_at <= p_until, 1, (e.next_attempt_at <= p_until)::integer
      from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.crashes < 2
        and e.owner_id > p_after
      order by e.owner_id, e.next_attempt_at limit 1)
    union all
    select n.owner_id, n.is_due, w.visited + 1, w.due + n.is_due::integer
    from walk w cross join lateral (
      select e.owner_id, e.next_attempt_at <= p_until as is_due
      from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.crashes < 2
        and e.owner_id > w.owner_id
      order by e.owner_id, e.next_attempt_at limit 1) n
    where w.visited < c_visits_max and w.due < p_limit
  )
  select array_agg(w.owner_id) filter (where w.is_due and w.owner_id <> all (owners || v_newest)),
    count(*), coalesce(max(w.due), 0), coalesce(max(w.owner_id), '')
  into v_walked, v_visited, v_due, next_after
  from walk w;
  if v_visited < c_visits_max and v_due < p_limit then
    next_after := '';
  end if;
  owners := owners || v_newest || coalesce(v_walked, '{}');
end
$$;
