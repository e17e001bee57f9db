-- reserve_slots: moments at which a message may be handed to the next hop.
--
-- args { transport, rate_per_second, count, holder, shared_rate_per_second }; answer { wait_ms: [one per slot, from now], shared }.
--
-- Guarantees: of all slots ever given out for a transport no two are closer than
-- 1 / rate_per_second by the database's clock (1 / shared_rate_per_second while shared), so that
-- a pause is never made up for by a burst. A slot that is not used is lost. It is shared for a
-- minute after a slot was given to another than the last one. Slots more than an hour ahead are
-- those of a clock that was set back meanwhile (nobody reserves so far ahead) and are forgotten.
create or replace function mailer.reserve_slots(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_name text := v_args ->> 'transport';
  v_count integer := (v_args ->> 'count')::integer;
  v_holder text := v_args ->> 'holder';
  v_now timestamptz;
  v_is_shared boolean;
  v_gap interval;
  v_end timestamptz;
begin
  insert into mailer.transports (name, next_slot_at, holder)
  values (v_name, clock_timestamp(), v_holder)
  on conflict (name) do nothing;
  perform 1 from mailer.transports where name = v_name for update;
  -- Its clock is read once the row is ours: a wait for the lock is no reason for two slots
  -- to meet.
  v_now := clock_timestamp();
  update mailer.transports t set
    holder = v_holder,
    shared_until = case when t.holder <> v_holder then v_now + interval '1 minute'
      else least(t.shared_until, v_now + interval '1 minute') end
  where name = v_name
  returning t.shared_until > v_now into v_is_shared;
  -- Rounded up to the microsecond, the finest a timestamp knows.
  v_gap := ceil(1000000 / (case when v_is_shared
      then v_args ->> 'shared_rate_per_second'
      else v_args ->> 'rate_per_second' end)::numeric) * interval '1 microsecond';
  update mailer.transports t set next_slot_at = v_count * v_gap + case
      when t.next_slot_at > v_now + interval '1 hour' then v_now
      else greatest(t.next_slot_at, v_now)
    end
  where name = v_name
  returning t.next_slot_at into v_end;
  return jsonb_build_object('shared', v_is_shared, 'wait_ms', (
    select jsonb_agg(greatest(0, ceil(extract(epoch from
      v_end - v_gap * (v_count - i) - v_now) * 1000)) order by i)
    from generate_series(0, v_count - 1) i))::text;
end
$$;

call mailer.offer('reserve_slots', 'worker');
