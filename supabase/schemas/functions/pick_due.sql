-- pick_due: locks the emails of a batch and answers their ids, so that each owner gets an equal
-- part and what one leaves goes to the others.
--
-- args   p_owners: in their order; p_holds: { <owner>: emails the caller holds already };
--        p_per_owner: what an owner may hold in all; p_except: emails that are claimed apart; the
--        rest as in due_owners
--
-- Guarantees: a row is locked within the pick, so two processes never pick the same one; a row
-- locked by somebody else is passed over, never waited for.
create or replace function mailer.pick_due(p_region text, p_until timestamptz, p_owners text[],
  p_limit integer, p_per_owner integer, p_holds jsonb, p_except uuid[]) returns uuid[]
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  -- Places not given out in the first round go to owners with more emails: two rounds fill a batch
  -- but for what others lock meanwhile.
  c_rounds constant integer := 3;
  v_owners text[] := p_owners;
  v_rooms integer[];
  v_picked uuid[] := '{}';
  v_each integer;
begin
  select array_agg(o.owner_id order by held, o.n), array_agg(p_per_owner - held order by held, o.n)
  into v_owners, v_rooms
  from unnest(p_owners) with ordinality as o (owner_id, n)
  cross join lateral (select coalesce((p_holds ->> o.owner_id)::integer, 0) as held) h
  where held < p_per_owner;

  for v_round in 1 .. c_rounds loop
    exit when coalesce(cardinality(v_owners), 0) = 0 or cardinality(v_picked) >= p_limit;
    v_each := ceil((p_limit - cardinality(v_picked))::numeric / cardinality(v_owners));
    with found as materialized (
      select o.n, d.id
      from unnest(v_owners, v_rooms) with ordinality as o (owner_id, room, n)
      cross join lateral (
        select e.id from mailer.emails e
        where e.region = p_region and e.state = 'pending' and e.crashes < 2
          and e.owner_id = o.owner_id and e.next_attempt_at <= p_until
          -- Our own locks are not passed over.
          and e.id <> all (v_picked) and e.id <> all (p_except)
        order by e.next_attempt_at limit least(v_each, o.room)
        for update skip locked) d
      limit p_limit - cardinality(v_picked)
    ),
    counted as (
      select o.n, o.owner_id, o.room - count(f.id) as room, count(f.id) as count
      from unnest(v_owners, v_rooms) with ordinality as o (owner_id, room, n)
      left join found f on f.n = o.n
      group by o.n, o.owner_id, o.room
    )
    select v_picked || array(select f.id from found f),
      array_agg(c.owner_id order by c.n) filter (where c.count >= v_each and c.room > 0),
      array_agg(c.room order by c.n) filter (where c.count >= v_each and c.room > 0)
    into v_picked, v_owners, v_rooms
    from counted c;
  end loop;
  return v_picked;
end
$$;
