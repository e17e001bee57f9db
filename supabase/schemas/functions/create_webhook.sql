-- create_webhook: args { id, is_global, url, description | null, events: [], tags: [], wrapped_key,
-- secret (ciphertext), enabled (absent: true), origin | null };
-- answer { kind: "created", webhook, is_new } | { kind: "too_many" }.
-- Guarantees: it belongs to the sub of the claims and hears of what is sealed from now on; only an
-- admin makes one that hears of everybody's; an owner has at most 20; the same id again changes
-- nothing and answers the webhook as it is.
create or replace function mailer.create_webhook(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := mailer.claim_sub();
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_is_enabled boolean := coalesce((v_args ->> 'enabled')::boolean, true);
  v_webhook mailer.webhooks;
begin
  if (v_args ->> 'is_global')::boolean and mailer.claim_role() <> 'admin' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'Only an admin may make a webhook for everybody''s events.';
  end if;
  -- One at a time for each owner, so that the looks below hold.
  perform pg_advisory_xact_lock(hashtextextended(v_owner, 7382640004));
  select * into v_webhook from mailer.webhooks w
  where w.id = (v_args ->> 'id')::uuid and w.owner_id = v_owner;
  if found then
    return jsonb_build_object('kind', 'created', 'webhook', mailer.webhook_json(v_webhook),
      'is_new', false)::text;
  end if;
  if (select count(*) from mailer.webhooks w where w.owner_id = v_owner) >= 20 then
    return '{"kind":"too_many"}';
  end if;
  insert into mailer.webhooks (id, owner_id, is_global, url, description, events, tags, wrapped_key,
    secret, created_at, cursor, enabled, disabled_at)
  values ((v_args ->> 'id')::uuid, v_owner, (v_args ->> 'is_global')::boolean, v_args ->> 'url',
    v_args ->> 'description', mailer.texts_of(v_args -> 'events'),
    mailer.texts_of(v_args -> 'tags'), v_args ->> 'wrapped_key', v_args ->> 'secret',
    v_now, mailer.newest_position(), v_is_enabled, case when not v_is_enabled then v_now end)
  returning * into v_webhook;
  perform mailer.write_entry(v_owner, 'webhook.created',
    jsonb_build_object('webhook_id', v_webhook.id, 'events', v_webhook.events),
    v_args ->> 'origin');
  return jsonb_build_object('kind', 'created', 'webhook', mailer.webhook_json(v_webhook),
    'is_new', true)::text;
end
$$;

call mailer.offer('create_webhook', 'user', 'admin');
