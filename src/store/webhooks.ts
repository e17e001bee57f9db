import type { Claims, Database } from "./database.ts";
import type { ListCursor } from "./stored-email.ts";

/** An endpoint as its owner sees it, its secret encrypted. */
export interface StoredWebhook {
  id: string;
  ownerId: string;
  /** Hears of everybody's events; an admin made it. */
  isGlobal: boolean;
  url: string;
  description: string | null;
  /** Types, or `email.*` and the like. */
  events: string[];
  /** Only events of emails that carry one of them; empty: of any. */
  tags: string[];
  isEnabled: boolean;
  /** Why it is not enabled, when not its owner said so: it answered 410, or nothing for five days. */
  disabledReason: "gone" | "failing" | null;
  disabledAt: Date | null;
  createdAt: Date;
  /** Since the last success. */
  failures: number;
  failingSince: Date | null;
  /** Nothing is begun before it: too many failures in a row. */
  heldUntil: Date | null;
  lastSuccessAt: Date | null;
  /** Until when a rotated secret signs beside the new one. */
  oldSecretUntil: Date | null;
  /** Of its data key, under which secrets and answers are encrypted. */
  wrappedKey: string;
  /** Ciphertext, column `secret`. */
  secret: string;
}

export interface NewWebhook {
  id: string;
  isGlobal: boolean;
  url: string;
  description: string | null;
  events: readonly string[];
  tags: readonly string[];
  wrappedKey: string;
  /** Ciphertext, column `secret`. */
  secret: string;
  isEnabled: boolean;
  /** The caller's network address for the journal. */
  origin: string | null;
}

/** Absent: stays as it is. */
export interface WebhookChange {
  url?: string;
  description?: string | null;
  events?: readonly string[];
  tags?: readonly string[];
  isEnabled?: boolean;
  /** Ciphertext of a new one; the former signs beside it for 24 hours. */
  secret?: string;
}

export type DeliveryOutcome = "pending" | "delivered" | "failed";

/** One event for one endpoint, from its first try on. */
export interface StoredDelivery {
  /** The `webhook-id` of every try. */
  id: string;
  webhookId: string;
  /** Of the event in the journal; null: a test. */
  position: number | null;
  type: string;
  emailId: string | null;
  sequence: number | null;
  outcome: DeliveryOutcome;
  tries: number;
  /** Of the last try; null: there was no answer. */
  statusCode: number | null;
  /** Why the last try failed. */
  error: string | null;
  durationMs: number | null;
  /** Ciphertext, column `answer`: the first 4 kB of what was answered. */
  answer: string | null;
  createdAt: Date;
  lastTryAt: Date | null;
  /** null unless pending. */
  nextTryAt: Date | null;
}

export interface DeliveryPage {
  deliveries: StoredDelivery[];
  next: ListCursor | null;
  /** Of the endpoint: what opens the answers. */
  wrappedKey: string;
  ownerId: string;
}

/** What one try came to. */
export interface TryResult {
  outcome: DeliveryOutcome;
  statusCode: number | null;
  error: string | null;
  durationMs: number;
  /** Ciphertext. */
  answer: string | null;
}

/** An event that is to be delivered again. */
export interface ReplayItem {
  id: string;
  position: number;
  type: string;
  emailId: string | null;
  sequence: number | null;
}

