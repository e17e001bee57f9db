-- webhook_json: an endpoint as its owner is told of it; its secret is ciphertext.
create or replace function mailer.webhook_json(w mailer.webhooks) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', w.id, 'owner_id', w.owner_id, 'is_global', w.is_global,
    'url', w.url, 'description', w.description, 'events', w.events, 'tags', w.tags,
    'enabled', w.enabled, 'disabled_reason', w.disabled_reason, 'disabled_at', w.disabled_at,
    'created_at', w.created_at, 'failures', w.failures, 'failing_since', w.failing_since,
    'held_until', w.held_until, 'last_success_at', w.last_success_at,
    'old_secret_until', w.old_secret_until, 'wrapped_key', w.wrapped_key,
    'secret', w.secret)
$$;

grant execute on function mailer.webhook_json(mailer.webhooks) to mailer_owner;
