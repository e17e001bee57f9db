-- region_status: how a region stands. args { region, dead_after_ms, silent_ms, count_max };
-- answer { oldest_due_ms (from an email's own time), due_unclaimed (counted up to count_max),
--          workers_alive, regions: all that were ever heard of,
--          dead_regions: silent, and with pending emails or heard of within a day,
--          journal_broken_since | null }.
create or replace function mailer.region_status(args text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
begin
  return jsonb_build_object(
    'oldest_due_ms', coalesce(mailer.ms_until(v_now, mailer.oldest_due(v_region)), 0),
    'due_unclaimed', (select count(*) from (select from mailer.emails e
      where e.region = v_region and e.state = 'pending' and e.next_attempt_at <= v_now
      limit (v_args ->> 'count_max')::integer) d),
    'workers_alive', (select count(*) from mailer.workers w
      where w.role <> 'api'
        and mailer.is_living(w, (v_args ->> 'dead_after_ms')::bigint * interval '1 ms')),
    'regions', (select coalesce(jsonb_agg(r.name order by r.name), '[]')
      from mailer.regions r),
    'journal_broken_since', (select i.since from mailer.incidents i
      where i.kind = 'journal' and i.region = '' and i.name = 'chain'),
    'dead_regions', (select coalesce(jsonb_agg(name order by name), '[]')
      from mailer.dead_regions((v_args ->> 'silent_ms')::bigint) as name))::text;
end
$$;

call mailer.offer('region_status', 'reconciler');
