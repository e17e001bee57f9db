-- create_webhook: args { id, is_global, url, description | null, events: [], tags: [], wrapped_key,
-- secret (ciphertext), origin | null };
-- answer { kind: "created", webhook } | { kind: "too_many" }.
-- Guarantees: it belongs to the sub of the claims and hears of what is sealed from now on; only an
-- admin makes one that hears of everybody's; an owner has at most 20.
create or replace function mailer.create_webhook(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := mailer.claim_sub();
  v_webhook mailer.webhooks;
begin
  if (v_args ->> 'is_global')::boolean and mailer.claim_role() <> 'admin' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'Only an admin may make a webhook for everybody''s events.';
  end if;
  -- One at a time for each owner, so that the count below holds.
  perform pg_advisory_xact_lock(hashtextextended(v_owner, 7382640004));
  if (select count(*) from mailer.webhooks w where w.owner_id = v_owner) >= 20 then
    return '{"kind":"too_many"}';
  end if;
  insert into mailer.webhooks (id, owner_id, is_global, url, description, events, tags, wrapped_key,
    secret, created_at, cursor)
  values ((v_args ->> 'id')::uuid, v_owner, (v_args ->> 'is_global')::boolean, v_args ->> 'url',
    v_args ->> 'description', mailer.texts_of(v_args -> 'events'),
    mailer.texts_of(v_args -> 'tags'), v_args ->> 'wrapped_key', v_args ->> 'secret',
    date_trunc('milliseconds', clock_timestamp()), mailer.newest_position())
  returning * into v_webhook;
  perform mailer.write_entry(v_owner, 'webhook.created',
    jsonb_build_object('webhook_id', v_webhook.id, 'events', v_webhook.events),
    v_args ->> 'origin');
  return jsonb_build_object('kind', 'created', 'webhook', mailer.webhook_json(v_webhook))::text;
end
$$;

call mailer.offer('create_webhook', 'user', 'admin');