/** Endpoints and their deliveries, as callers know them. Claims decide what they see. */
export interface Webhooks {
  /**
   * It belongs to the sub of the claims; null: the owner has as many as there may be. The same id
   * again is no change: `isNew` is false.
   */
  create(
    webhook: NewWebhook,
    as: Claims,
  ): Promise<{ webhook: StoredWebhook; isNew: boolean } | null>;
  /** Newest first; `ownerId` narrows what an admin sees. */
  list(
    page: { limit: number; offset: number | null; cursor: ListCursor | null; ownerId?: string },
    as: Claims,
  ): Promise<{ webhooks: StoredWebhook[]; total: number | null; next: ListCursor | null }>;
  get(id: string, as: Claims): Promise<StoredWebhook | null>;
  /** null: there is none that these claims may see. */
  change(
    id: string,
    change: WebhookChange,
    as: Claims,
    origin: string | null,
  ): Promise<StoredWebhook | null>;
  /** False: there is none that these claims may see. */
  remove(id: string, as: Claims, origin: string | null): Promise<boolean>;
  /** Newest first; null: there is no such endpoint. */
  deliveries(
    webhookId: string,
    page: {
      limit: number;
      /** Default: none is left out. */
      offset?: number;
      cursor: ListCursor | null;
      outcome?: DeliveryOutcome;
      id?: string;
    },
    as: Claims,
  ): Promise<DeliveryPage | null>;
  /** Keeps what became of a test; null: there is no such endpoint any more. */
  keepTest(
    test: TryResult & { id: string; webhookId: string; type: string },
    as: Claims,
  ): Promise<StoredDelivery | null>;
  /** One every `everyMs`; false: there is no such endpoint. */
  replay(
    replay: {
      webhookId: string;
      items: readonly ReplayItem[];
      firstInMs: number;
      everyMs: number;
      /** Leaves word in the journal. */
      isLast: boolean;
      origin: string | null;
    },
    as: Claims,
  ): Promise<boolean>;
}

export function createWebhooks(database: Database): Webhooks {
  const listed = async (args: object, as: Claims): Promise<ListJson> =>
    (await database.rpc("list_webhooks", args, as)) as ListJson;
  return {
    async create({ isGlobal, isEnabled: enabled, wrappedKey, ...webhook }, as) {
      const args = { ...webhook, is_global: isGlobal, enabled, wrapped_key: wrappedKey };
      const answer = (await database.rpc("create_webhook", args, as)) as CreatedJson;
      if (answer.kind !== "created") return null;
      return { webhook: toWebhook(answer.webhook), isNew: answer.is_new };
    },
    async list({ limit, offset, cursor, ownerId }, as) {
      const args = { id: null, owner_id: ownerId ?? null, limit, offset, cursor: from(cursor) };
      const { webhooks, total, next } = await listed(args, as);
      return { webhooks: webhooks.map(toWebhook), total, next: toCursor(next) };
    },
    async get(id, as) {
      const args = { id, owner_id: null, limit: 1, offset: null, cursor: null };
      const [webhook] = (await listed(args, as)).webhooks;
      return webhook ? toWebhook(webhook) : null;
    },
    async change(id, { isEnabled, ...change }, as, origin) {
      const fields = { ...change, ...(isEnabled !== undefined && { enabled: isEnabled }) };
      const args = { id, change: fields, origin };
      const answer = (await database.rpc("change_webhook", args, as)) as ChangedJson;
      return answer.kind === "changed" ? toWebhook(answer.webhook) : null;
    },
    async remove(id, as, origin) {
      const answer = (await database.rpc("delete_webhook", { id, origin }, as)) as { kind: string };
      return answer.kind === "deleted";
    },
    async deliveries(webhookId, { limit, offset, cursor, outcome, id }, as) {
      const asked = { outcome: outcome ?? null, id: id ?? null, offset: offset ?? 0 };
      const args = { webhook_id: webhookId, limit, cursor: from(cursor), ...asked };
      const page = (await database.rpc("list_webhook_deliveries", args, as)) as PageJson | null;
      return (
        page && {
          deliveries: page.deliveries.map(toDelivery),
          next: toCursor(page.next),
          wrappedKey: page.wrapped_key,
          ownerId: page.owner_id,
        }
      );
    },
    async keepTest({ id, webhookId, type, ...result }, as) {
      const args = { id, webhook_id: webhookId, type, ...tryJson(result) };
      const kept = (await database.rpc("keep_webhook_test", args, as)) as DeliveryJson | null;
      return kept && toDelivery(kept);
    },
    async replay({ webhookId, items, firstInMs, everyMs, isLast, origin }, as) {
      const args = {
        webhook_id: webhookId,
        deliveries: items.map(({ emailId, ...item }) => ({ ...item, email_id: emailId })),
        first_in_ms: firstInMs,
        every_ms: everyMs,
        is_last: isLast,
        origin,
      };
      const answer = await database.rpc("replay_webhook_events", args, as);
      return (answer as { kind: string }).kind === "replayed";
    },
  };
}

