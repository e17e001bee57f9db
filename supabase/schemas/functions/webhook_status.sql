-- webhook_status: how the endpoints do, for /health. args {}; answer { enabled, failing, disabled
-- (by 410 or five days) }.
create or replace function mailer.webhook_status(args text) returns text
language sql stable set search_path = ''
as $$
  select json_build_object(
    'enabled', count(*) filter (where w.enabled),
    'failing', count(*) filter (where w.enabled and w.failures > 0),
    'disabled', count(*) filter (where w.disabled_reason is not null))::text
  from mailer.webhooks w
$$;

call mailer.offer('webhook_status', 'webhooks', 'metrics');
