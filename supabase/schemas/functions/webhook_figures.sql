-- webhook_figures: what an operator sees of webhooks, for metrics. args {}; answer { enabled, failing,
-- disabled (by 410 or five days), waiting: deliveries that failed and are tried again, counted up to
-- 1,000,000, oldest_waiting_ms: how long an event has waited for an enabled webhook }.
create or replace function mailer.webhook_figures(args text) returns text
language sql stable set search_path = ''
as $$
  select (mailer.webhook_status(args)::jsonb || jsonb_build_object(
    'waiting', (select count(*) from (select from mailer.webhook_deliveries d
      where d.next_try_at is not null limit 1000000) q),
    'oldest_waiting_ms',
      coalesce(mailer.ms_until(clock_timestamp(), mailer.oldest_undelivered(false)), 0)))::text
$$;

call mailer.offer('webhook_figures', 'metrics');
