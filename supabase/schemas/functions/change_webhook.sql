-- change_webhook: args { id, change: { url?, description?, events?, tags?, enabled?, secret? },
-- origin | null };
-- answer { kind: "changed", webhook } | { kind: "not_found" }.
-- Guarantees: one for everybody's events is changed by an admin alone, and disabled by its owner as
-- well; a new secret (ciphertext) leaves the former one to sign beside it for 24 hours. One
-- that is enabled again hears of what is sealed from then on, and starts without failures.
create or replace function mailer.change_webhook(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_change jsonb := v_args -> 'change';
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_webhook mailer.webhooks;
  v_is_revived boolean;
begin
  select * into v_webhook from mailer.webhooks w where w.id = (v_args ->> 'id')::uuid for update;
  if v_webhook.id is null or not mailer.may_see(v_webhook.owner_id)
    or (v_webhook.is_global and mailer.claim_role() <> 'admin'
      and v_change <> '{"enabled":false}') then
    return '{"kind":"not_found"}';
  end if;
  v_is_revived := not v_webhook.enabled and coalesce((v_change ->> 'enabled')::boolean, false);
  update mailer.webhooks w set
    url = coalesce(v_change ->> 'url', w.url),
    description = case when v_change ? 'description' then v_change ->> 'description'
      else w.description end,
    events = case when v_change ? 'events' then mailer.texts_of(v_change -> 'events')
      else w.events end,
    tags = case when v_change ? 'tags' then mailer.texts_of(v_change -> 'tags') else w.tags end,
    old_secret = case when v_change ? 'secret' then w.secret else w.old_secret end,
    old_secret_until = case when v_change ? 'secret' then v_now + interval '24 hours'
      else w.old_secret_until end,
    secret = coalesce(v_change ->> 'secret', w.secret),
    enabled = coalesce((v_change ->> 'enabled')::boolean, w.enabled),
    disabled_reason = case when v_change ? 'enabled' then null else w.disabled_reason end,
    disabled_at = case when v_is_revived then null
      when not coalesce((v_change ->> 'enabled')::boolean, true) then coalesce(w.disabled_at, v_now)
      else w.disabled_at end,
    cursor = case when v_is_revived then mailer.newest_position() else w.cursor end,
    failures = case when v_is_revived or v_change ? 'url' then 0 else w.failures end,
    failing_since = case when v_is_revived or v_change ? 'url' then null else w.failing_since end,
    held_until = case when v_is_revived or v_change ? 'url' then null else w.held_until end,
    version = w.version + 1
  where w.id = v_webhook.id returning * into v_webhook;
  perform mailer.write_entry(v_webhook.owner_id, 'webhook.changed',
    jsonb_build_object('webhook_id', v_webhook.id,
      'fields', (select jsonb_agg(key order by key) from jsonb_object_keys(v_change) key)),
    v_args ->> 'origin');
  return jsonb_build_object('kind', 'changed', 'webhook', mailer.webhook_json(v_webhook))::text;
end
$$;

call mailer.offer('change_webhook', 'user', 'admin');
