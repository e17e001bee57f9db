-- begin_maintenance: takes one part of the periodic work. args { name, every_ms: how long ago it has to
-- have begun; 0: now, unless somebody is at it; lease_ms, holder }; answer { is_granted }.
-- Guarantees: one process in the whole database does it, as long as it renews its lease: granted again
-- to the holder at any time, to another one once the lease has run out.
create or replace function mailer.begin_maintenance(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_holder uuid := (v_args ->> 'holder')::uuid;
  v_lease interval := (v_args ->> 'lease_ms')::bigint * interval '1 ms';
begin
  insert into mailer.maintenance as m (name, started_at, leased_until, holder)
  values (v_args ->> 'name', v_now, v_now + v_lease, v_holder)
  on conflict (name) do update set
    started_at = case when m.ended_at is null and m.holder = v_holder then m.started_at else v_now end,
    ended_at = null, leased_until = v_now + v_lease, holder = v_holder
  where (m.ended_at is null and m.holder = v_holder)
    or (m.leased_until <= v_now
      and m.started_at <= v_now - (v_args ->> 'every_ms')::bigint * interval '1 ms')
    -- A clock that was set back must not stop it for good.
    or m.started_at > v_now + interval '1 minute';
  return jsonb_build_object('is_granted', found)::text;
end
$$;

call mailer.offer('begin_maintenance', 'maintenance');
