-- read_events: sealed entries that callers may hear of, in pages.
--
-- args { limit, offset, scan, is_newest_first, types: [actions], tag | null, status | null, and those of
--   journal_where }
-- answer { events: [event_json], skipped, reached, is_at_end }
--   skipped: how many were left out for offset; fewer when scan is at its end before
--   reached: the last position that was looked at; `after` or `before` again (or 0) when none was
--   is_at_end: nothing is left behind it
--
-- Guarantees: whoever goes on from `reached` misses nothing and gets nothing twice; a call looks at
-- no more than `scan` entries of its owner, whatever the filter. Tags and metadata are those of the
-- email now.
create or replace function mailer.read_events(args text) returns text
language plpgsql stable set search_path = '' set jit = off
as $$
declare
  v_args jsonb := args;
  v_order text := case when (v_args ->> 'is_newest_first')::boolean then 'desc' else 'asc' end;
  v_types text[] := array(select jsonb_array_elements_text(v_args -> 'types'));
  v_offset integer := coalesce((v_args ->> 'offset')::integer, 0);
  v_limit bigint := (v_args ->> 'limit')::bigint + v_offset;
  v_scan integer := (v_args ->> 'scan')::integer;
  v_events jsonb;
  v_found integer;
  v_scanned integer;
  v_reached bigint;
begin
  execute format($sql$
    with scanned as materialized (
      select j as entry, s.position, j.action, j.email_id, j.detail
      from mailer.seals s join mailer.journal j on j.id = s.entry_id where %2$s
      order by s.position %1$s limit %3$s
    ),
    wanted as materialized (
      select s.entry, s.position, q.email, row_number() over (order by s.position %1$s) as n
      from scanned s left join lateral (
        select e as email, e.tags from mailer.emails e where e.id = s.email_id limit 1) q on true
      where s.action = any ($1) and ($2 is null or $2 = any (q.tags))
        and ($3 is null or s.detail ->> 'status' = $3)
      order by s.position %1$s limit %4$s
    ),
    told as (
      select coalesce(jsonb_agg(mailer.event_json(w.entry, w.position, w.email) order by w.position %1$s)
          filter (where w.n > %6$s), '[]') as events, count(*)::integer as found
      from wanted w
    )
    select t.events, t.found, (select count(*)::integer from scanned),
      case when t.found = %4$s then (select w.position from wanted w order by w.position %5$s limit 1)
        else (select s.position from scanned s order by s.position %5$s limit 1) end
    from told t $sql$, v_order, mailer.journal_where(v_args), v_scan, v_limit,
    case v_order when 'desc' then 'asc' else 'desc' end, v_offset)
  into v_events, v_found, v_scanned, v_reached
  using v_types, v_args ->> 'tag', v_args ->> 'status';
  return jsonb_build_object('events', v_events, 'skipped', least(v_found, v_offset), 'reached', coalesce(v_reached,
      (v_args ->> case v_order when 'asc' then 'after' else 'before' end)::bigint, 0),
    'is_at_end', v_scanned < v_scan and v_found < v_limit)::text;
end
$$;

call mailer.offer('read_events', 'user', 'admin', 'follower');