export function tryJson(result: TryResult): object {
  return {
    outcome: result.outcome,
    status_code: result.statusCode,
    error: result.error,
    duration_ms: Math.round(result.durationMs),
    answer: result.answer,
  };
}

type CursorJson = { created_at: string; id: string } | null;

interface ListJson {
  webhooks: WebhookJson[];
  total: number | null;
  next: CursorJson;
}
type CreatedJson =
  | { kind: "created"; webhook: WebhookJson; is_new: boolean }
  | { kind: "too_many" };
type ChangedJson = { kind: "changed"; webhook: WebhookJson } | { kind: "not_found" };

interface PageJson {
  deliveries: DeliveryJson[];
  next: CursorJson;
  wrapped_key: string;
  owner_id: string;
}

/** As `mailer.webhook_json` writes it. */
export interface WebhookJson {
  id: string;
  owner_id: string;
  is_global: boolean;
  url: string;
  description: string | null;
  events: string[];
  tags: string[];
  enabled: boolean;
  disabled_reason: StoredWebhook["disabledReason"];
  disabled_at: string | null;
  created_at: string;
  failures: number;
  failing_since: string | null;
  held_until: string | null;
  last_success_at: string | null;
  old_secret_until: string | null;
  wrapped_key: string;
  secret: string;
}

interface DeliveryJson {
  id: string;
  webhook_id: string;
  position: number | null;
  type: string;
  email_id: string | null;
  sequence: number | null;
  outcome: DeliveryOutcome;
  tries: number;
  status_code: number | null;
  error: string | null;
  duration_ms: number | null;
  answer: string | null;
  created_at: string;
  last_try_at: string | null;
  next_try_at: string | null;
}

export function toWebhook(json: WebhookJson): StoredWebhook {
  return {
    id: json.id,
    ownerId: json.owner_id,
    isGlobal: json.is_global,
    url: json.url,
    description: json.description,
    events: json.events,
    tags: json.tags,
    isEnabled: json.enabled,
    disabledReason: json.disabled_reason,
    disabledAt: toDate(json.disabled_at),
    createdAt: new Date(json.created_at),
    failures: json.failures,
    failingSince: toDate(json.failing_since),
    heldUntil: toDate(json.held_until),
    lastSuccessAt: toDate(json.last_success_at),
    oldSecretUntil: toDate(json.old_secret_until),
    wrappedKey: json.wrapped_key,
    secret: json.secret,
  };
}

function toDelivery(json: DeliveryJson): StoredDelivery {
  return {
    id: json.id,
    webhookId: json.webhook_id,
    position: json.position,
    type: json.type,
    emailId: json.email_id,
    sequence: json.sequence,
    outcome: json.outcome,
    tries: json.tries,
    statusCode: json.status_code,
    error: json.error,
    durationMs: json.duration_ms,
    answer: json.answer,
    createdAt: new Date(json.created_at),
    lastTryAt: toDate(json.last_try_at),
    nextTryAt: toDate(json.next_try_at),
  };
}

function from(cursor: ListCursor | null): CursorJson {
  return cursor && { created_at: cursor.createdAt, id: cursor.id };
}

function toCursor(json: CursorJson): ListCursor | null {
  return json && { createdAt: json.created_at, id: json.id };
}

function toDate(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
