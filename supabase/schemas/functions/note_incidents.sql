-- note_incidents: journals what has gone wrong in the installation since the last call, by whichever
-- process, and what is well again: a region silent and back; the journal, webhooks, or a region's
-- sending behind and caught up. Transports: report_state.
-- args { silent_ms, may_judge_regions: false: the caller has not been heard for long enough that every
--   other region that lives has been heard as well }; answer {}.
-- Guarantees: one call at a time looks; another one that comes meanwhile does nothing.
create or replace function mailer.note_incidents(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  -- Behind from the first on, caught up below the second, so that neither is said again and again.
  c_journal_ms constant bigint := 10000;
  c_late_ms constant bigint := 60000;
  c_caught_up_ms constant bigint := 2000;
  v_silent_ms bigint := (v_args ->> 'silent_ms')::bigint;
  v_now timestamptz := clock_timestamp();
  v_region record;
  v_ms bigint;
begin
  if not pg_try_advisory_xact_lock(7382640005) then
    return '{}';
  end if;

  for v_region in select name, (select mailer.ms_until(v_now, r.beat_at) from mailer.regions r
      where r.name = d.name) as silent_for_ms
    from mailer.dead_regions(v_silent_ms) as d (name)
    where (v_args ->> 'may_judge_regions')::boolean order by name
  loop
    perform mailer.begin_incident('region', v_region.name, '', 'silent', jsonb_build_object(
      'region', v_region.name, 'silent_for_ms', v_region.silent_for_ms));
  end loop;
  for v_region in select i.region as name from mailer.incidents i
    join mailer.regions r on r.name = i.region
    where i.kind = 'region' and r.beat_at >= v_now - v_silent_ms * interval '1 ms' order by 1
  loop
    perform mailer.end_incident('region', v_region.name, '', 'back',
      jsonb_build_object('region', v_region.name));
  end loop;

  v_ms := coalesce(mailer.ms_until(v_now, mailer.oldest_unsealed()), 0);
  perform mailer.note_lag('journal', '', v_ms, c_journal_ms, c_caught_up_ms);
  -- Neither webhooks nor mail leave a database that was restored or copied.
  if exists (select from mailer.pauses p where p.kind = 'database') then
    return '{}';
  end if;
  v_ms := coalesce(mailer.ms_until(v_now, mailer.oldest_undelivered(true)), 0);
  perform mailer.note_lag('webhooks', '', v_ms, c_late_ms, c_caught_up_ms);
  -- Pauses and transports that are down were told already.
  for v_region in select r.name from mailer.regions r
    where not exists (select from mailer.pauses p where p.kind = 'region' and p.name = r.name)
      and not exists (select from mailer.incidents i
        where i.kind = 'transport' and i.region = r.name)
    order by r.name
  loop
    v_ms := coalesce(mailer.ms_until(v_now, mailer.unpaused_due(v_region.name)), 0);
    perform mailer.note_lag('sending', v_region.name, v_ms, c_late_ms, c_caught_up_ms);
  end loop;
  return '{}';
end
$$;

call mailer.offer('note_incidents', 'reconciler');
