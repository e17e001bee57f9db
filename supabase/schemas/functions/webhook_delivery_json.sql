-- webhook_delivery_json: a delivery as its owner is told of it; `answer` is ciphertext.
create or replace function mailer.webhook_delivery_json(d mailer.webhook_deliveries) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', d.id, 'webhook_id', d.webhook_id, 'position', d.position,
    'type', d.type, 'email_id', d.email_id, 'sequence', d.sequence, 'outcome', d.outcome,
    'tries', d.tries, 'status_code', d.status_code, 'error', d.error,
    'duration_ms', d.duration_ms, 'answer', d.answer, 'created_at', d.created_at,
    'last_try_at', d.last_try_at, 'next_try_at', d.next_try_at)
$$;

grant execute on function mailer.webhook_delivery_json(mailer.webhook_deliveries) to mailer_owner;
