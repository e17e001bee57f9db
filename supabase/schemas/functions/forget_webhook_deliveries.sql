-- forget_webhook_deliveries: args { limit }; answer: how many were forgotten. What had its last try
-- 30 days ago, and what belongs to an endpoint that is gone.
create or replace function mailer.forget_webhook_deliveries(args text) returns text
language plpgsql set search_path = '' set jit = off
as $$
declare
  v_limit integer := (args::jsonb ->> 'limit')::integer;
  v_count integer;
  v_orphans integer;
begin
  delete from mailer.webhook_deliveries d where d.id = any (array(
    select o.id from mailer.webhook_deliveries o
    where o.next_try_at is null and o.last_try_at < now() - interval '30 days'
    order by o.last_try_at limit v_limit));
  get diagnostics v_count = row_count;
  delete from mailer.webhook_deliveries d where d.id = any (array(
    select o.id from (
      -- A skip scan: one look at the index for each endpoint that has rows.
      with recursive endpoint as (
        (select o.webhook_id from mailer.webhook_deliveries o order by o.webhook_id limit 1)
        union all
        select (select o.webhook_id from mailer.webhook_deliveries o
          where o.webhook_id > e.webhook_id order by o.webhook_id limit 1)
        from endpoint e where e.webhook_id is not null
      )
      select e.webhook_id from endpoint e where e.webhook_id is not null
        and not exists (select from mailer.webhooks w where w.id = e.webhook_id)
    ) gone cross join lateral (select o.id from mailer.webhook_deliveries o
      where o.webhook_id = gone.webhook_id limit v_limit) o limit v_limit));
  get diagnostics v_orphans = row_count;
  return (v_count + v_orphans)::text;
end
$$;

call mailer.offer('forget_webhook_deliveries', 'maintenance');
