-- forget_idempotent: looks at up to 5,000 keys whose time has come, longest first, and drops those
-- that need not be kept; how many it looked at. Fewer than 5,000: there are no more for now.
create or replace function mailer.forget_idempotent(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  c_batch constant integer := 5000;
  v_now timestamptz := clock_timestamp();
  v_count integer;
begin
  with new as materialized (
    select k as key from mailer.idempotency_keys k
    where k.kept_until is null and k.created_at <= v_now - interval '25 hours'
    order by k.created_at limit c_batch / 2 for update skip locked
  ),
  again as materialized (
    select k as key from mailer.idempotency_keys k
    where k.kept_until <= v_now
    order by k.kept_until limit c_batch / 2 for update skip locked
  ),
  old as (select key from new union all select key from again),
  judged as materialized (
    select (o.key).owner_id, (o.key).path, (o.key).key,
      mailer.key_kept_until(o.key, v_now) as until
    from old o
  ),
  kept as (
    update mailer.idempotency_keys k set kept_until = j.until
    from judged j
    where j.until > v_now and k.owner_id = j.owner_id and k.path = j.path and k.key = j.key
  ),
  dropped as (
    delete from mailer.idempotency_keys k using judged j
    where coalesce(j.until, v_now) <= v_now
      and k.owner_id = j.owner_id and k.path = j.path and k.key = j.key
  )
  select count(*) into v_count from judged;
  return v_count::text;
end
$$;

call mailer.offer('forget_idempotent', 'reconciler');
