-- seal_batch: seals the first unsealed entries up to boundary (null: all that is committed), at most
-- max_entries, counts them in email_counts, and remembers the ids that it passed without an entry.
-- Only for the holder of the sealer's lock.
create or replace function mailer.seal_batch(boundary bigint, max_entries integer,
  out sealed integer)
language plpgsql set search_path = ''
as $$
declare
  v_position bigint;
  v_sealed_to bigint;
  v_new bigint[];
  v_late bigint[];
  -- Nobody can fill these gaps any more, and the statement after this one sees what they hold.
  v_closed bigint[] := array(select g.from_id from mailer.journal_gaps g
    where g.seen_before <= pg_snapshot_xmin(pg_current_snapshot())
      and g.seen_at < clock_timestamp() - interval '1 minute');
begin
  select s.position, s.sealed_to into v_position, v_sealed_to
  from mailer.sealer s where s.is_only_row;
  with batch as materialized (
    select q.entry, (q.entry).id, (q.entry).owner_id from (
      (select j as entry from mailer.journal j
        where j.id > v_sealed_to and j.id <= coalesce(boundary, 9223372036854775807)
        order by j.id limit max_entries)
      union all
      (select f.entry from mailer.journal_gaps g cross join lateral (
        select j as entry from mailer.journal j where j.id between g.from_id and g.to_id
        order by j.id limit max_entries) f
        order by g.from_id, (f.entry).id limit max_entries)) q
    order by 2 limit max_entries
  ),
  placed as (
    select b.*, v_position + row_number() over (order by b.id) as position,
      coalesce(h.number, 0) + row_number() over (partition by b.owner_id order by b.id)
        as number,
      coalesce(h.hash, decode(repeat('00', 32), 'hex')) as head
    from batch b left join mailer.journal_heads h on h.owner_id = b.owner_id
  ),
  chained as materialized (
    select p.id, p.owner_id, p.position, p.number,
      mailer.chain(p.head, c.canonical) over (partition by p.owner_id order by p.number) as hash
    from placed p
    -- offset keeps it from being computed for each use.
    cross join lateral (
      select mailer.journal_canonical(p.entry, p.position, p.number) as canonical offset 0) c
  ),
  written as (
    insert into mailer.seals (position, entry_id, owner_id, number, hash)
    select c.position, c.id, c.owner_id, c.number, c.hash from chained c order by c.position
  ),
  heads as (
    insert into mailer.journal_heads as h (owner_id, number, hash)
    select distinct on (c.owner_id) c.owner_id, c.number, c.hash
    from chained c order by c.owner_id, c.number desc
    on conflict (owner_id) do update set number = excluded.number, hash = excluded.hash
  ),
  counts as (
    insert into mailer.email_counts as c (owner_id, counted, day, n)
    select b.owner_id, q.counted, q.day, sum(q.delta)
    from batch b cross join lateral mailer.count_change(b.entry) q
    group by 1, 2, 3 having sum(q.delta) <> 0
    on conflict (owner_id, counted, day) do update set n = c.n + excluded.n
  )
  select count(*), array_agg(c.id order by c.id) filter (where c.id > v_sealed_to),
    array_agg(c.id) filter (where c.id <= v_sealed_to)
  into sealed, v_new, v_late from chained c;

  -- The parts of a gap that are left once an entry has appeared in it.
  if v_late is not null then
    with hit as (
      delete from mailer.journal_gaps g
      where exists (select from unnest(v_late) i where i between g.from_id and g.to_id)
      returning g.*
    ),
    ends as (
      select h.*, i from hit h join unnest(v_late) i on i between h.from_id and h.to_id
      union all
      select h.*, h.to_id + 1 from hit h
    ),
    parts as (
      select lag(e.i, 1, e.from_id - 1) over (partition by e.from_id order by e.i) + 1 as from_id,
        e.i - 1 as to_id, e.seen_before, e.seen_at
      from ends e
    )
    insert into mailer.journal_gaps (from_id, to_id, seen_before, seen_at)
    select p.from_id, p.to_id, p.seen_before, p.seen_at from parts p where p.from_id <= p.to_id;
  end if;
  if v_new is not null then
    insert into mailer.journal_gaps (from_id, to_id, seen_before, seen_at)
    select q.before + 1, q.id - 1, pg_snapshot_xmax(pg_current_snapshot()), clock_timestamp()
    from (select n as id, lag(n, 1, v_sealed_to) over (order by n) as before from unnest(v_new) n) q
    where q.id > q.before + 1;
  end if;
  if sealed < max_entries then
    delete from mailer.journal_gaps g where g.from_id = any (v_closed);
  end if;
  if sealed > 0 then
    update mailer.sealer s set position = s.position + sealed,
      sealed_to = greatest(s.sealed_to, v_new[array_upper(v_new, 1)])
    where s.is_only_row;
  end if;
end
$$;
