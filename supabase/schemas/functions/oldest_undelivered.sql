-- oldest_undelivered: since when the event that has waited longest for an enabled webhook waits: one
-- beyond its cursor, or one whose next try is due. null: none waits. is_healthy: webhooks that were
-- left alone after ten failures in a row do not count. One entry of an index for each webhook.
create or replace function mailer.oldest_undelivered(is_healthy boolean) returns timestamptz
language sql stable set search_path = ''
as $$
  select min(least(n.at, d.next_try_at))
  from mailer.webhooks w
  left join lateral (
    select j.at from mailer.journal j where j.id = case
      when w.is_global then (select s.entry_id from mailer.seals s
        where s.position > w.cursor order by s.position limit 1)
      else (select s.entry_id from mailer.seals s
        where s.owner_id = w.owner_id and s.position > w.cursor order by s.position limit 1)
      end) n on true
  left join lateral (
    select d.next_try_at from mailer.webhook_deliveries d
    where d.webhook_id = w.id and d.next_try_at <= now()
    order by d.next_try_at limit 1) d on true
  where w.enabled and (not is_healthy or w.failures < 10)
$$;
