-- delete_dropped: deletes the next p_limit entries up to journal_start.drop_to, oldest position first,
-- and moves the anchors of their owners there. is_waiting: a drop is announced, and its entry is not
-- sealed yet.
--
-- Guarantees: the only way to delete entries, as nobody else acts as mailer_dropper. Nothing is deleted
-- that no sealed entry of the journal has announced, `retention.journal_dropped` beyond the position that
-- it names. A position or an entry that is not there, or a chain that has a gap, is evidence, and nothing
-- is deleted any more: it raises. It costs the entries that it deletes.
create or replace function mailer.delete_dropped(p_limit integer, out dropped integer,
  out is_waiting boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_start mailer.journal_start;
  v_last bigint;
  v_entries integer;
  v_chained integer;
begin
  dropped := 0;
  is_waiting := false;
  select * into v_start from mailer.journal_start s where s.is_only_row for update;
  if v_start.position = v_start.drop_to and v_start.next_to is not null then
    is_waiting := not exists (
      select from mailer.seals s join mailer.journal j on j.id = s.entry_id
      where s.entry_id = v_start.next_entry_id and s.position > v_start.next_to
        and j.owner_id = 'taskforce-mailer:system' and j.action = 'retention.journal_dropped'
        and (j.detail ->> 'position')::bigint = v_start.next_to);
    if is_waiting then
      return;
    end if;
    update mailer.journal_start s set drop_to = s.next_to, entry_id = s.next_entry_id,
      next_to = null, next_entry_id = null
    where s.is_only_row returning * into v_start;
  end if;
  v_last := least(v_start.position + p_limit, v_start.drop_to);
  if v_last = v_start.position then
    return;
  end if;
  with gone as (
    delete from mailer.seals s where s.position > v_start.position and s.position <= v_last
    returning s.*
  ),
  entries as (
    delete from mailer.journal j using gone g where j.id = g.entry_id and j.owner_id = g.owner_id
    returning j.id
  ),
  ends as (
    select distinct on (g.owner_id) g.owner_id, g.position, g.number, g.hash,
      min(g.number) over w as first, count(*) over w as count
    from gone g window w as (partition by g.owner_id) order by g.owner_id, g.position desc
  ),
  chained as (
    select e.* from ends e left join mailer.journal_anchors a on a.owner_id = e.owner_id
    where e.first = coalesce(a.number, 0) + 1 and e.count = e.number - e.first + 1
  ),
  anchored as (
    insert into mailer.journal_anchors as a (owner_id, position, number, hash)
    select c.owner_id, c.position, c.number, c.hash from chained c
    on conflict (owner_id) do update
      set position = excluded.position, number = excluded.number, hash = excluded.hash
  )
  select (select count(*) from gone), (select count(*) from entries),
    coalesce((select sum(c.count) from chained c), 0)
  into dropped, v_entries, v_chained;
  if dropped <> v_last - v_start.position or v_entries <> dropped or v_chained <> dropped then
    raise exception using errcode = 'data_corrupted', message = format(
      'the journal has a gap between positions %s and %s: nothing is dropped',
      v_start.position + 1, v_last);
  end if;
  update mailer.journal_start s set position = v_last where s.is_only_row;
end
$$;

-- It acts as mailer_dropper, who may not make anything but in this moment.
grant create on schema mailer to mailer_dropper;
alter function mailer.delete_dropped(integer) owner to mailer_dropper;
revoke create on schema mailer from mailer_dropper;
revoke execute on function mailer.delete_dropped(integer) from public;
grant execute on function mailer.delete_dropped(integer) to mailer_service;
