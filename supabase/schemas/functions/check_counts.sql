-- check_counts: compares email_counts with the emails of the next owners, by their ids, and repairs
-- what deviates. Where it got to stands in mailer.settings (counts_checked_to); after the last owner it
-- begins anew.
--
-- args { owners: of one call; emails: counted of one owner, and about as many of one call }
-- answer { owners, emails (counted), in_part (owners with more emails, of whom only the dead letters
--   were compared), skipped (owners with more dead letters than that), is_end, is_busy (the sealer is
--   far behind, and nothing was done), repaired: [{ owner_id, <state>: n that was missing }] }
--
-- Guarantees: exact while emails are accepted, sent and sealed: one statement, hence one snapshot, sees
-- the emails, the counts, and the entries that are not in the counts yet. The deviation that it finds
-- stays the same whatever happens next, so it is added, and not set. One call at a time. `accepted` is
-- of emails that may be deleted by now, and is not compared; what it says of the days before yesterday,
-- which nobody reads, is deleted. An entry tells what was repaired: `counts.repaired`.
create or replace function mailer.check_counts(args text) returns text
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  c_unsealed_max constant integer := 20000;
  c_dead constant text[] := array['failed', 'uncertain', 'held', 'partially_sent'];
  v_args jsonb := args;
  v_max integer := (v_args ->> 'emails')::integer;
  v_after text;
  v_owner text;
  v_size integer;
  v_emails integer := 0;
  v_owners text[] := '{}';
  -- All of their emails are counted; or their dead letters.
  v_whole text[] := '{}';
  v_in_part text[] := '{}';
  v_is_end boolean;
  v_repairs jsonb;
begin
  insert into mailer.settings (name, value) values ('counts_checked_to', '') on conflict do nothing;
  select s.value into v_after from mailer.settings s where s.name = 'counts_checked_to' for update;
  if (select c.unsealed from mailer.count_unsealed(c_unsealed_max) c) >= c_unsealed_max then
    return '{"owners":0,"emails":0,"in_part":0,"skipped":0,"is_end":false,"is_busy":true,"repaired":[]}';
  end if;
  for v_owner in
    select h.owner_id from mailer.journal_heads h where h.owner_id > v_after
    order by h.owner_id limit (v_args ->> 'owners')::integer
  loop
    v_owners := v_owners || v_owner;
    select count(*) into v_size from (
      select from mailer.emails e where e.owner_id = v_owner limit v_max + 1) q;
    if v_size <= v_max then
      v_whole := v_whole || v_owner;
    else
      select count(*) into v_size from (
        select from mailer.emails e where e.owner_id = v_owner
          and e.state in ('failed', 'uncertain', 'held', 'partially_sent') limit v_max + 1) q;
      if v_size <= v_max then
        v_in_part := v_in_part || v_owner;
      end if;
    end if;
    v_emails := v_emails + v_size;
    exit when v_emails >= v_max;
  end loop;
  v_is_end := not exists (select from mailer.journal_heads h
    where h.owner_id > coalesce(v_owners[cardinality(v_owners)], v_after));

  with unsealed as (
    (select j as entry from mailer.journal j
      where j.id > (select s.sealed_to from mailer.sealer s where s.is_only_row)
        and j.owner_id = any (v_whole || v_in_part))
    union all
    (select j as entry from mailer.journal_gaps g
      join mailer.journal j on j.id between g.from_id and g.to_id
      where j.owner_id = any (v_whole || v_in_part))
  ), parts as (
    select e.owner_id, case e.state when 'sending' then 'pending' else e.state end as counted, 1 as n
    from unnest(v_whole) o (id) join mailer.emails e on e.owner_id = o.id
    union all
    select e.owner_id, e.state, 1
    from unnest(v_in_part) o (id) join mailer.emails e on e.owner_id = o.id
      and e.state in ('failed', 'uncertain', 'held', 'partially_sent')
    union all
    select c.owner_id, c.counted, -c.n
    from unnest(v_whole || v_in_part) o (id)
    join mailer.email_counts c on c.owner_id = o.id and c.day = '-infinity'
    union all
    select (u.entry).owner_id, q.counted, -q.delta
    from unsealed u cross join lateral mailer.count_change(u.entry) q where q.day = '-infinity'
  ), missing as (
    select p.owner_id, p.counted, sum(p.n) as n from parts p
    where p.owner_id = any (v_whole) or p.counted = any (c_dead)
    group by p.owner_id, p.counted having sum(p.n) <> 0
  )
  select jsonb_agg(jsonb_build_object('owner_id', r.owner_id) || r.missing order by r.owner_id)
  into v_repairs from (
    select m.owner_id, jsonb_object_agg(m.counted, m.n) as missing
    from missing m group by m.owner_id) r;

  delete from mailer.email_counts c using unnest(v_owners) o (id)
  where c.owner_id = o.id and c.counted = 'accepted'
    and c.day < (clock_timestamp() at time zone 'UTC')::date - 1;
  update mailer.settings s
  set value = case when v_is_end then '' else v_owners[cardinality(v_owners)] end
  where s.name = 'counts_checked_to';
  if v_repairs is not null then
    -- The sealer's, which writes the same rows: waited for, for it takes milliseconds.
    perform pg_advisory_xact_lock(7382640002);
    insert into mailer.email_counts as c (owner_id, counted, day, n)
    select r ->> 'owner_id', m.key, '-infinity', m.value::bigint
    from jsonb_array_elements(v_repairs) r cross join jsonb_each_text(r - 'owner_id') m
    on conflict (owner_id, counted, day) do update set n = c.n + excluded.n;
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, action, detail)
    select r ->> 'owner_id', mailer.claim_sub(), 'counts.repaired', r - 'owner_id'
    from jsonb_array_elements(v_repairs) r;
  end if;
  return jsonb_build_object('owners', cardinality(v_owners), 'emails', v_emails,
    'in_part', cardinality(v_in_part),
    'skipped', cardinality(v_owners) - cardinality(v_whole) - cardinality(v_in_part),
    'is_end', v_is_end, 'is_busy', false, 'repaired', coalesce(v_repairs, '[]'))::text;
end
$$;

call mailer.offer('check_counts', 'maintenance');
