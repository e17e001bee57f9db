-- delete_webhook: args { id, origin | null }; answer { kind: "deleted" | "not_found" }. Nothing of
-- what waited is delivered any more; its deliveries are forgotten in batches later.
create or replace function mailer.delete_webhook(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_webhook mailer.webhooks;
begin
  select * into v_webhook from mailer.webhooks w where w.id = (v_args ->> 'id')::uuid for update;
  if v_webhook.id is null or not mailer.may_see(v_webhook.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  delete from mailer.webhooks w where w.id = v_webhook.id;
  perform mailer.write_entry(v_webhook.owner_id, 'webhook.deleted',
    jsonb_build_object('webhook_id', v_webhook.id), v_args ->> 'origin');
  return '{"kind":"deleted"}';
end
$$;

call mailer.offer('delete_webhook', 'user', 'admin');
