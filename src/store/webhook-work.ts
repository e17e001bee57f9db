import { type Database, partClaims } from "./database.ts";
import { type EventJson, type SealedEvent, toEvent } from "./events.ts";
import {
  type StoredWebhook,
  type TryResult,
  toWebhook,
  tryJson,
  type WebhookJson,
} from "./webhooks.ts";

/** An endpoint that was given to this process for a while. */
export interface ClaimedWebhook extends StoredWebhook {
  /** Ciphertexts, columns `secret`: each of them signs. */
  secrets: string[];
  /** The journal's position up to which nothing is left to be begun. */
  cursor: number;
  token: number;
  version: number;
  /** Ids of what was begun beyond the cursor, and so has a row. */
  known: string[];
}

/** A delivery whose next try is due. */
export interface DueDelivery {
  id: string;
  type: string;
  tries: number;
  /** null: the journal has it no more. */
  event: SealedEvent | null;
}

/** What became of one try of one event. */
export interface DeliveryRecord extends TryResult {
  id: string;
  position: number;
  type: string;
  emailId: string | null;
  sequence: number | null;
  /** Until the next try; null unless it is pending. */
  retryInMs: number | null;
}

export interface WebhookRecord {
  webhook: ClaimedWebhook;
  cursor: number;
  results: readonly DeliveryRecord[];
  /** In a row, up to now. */
  failures: number;
  /** Nothing is begun for so long; null: it goes on. */
  heldMs: number | null;
  /** It answered 410. */
  isGone: boolean;
  /** 0: the endpoint is given back. */
  leaseMs: number;
}

export interface RecordAnswer {
  /** False: another process has it now, or it was deleted; nothing was written. */
  isOurs: boolean;
  /** Its owner changed it: what is in memory of it does not count any more. */
  isChanged: boolean;
  disabled: "gone" | "failing" | null;
}

/** The database's side of delivering. */
export interface WebhookWork {
  /** At most `limit` endpoints that have something to deliver, and how many are enabled in all. */
  claim(limit: number, leaseMs: number): Promise<{ webhooks: ClaimedWebhook[]; enabled: number }>;
  due(webhookId: string, limit: number): Promise<DueDelivery[]>;
  record(record: WebhookRecord): Promise<RecordAnswer>;
}

export function createWebhookWork(database: Database, { workerId }: { workerId: string }) {
  const claims = partClaims("webhooks");
  const work: WebhookWork = {
    async claim(limit, leaseMs) {
      const args = { worker_id: workerId, limit, lease_ms: leaseMs };
      const answer = (await database.rpc("claim_webhooks", args, claims)) as ClaimJson;
      return { webhooks: answer.webhooks.map(toClaimed), enabled: answer.enabled };
    },
    async due(webhookId, limit) {
      const args = { webhook_id: webhookId, limit };
      const rows = (await database.rpc("due_webhook_deliveries", args, claims)) as DueJson[];
      return rows.map((row) => ({
        ...row,
        event: row.event && (toEvent(row.event) as SealedEvent),
      }));
    },
    async record(record) {
      const answer = await database.rpc("record_webhook_deliveries", recordArgs(record), claims);
      const { is_ours, is_changed, disabled } = answer as RecordJson;
      return { isOurs: is_ours, isChanged: is_changed, disabled };
    },
  };
  return work;
}

interface ClaimJson {
  webhooks: (WebhookJson & {
    secrets: string[];
    cursor: number;
    token: number;
    version: number;
    known: string[];
  })[];
  enabled: number;
}

interface DueJson {
  id: string;
  type: string;
  tries: number;
  event: EventJson | null;
}

interface RecordJson {
  is_ours: boolean;
  is_changed: boolean;
  disabled: RecordAnswer["disabled"];
}

function toClaimed(json: ClaimJson["webhooks"][number]): ClaimedWebhook {
  const { secrets, cursor, token, version, known } = json;
  return { ...toWebhook(json), secrets, cursor, token, version, known };
}

function recordArgs(record: WebhookRecord): object {
  return {
    webhook_id: record.webhook.id,
    token: record.webhook.token,
    version: record.webhook.version,
    cursor: record.cursor,
    lease_ms: record.leaseMs,
    failures: record.failures,
    held_ms: record.heldMs,
    is_gone: record.isGone,
    results: record.results.map((result) => ({
      id: result.id,
      position: result.position,
      type: result.type,
      email_id: result.emailId,
      sequence: result.sequence,
      retry_in_ms: result.retryInMs,
      ...tryJson(result),
    })),
  };
}
