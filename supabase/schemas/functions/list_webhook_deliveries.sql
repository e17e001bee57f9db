-- list_webhook_deliveries: newest first by creation. args { webhook_id, id | null,
-- outcome | null, limit, offset | null, cursor: { created_at, id } | null };
-- answer { deliveries: [webhook_delivery_json], next: { created_at, id } | null, wrapped_key,
-- owner_id }, or null when there is no such webhook.
create or replace function mailer.list_webhook_deliveries(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_from jsonb := nullif(v_args -> 'cursor', 'null');
  v_webhook mailer.webhooks;
  v_rows jsonb[];
begin
  select * into v_webhook from mailer.webhooks w where w.id = (v_args ->> 'webhook_id')::uuid;
  if v_webhook.id is null or not mailer.may_see(v_webhook.owner_id) then
    return 'null';
  end if;
  v_rows := array(
    select mailer.webhook_delivery_json(d) from mailer.webhook_deliveries d
    where d.webhook_id = v_webhook.id
      and (v_args ->> 'id' is null or d.id = v_args ->> 'id')
      and (v_args ->> 'outcome' is null or d.outcome = v_args ->> 'outcome')
      and (v_from is null or (d.created_at, d.id)
        < ((v_from ->> 'created_at')::timestamptz, v_from ->> 'id'))
    order by d.created_at desc, d.id desc limit v_limit + 1
    offset coalesce((v_args ->> 'offset')::integer, 0));
  return (mailer.page_json('deliveries', v_rows, v_limit) || jsonb_build_object(
    'wrapped_key', v_webhook.wrapped_key, 'owner_id', v_webhook.owner_id))::text;
end
$$;

call mailer.offer('list_webhook_deliveries', 'user', 'admin');
