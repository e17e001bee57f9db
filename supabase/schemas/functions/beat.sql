-- beat: a process says that it lives; keeps its region alive, and hears what the reconciler has
-- to do.
--
-- args { worker_id, region, role, reply_timeout_ms,
--   settling: outcomes that the process knows and could not write yet,
--   begun: ids of emails whose content is decrypted or sent,
--   timeline: under which all that the process sent is written; absent: it has sent nothing yet }
-- answer { now,
--   timeline: of the database; null: it cannot be told,
--   was_reaped: the others thought it dead since its last beat,
--   others: [{ id, region, beats, is_stopped }]: every other process that nobody has found dead
--     yet, for the caller to count its looks }
--
-- A dead process is told by a counter of its beats, and not by comparing clocks: a database clock
-- that was set back kept the dead alive, one set forward took living ones for dead. The observer
-- keeps in its memory how many looks in a row found a process without a new beat; a look that the
-- database did not answer begins the count anew. Five make it dead: it is named to take_over with
-- the beat it was last seen at, and is dead only if that is still its last.
--
-- A region lives by its processes that send: one that only accepts (role api) cannot send what it
-- has.
create or replace function mailer.beat(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  c_gap constant interval := '10 seconds';
  v_now timestamptz := clock_timestamp();
  v_id uuid := (v_args ->> 'worker_id')::uuid;
  v_region text := v_args ->> 'region';
  v_was_reaped boolean;
  v_timeline text := mailer.timeline();
begin
  select w.reaped_at is not null into v_was_reaped from mailer.workers w where w.id = v_id;
  insert into mailer.workers as w (id, region, role, started_at, beat_at, reply_timeout_ms, beats,
    steady_since, settling, timeline)
  values (v_id, v_region, v_args ->> 'role', v_now, v_now,
    (v_args ->> 'reply_timeout_ms')::integer, 1, v_now,
    coalesce((v_args ->> 'settling')::integer, 0), coalesce(v_args ->> 'timeline', v_timeline))
  on conflict (id) do update set beat_at = v_now, beats = w.beats + 1, reaped_at = null,
    stopped_at = null, settling = excluded.settling, timeline = excluded.timeline,
    begun = array(select jsonb_array_elements_text(v_args -> 'begun')::uuid),
    steady_since = case when v_now between w.beat_at and w.beat_at + c_gap
      then coalesce(w.steady_since, v_now) else v_now end;
  if v_timeline is not null
    and not exists (select from mailer.timelines t where t.timeline = v_timeline) then
    insert into mailer.timelines (timeline, since) values (v_timeline,
      case when exists (select from mailer.timelines) then v_now else '-infinity' end)
    on conflict do nothing;
  end if;
  -- What lies ahead was written before the clock was set back: it would keep a dead region alive.
  update mailer.regions r set beat_at = v_now where r.beat_at > v_now + interval '1 second';
  insert into mailer.regions as r (name, beat_at) values (v_region, v_now)
  on conflict (name) do update set beat_at = v_now
    where r.beat_at < v_now - interval '500 ms'
      and v_args ->> 'role' <> 'api';
  return jsonb_build_object('now', v_now, 'timeline', v_timeline, 'was_reaped', coalesce(v_was_reaped, false),
    'others', coalesce((select jsonb_agg(jsonb_build_object('id', w.id, 'region', w.region,
        'beats', w.beats, 'is_stopped', w.stopped_at is not null))
      from mailer.workers w where w.id <> v_id and w.reaped_at is null), '[]'))::text;
end
$$;

call mailer.offer('beat', 'reconciler');
