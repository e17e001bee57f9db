-- check_origin: whether this database is still where it was; if not, nothing is sent.
--
-- args { place: mark of the folder it lies in, where a process has a folder; else null }
-- answer { is_new: it was found restored or copied by this call; is_paused: for that reason, now }
--
-- A database that was restored from a dump, copied, or set back to an earlier moment does not know what
-- was sent since: those emails are pending in it, and would be sent again. It is told by
-- - the cluster's system identifier, which another cluster does not have;
-- - the database's oid, which a copy on the same cluster does not have;
-- - the oid of a table, which a dump restored over the same database makes anew;
-- - the place of the folder, for an embedded one;
-- - a timeline that it never had, when no process has beaten for a minute: a failover loses seconds,
--   a recovery to a point in time loses what lies after it.
-- What cannot be read by either look is not compared. A copy that keeps all five (a snapshot of the
-- whole disk) is not told.
--
-- Guarantees: to be called before the first beat of a process, so that the newest beat is the moment
-- that the dump knows up to; of several calls at once one finds it. Processes of the original are told
-- as stopped, since their silence is no crash of theirs. Without emails nothing is paused.
create or replace function mailer.check_origin(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  c_lost_by_failover constant interval := '1 minute';
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_timeline text := mailer.timeline();
  v_here jsonb := jsonb_strip_nulls(jsonb_build_object(
    'system', mailer.system_mark(),
    'database', (select d.oid::text from pg_catalog.pg_database d
      where d.datname = current_database()),
    'table', 'mailer.settings'::regclass::oid::text,
    'place', args::jsonb -> 'place'));
  v_kept jsonb;
  v_knows_until timestamptz;
  v_differs text[];
begin
  insert into mailer.settings (name, value) values ('origin', v_here::text)
  on conflict (name) do nothing;
  if found then
    return '{"is_new":false,"is_paused":false}';
  end if;
  select s.value::jsonb into v_kept from mailer.settings s where s.name = 'origin' for update;
  v_knows_until := least(v_now, greatest((select max(w.beat_at) from mailer.workers w),
    (select j.at from mailer.journal j order by j.id desc limit 1)));
  v_differs := array(select h.key from jsonb_each_text(v_here) h
    where v_kept ? h.key and v_kept ->> h.key <> h.value order by h.key);
  if v_timeline is not null and v_knows_until < v_now - c_lost_by_failover
    and exists (select from mailer.timelines)
    and not exists (select from mailer.timelines t where t.timeline = v_timeline) then
    v_differs := array_append(v_differs, 'timeline');
  end if;
  if v_kept || v_here <> v_kept then
    update mailer.settings s set value = (v_kept || v_here)::text where s.name = 'origin';
  end if;
  if cardinality(v_differs) = 0 or not exists (select from mailer.emails limit 1) then
    return jsonb_build_object('is_new', false, 'is_paused',
      exists (select from mailer.pauses p where p.kind = 'database'))::text;
  end if;

  update mailer.workers w set stopped_at = v_now
  where w.stopped_at is null and w.reaped_at is null;
  -- As in pause_sending.
  perform pg_advisory_xact_lock(7382640006);
  insert into mailer.pauses (kind, name, paused_at, paused_by, reason)
  values ('database', 'restored', v_now, mailer.claim_sub(),
    'this database was restored or copied')
  on conflict do nothing;
  -- A copy of a copy that nobody has decided about: what the first one did not know still counts.
  if found then
    insert into mailer.settings (name, value) values ('restored',
      jsonb_build_object('knows_until', v_knows_until, 'noticed_at', v_now, 'by', v_differs)::text)
    on conflict (name) do update set value = excluded.value;
  end if;
  perform mailer.write_entry(mailer.claim_sub(), 'database.restored',
    jsonb_build_object('knows_until', v_knows_until, 'by', v_differs));
  return '{"is_new":true,"is_paused":true}';
end
$$;

call mailer.offer('check_origin', 'reconciler');
