import { type Database, partClaims } from "./database.ts";

/** How webhooks stand in the whole database, whichever process asks. */
export interface WebhookFigures {
  enabled: number;
  /** Enabled, and the last try failed. */
  failing: number;
  /** By 410, or because nothing succeeded in five days. */
  disabled: number;
  /** Deliveries that failed and are tried again. */
  waiting: number;
  /** How long an event has waited for an enabled webhook; 0: none waits. */
  oldestWaitingMs: number;
}

export function createWebhookFigures(database: Database): { read(): Promise<WebhookFigures> } {
  return {
    async read() {
      const json = await database.rpc("webhook_figures", {}, partClaims("metrics"));
      const { oldest_waiting_ms: oldestWaitingMs, ...rest } = json as FigureJson;
      return { ...rest, oldestWaitingMs };
    },
  };
}

type FigureJson = Omit<WebhookFigures, "oldestWaitingMs"> & { oldest_waiting_ms: number };
