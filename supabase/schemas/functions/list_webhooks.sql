-- list_webhooks: newest first by creation. args { id | null, owner_id | null, limit, offset | null,
-- cursor: { created_at, id } | null };
-- answer { webhooks: [webhook_json], total | null, next: { created_at, id } | null } (total only with
-- offset; created_at of a cursor is text with microseconds). A user gets its own, whatever is asked.
create or replace function mailer.list_webhooks(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := mailer.whose(v_args ->> 'owner_id');
  v_id uuid := (v_args ->> 'id')::uuid;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_from jsonb := nullif(v_args -> 'cursor', 'null');
  v_rows jsonb[];
begin
  v_rows := array(
    select mailer.webhook_json(w) from mailer.webhooks w
    where (v_owner is null or w.owner_id = v_owner) and (v_id is null or w.id = v_id)
      and (v_from is null or (w.created_at, w.id)
        < ((v_from ->> 'created_at')::timestamptz, (v_from ->> 'id')::uuid))
    order by w.created_at desc, w.id desc
    limit v_limit + 1 offset coalesce((v_args ->> 'offset')::integer, 0));
  return (mailer.page_json('webhooks', v_rows, v_limit) || jsonb_build_object(
    'total', case when v_args ->> 'offset' is not null then (
      select count(*) from mailer.webhooks w where v_owner is null or w.owner_id = v_owner) end))::text;
end
$$;

call mailer.offer('list_webhooks', 'user', 'admin');
