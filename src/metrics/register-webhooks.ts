import type { WebhookFigures } from "../store/webhook-figures.ts";
import type { DeliveryOutcome } from "../store/webhooks.ts";
import { cached } from "./cached.ts";
import type { Metrics } from "./metrics.ts";
import { registerReadings } from "./register-readings.ts";

export interface WebhookSources {
  figures: { read(): Promise<WebhookFigures> };
  /** Tries of this process. */
  deliverer: { readonly tried: Readonly<Record<DeliveryOutcome, number>> };
}

/** Tries of this process; webhooks and waiting deliveries of the database: `max`, not `sum`, of those. */
export function registerWebhooks(metrics: Metrics, { figures, deliverer }: WebhookSources): void {
  registerReadings(metrics, () => deliverer.tried, [
    {
      name: "webhook_deliveries_total",
      help: "Tries of this process, by what they came to; pending: it failed and is tried again.",
      isCounter: true,
      labelNames: ["outcome"],
      read: (tried) =>
        Object.entries(tried).map(([outcome, value]) => ({ labels: { outcome }, value })),
    },
  ]);
  registerReadings<WebhookFigures>(
    metrics,
    cached(() => figures.read()),
    [
      {
        name: "webhooks",
        help: "Webhooks by state; failing ones are enabled, disabled ones answered 410 or failed for five days.",
        labelNames: ["state"],
        read: ({ enabled, failing, disabled }) =>
          Object.entries({ enabled, failing, disabled }).map(([state, value]) => ({
            labels: { state },
            value,
          })),
      },
      {
        name: "webhook_deliveries_waiting",
        help: "Deliveries that failed and are tried again; counted up to 1000000.",
        read: ({ waiting }) => waiting,
      },
      {
        name: "webhook_oldest_waiting_seconds",
        help: "How long the event that has waited longest for an enabled webhook waits.",
        read: ({ oldestWaitingMs }) => oldestWaitingMs / 1000,
      },
    ],
  );
}
