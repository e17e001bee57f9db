-- keep_webhook_test: what became of a test that its owner asked for. args { webhook_id, id, type,
-- outcome, status_code, error, duration_ms, answer }; answer webhook_delivery_json, or null when there
-- is no such webhook any more.
create or replace function mailer.keep_webhook_test(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_webhook mailer.webhooks;
  v_delivery mailer.webhook_deliveries;
begin
  select * into v_webhook from mailer.webhooks w where w.id = (v_args ->> 'webhook_id')::uuid;
  if v_webhook.id is null or not mailer.may_see(v_webhook.owner_id)
    or (v_webhook.is_global and mailer.claim_role() <> 'admin') then
    return 'null';
  end if;
  insert into mailer.webhook_deliveries (id, webhook_id, owner_id, type, outcome, tries,
    status_code, error, duration_ms, answer, created_at, last_try_at)
  values (v_args ->> 'id', v_webhook.id, v_webhook.owner_id, v_args ->> 'type',
    v_args ->> 'outcome', 1, (v_args ->> 'status_code')::smallint, v_args ->> 'error',
    (v_args ->> 'duration_ms')::integer, v_args ->> 'answer', v_now, v_now)
  returning * into v_delivery;
  return mailer.webhook_delivery_json(v_delivery)::text;
end
$$;

call mailer.offer('keep_webhook_test', 'user', 'admin');
