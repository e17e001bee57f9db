import type { StoredDelivery, StoredWebhook } from "../../store/webhooks.ts";

/** An endpoint as callers see it; the secret is shown by what made it, and nowhere else. */
export function webhookAnswer(webhook: StoredWebhook, secret?: string) {
  return {
    id: webhook.id,
    url: webhook.url,
    description: webhook.description,
    events: webhook.events,
    tags: webhook.tags,
    enabled: webhook.isEnabled,
    all_owners: webhook.isGlobal,
    owner: webhook.ownerId,
    created_at: webhook.createdAt,
    disabled_at: webhook.disabledAt,
    disabled_reason: webhook.disabledReason,
    failures: webhook.failures,
    failing_since: webhook.failingSince,
    last_success_at: webhook.lastSuccessAt,
    old_secret_until: webhook.oldSecretUntil,
    ...(secret !== undefined && { secret }),
  };
}

/** A delivery as callers see it. `answer`: what the receiver said, in clear. */
export function deliveryAnswer(delivery: StoredDelivery, answer: string | null) {
  return {
    id: delivery.id,
    type: delivery.type,
    event_id: delivery.position === null ? null : String(delivery.position),
    email_id: delivery.emailId,
    sequence: delivery.sequence,
    outcome: delivery.outcome,
    tries: delivery.tries,
    status_code: delivery.statusCode,
    error: delivery.error,
    duration_ms: delivery.durationMs,
    answer,
    created_at: delivery.createdAt,
    last_try_at: delivery.lastTryAt,
    next_try_at: delivery.nextTryAt,
  };
}
