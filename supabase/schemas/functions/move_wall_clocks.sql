-- move_wall_clocks: what local times mean by other zone data; emails whose instant that changes are
-- rescheduled.
--
-- args { zone_data: its version, emails: [{ id, version (as it was read),
--        wall_clock | null (null: by this zone data its owner's rule refuses the local time) }] }
-- answer { seen: how many were as they were read, moved: [id],
--   kept: [id] (they should move and must not: refused, or due after their fixed end) }
--
-- Guarantees: compare-and-set on the version; a move raises it, which revokes a claim that is not
-- fenced, and is journalled as email.rescheduled with its reason; nothing moves whose time has come,
-- or that somebody has given another time since.
create or replace function mailer.move_wall_clocks(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_zone_data text := v_args ->> 'zone_data';
  v_seen bigint;
  v_moved jsonb;
  v_kept jsonb;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'emails') i))
  order by e.id for update;
  with item as materialized (
    select e.id, i.wall_clock, e.scheduled_at as was, d.due,
      e.scheduled_at > clock_timestamp() and e.next_attempt_at = e.scheduled_at
        and (e.wall_clock ->> 'scheduled_at')::timestamptz = e.scheduled_at
        and d.due is distinct from e.scheduled_at as is_off,
      d.due is not null and (e.max_lateness_seconds is not null or e.expires_at is null
        or e.expires_at > d.due) as may_move
    from jsonb_to_recordset(v_args -> 'emails') as i (id uuid, version integer, wall_clock jsonb)
    cross join lateral (select (i.wall_clock ->> 'scheduled_at')::timestamptz as due) d
    join mailer.emails e on e.id = i.id
    where e.version = i.version
      and (e.state in ('pending', 'held') or (e.state = 'sending' and e.fenced_at is null))
  ),
  moved as (
    update mailer.emails e set version = e.version + 1, sequence = e.sequence + 1,
      wall_clock = i.wall_clock, scheduled_at = i.due, next_attempt_at = i.due, age_from = i.due,
      expires_at = coalesce(mailer.expiry_of(i.due, e.max_lateness_seconds), e.expires_at)
    from item i where e.id = i.id and i.is_off and i.may_move
    returning e.id, e.owner_id, e.sequence, e.version, e.state, e.scheduled_at, i.was
  ),
  stamped as (
    update mailer.emails e set wall_clock = case when i.due = e.scheduled_at then i.wall_clock
      else e.wall_clock || jsonb_build_object('zone_data', v_zone_data) end
    from item i where e.id = i.id and not (i.is_off and i.may_move)
  )
  select (select count(*) from item),
    (select coalesce(jsonb_agg(to_jsonb(m) order by m.id), '[]') from moved m),
    (select coalesce(jsonb_agg(i.id order by i.id), '[]') from item i
      where i.is_off and not i.may_move)
  into v_seen, v_moved, v_kept;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), 'email.rescheduled', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer,
    jsonb_build_object('status', r -> 'state', 'reason', 'zone_data', 'zone_data', v_zone_data,
      'fields', '["scheduled_at"]'::jsonb, 'was', r -> 'was', 'scheduled_at', r -> 'scheduled_at',
      'version', r -> 'version')
  from jsonb_array_elements(v_moved) r;
  return jsonb_build_object('seen', v_seen, 'kept', v_kept, 'moved',
    (select coalesce(jsonb_agg(r -> 'id'), '[]') from jsonb_array_elements(v_moved) r))::text;
end
$$;

call mailer.offer('move_wall_clocks', 'reconciler');
