-- email_counts_of: how many emails an owner has in each state, as readers are told it, and how many
-- were accepted today (UTC); null: everybody together. { <status>: n, accepted: n }; what is 0 may be
-- missing.
--
-- The counts of what is sealed, and what the unsealed entries, usually those of the last second, change
-- in them: as exact as a count over the table of emails.
create or replace function mailer.email_counts_of(p_owner text) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_today date := (clock_timestamp() at time zone 'UTC')::date;
  v_counts jsonb;
  v_sending bigint;
begin
  with unsealed as (
    (select j as entry from mailer.journal j
      where j.id > (select s.sealed_to from mailer.sealer s where s.is_only_row)
        and (p_owner is null or j.owner_id = p_owner))
    union all
    (select j as entry from mailer.journal_gaps g
      join mailer.journal j on j.id between g.from_id and g.to_id
      where p_owner is null or j.owner_id = p_owner)
  ), parts as (
    select c.counted, c.day, c.n from mailer.email_counts c
    where p_owner is null or c.owner_id = p_owner
    union all
    select q.counted, q.day, q.delta from unsealed u cross join lateral mailer.count_change(u.entry) q
  )
  select coalesce(jsonb_object_agg(s.counted, s.n), '{}') into v_counts from (
    select p.counted, sum(p.n) as n from parts p
    where p.day in (date '-infinity', v_today) group by p.counted) s;
  select count(*) into v_sending from mailer.emails e
  where e.state = 'sending' and e.fenced_at is not null and (p_owner is null or e.owner_id = p_owner);
  return v_counts || jsonb_build_object('sending', v_sending,
    'pending', greatest(coalesce((v_counts ->> 'pending')::bigint, 0) - v_sending, 0));
end
$$;

grant execute on function mailer.email_counts_of(text) to mailer_owner;
