-- A transport's limit of messages a second holds over all processes and regions that share
-- this database: every message takes a slot first, and slots are spaced here.

create table mailer.transports (
  -- Host and port, and a hash of the user: no address, no secret.
  name text primary key,
  -- The first moment that nobody has reserved yet.
  next_slot_at timestamptz not null
);

alter table mailer.transports enable row level security;
alter table mailer.transports force row level security;
revoke all on mailer.transports from public;
create policy service_rows on mailer.transports to mailer_service
  using (true) with check (true);
grant select, insert, update on mailer.transports to mailer_service;

-- reserve_slots: moments at which a message may be handed to the next hop.
--
-- args { transport, rate_per_second, count }; answer { wait_ms: [one per slot, from now] }.
--
-- Guarantees: of all slots ever given out for a transport no two are closer than
-- 1 / rate_per_second by the database's clock, so that a pause is never made up for by a
-- burst. A slot that is not used is lost. Slots more than an hour ahead are those of a clock
-- that was set back meanwhile (nobody reserves so far ahead) and are forgotten.
create function mailer.reserve_slots(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_count integer := (v_args ->> 'count')::integer;
  -- Rounded up to the microsecond, the finest a timestamp knows.
  v_gap interval := ceil(1000000 / (v_args ->> 'rate_per_second')::numeric)
    * interval '1 microsecond';
  v_end timestamptz;
  v_now timestamptz;
begin
  -- Its clock is read once the row is ours: a wait for the lock is no reason for two slots
  -- to meet.
  insert into mailer.transports as t (name, next_slot_at)
  values (v_args ->> 'transport', clock_timestamp() + v_count * v_gap)
  on conflict (name) do update set next_slot_at = v_count * v_gap + case
      when t.next_slot_at > clock_timestamp() + interval '1 hour' then clock_timestamp()
      else greatest(t.next_slot_at, clock_timestamp())
    end
  returning t.next_slot_at into v_end;
  v_now := clock_timestamp();
  return jsonb_build_object('wait_ms', (
    select jsonb_agg(greatest(0, ceil(extract(epoch from
      v_end - v_gap * (v_count - i) - v_now) * 1000)) order by i)
    from generate_series(0, v_count - 1) i))::text;
end
$$;

revoke execute on function mailer.reserve_slots(text) from public;
grant execute on function mailer.reserve_slots(text) to mailer_service;

insert into mailer.functions (name, roles) values ('reserve_slots', array['service']);
