import type { KeyRing } from "../crypto/key-ring.ts";
import { emailEventTypes } from "../email/event-types.ts";
import { type Claims, partPrefix } from "../store/database.ts";
import type { Events } from "../store/events.ts";
import type {
  NewWebhook,
  ReplayItem,
  StoredDelivery,
  StoredWebhook,
  WebhookChange,
  Webhooks,
} from "../store/webhooks.ts";
import { actionsFor, messagesOf, systemEventTypes } from "./messages.ts";
import type { Sent } from "./send.ts";
import { createSecret, createSigner, type Signer } from "./sign.ts";

export interface EndpointsDeps {
  webhooks: Webhooks;
  events: Events;
  keyRing: KeyRing;
  newId: () => string;
  now: () => Date;
  send: (request: { url: string; sign: Signer; id: string; body: string }) => Promise<Sent>;
  /** An endpoint was made or changed, or has something to deliver. */
  wake: () => void;
}

export interface NewEndpoint extends Omit<NewWebhook, "wrappedKey"> {
  /** In clear: the caller's own, or a new one. */
  secret: string;
}

export interface ReplayRange {
  from: Date;
  to: Date;
  /** null: as fast as they are taken. */
  ratePerMinute: number | null;
  isDryRun: boolean;
}

/** What callers do to their endpoints. null: there is none that the claims may see. */
export interface Endpoints {
  /** null: there are as many as there may be. The same id again is no change: `isNew` is false. */
  create(
    endpoint: NewEndpoint,
    as: Claims,
  ): Promise<{ webhook: StoredWebhook; isNew: boolean } | null>;
  change(
    id: string,
    change: Omit<WebhookChange, "secret">,
    as: Claims,
    origin: string | null,
  ): Promise<StoredWebhook | null>;
  /** The former secret signs beside the new one for 24 hours. */
  rotateSecret(
    id: string,
    secret: string | null,
    as: Claims,
    origin: string | null,
  ): Promise<{ webhook: StoredWebhook; secret: string } | null>;
  /** Sends one event that never happened, once, and tells what became of it. */
  test(id: string, type: string, as: Claims): Promise<StoredDelivery | null>;
  /** Delivers one again, under its id. */
  replayDelivery(
    webhookId: string,
    deliveryId: string,
    as: Claims,
    origin: string | null,
  ): Promise<StoredDelivery | "not_replayable" | null>;
  /** Delivers all that happened in a time, under their ids, whether they were delivered or not. */
  replayRange(
    id: string,
    range: ReplayRange,
    as: Claims,
    origin: string | null,
  ): Promise<{ matched: number; replayed: number } | null>;
  /** The receiver's answer in clear; null: there was none, or it does not open. */
  openAnswer(
    delivery: StoredDelivery,
    endpoint: Pick<StoredWebhook, "wrappedKey" | "ownerId">,
  ): string | null;
}

export const testType = "webhook.test";
const pageSize = 500;

export function createEndpoints(deps: EndpointsDeps): Endpoints {
  const { webhooks, keyRing, wake } = deps;
  const keyOf = ({ wrappedKey, id, ownerId }: StoredWebhook) =>
    keyRing.openDataKey(wrappedKey, id, ownerId);

  return {
    async create(endpoint, as) {
      const { dataKey, wrappedKey } = keyRing.createDataKey(endpoint.id, as.sub);
      const secret = dataKey.encryptText(endpoint.secret, "secret");
      const created = await webhooks.create({ ...endpoint, wrappedKey, secret }, as);
      if (created !== null) wake();
      return created;
    },
    async change(id, change, as, origin) {
      const webhook = await webhooks.change(id, change, as, origin);
      wake();
      return webhook;
    },
    async rotateSecret(id, given, as, origin) {
      const known = await webhooks.get(id, as);
      if (known === null) return null;
      const secret = given ?? createSecret();
      const change = { secret: keyOf(known).encryptText(secret, "secret") };
      const webhook = await webhooks.change(id, change, as, origin);
      return webhook && { webhook, secret };
    },
    test: (id, type, as) => test(deps, id, type, as),
    async replayDelivery(webhookId, deliveryId, as, origin) {
      const asked = { limit: 1, cursor: null, id: deliveryId };
      const page = await webhooks.deliveries(webhookId, asked, as);
      const [delivery] = page?.deliveries ?? [];
      if (!delivery) return null;
      const { position } = delivery;
      if (position === null) return "not_replayable";
      const items = [{ ...delivery, position }];
      const at = { webhookId, firstInMs: 0, everyMs: 0, isLast: true, origin };
      await webhooks.replay({ ...at, items }, as);
      wake();
      return (await webhooks.deliveries(webhookId, asked, as))?.deliveries[0] ?? null;
    },
    async replayRange(id, range, as, origin) {
      const webhook = await webhooks.get(id, as);
      if (webhook === null) return null;
      const counts = await replayRange(deps, webhook, range, as, origin);
      wake();
      return counts;
    },
    openAnswer({ answer, webhookId }, { wrappedKey, ownerId }) {
      if (answer === null) return null;
      try {
        return keyRing.openDataKey(wrappedKey, webhookId, ownerId).decryptText(answer, "answer");
      } catch {
        // Its key is gone; the delivery is worth telling of all the same.
        return null;
      }
    },
  };
}

/** Signed as its own: the secret is read by the part that delivers, not by the caller's claims. */
async function test(
  { webhooks, keyRing, newId, now, send }: EndpointsDeps,
  id: string,
  type: string,
  as: Claims,
): Promise<StoredDelivery | null> {
  const webhook = await webhooks.get(id, as);
  if (webhook === null) return null;
  const key = keyRing.openDataKey(webhook.wrappedKey, webhook.id, webhook.ownerId);
  const sign = createSigner([key.decryptText(webhook.secret, "secret")]);
  const testId = `msg_test_${newId()}`;
  const sent = await send({
    url: webhook.url,
    sign,
    id: testId,
    body: testBody(type, webhook, now()),
  });
  const { statusCode, error, durationMs } = sent;
  const answer = sent.answer && key.encryptText(sent.answer, "answer");
  const outcome = sent.isSuccess ? ("delivered" as const) : ("failed" as const);
  const result = { outcome, statusCode, error, durationMs, answer };
  return await webhooks.keepTest({ ...result, id: testId, webhookId: id, type }, as);
}

/** An event of the type, of an email that never was: a receiver has all its fields to look at. */
function testBody(type: string, webhook: StoredWebhook, at: Date): string {
  const timestamp = at.toISOString();
  if (type === testType) {
    return JSON.stringify({ type, timestamp, data: { webhook_id: webhook.id } });
  }
  if (type.startsWith("system.")) {
    const by = { owner_id: `${partPrefix}system`, actor: `${partPrefix}test` };
    return JSON.stringify({ type, timestamp, data: { ...by, test: true } });
  }
  const data = { email_id: "00000000-0000-7000-8000-000000000000", sequence: 1, status: "sent" };
  return JSON.stringify({
    type,
    timestamp,
    data: { ...data, tags: ["webhook-test"], metadata: { test: true } },
  });
}

export const testTypes: readonly string[] = [testType, ...emailEventTypes, ...systemEventTypes];

async function replayRange(
  { webhooks, events }: EndpointsDeps,
  webhook: StoredWebhook,
  { from, to, ratePerMinute, isDryRun }: ReplayRange,
  as: Claims,
  origin: string | null,
): Promise<{ matched: number; replayed: number }> {
  const everyMs = ratePerMinute === null ? 0 : 60_000 / ratePerMinute;
  const filter = {
    types: actionsFor(webhook),
    atFrom: from,
    atTo: to,
    ...(!webhook.isGlobal && { ownerId: webhook.ownerId }),
  };
  let matched = 0;
  let after = 0;
  for (;;) {
    const asked = { ...filter, after, limit: pageSize, isNewestFirst: false };
    const page = await events.read(asked, as);
    const items = page.events.flatMap((event) => messagesOf(event, webhook)).map(toItem);
    const place = { firstInMs: matched * everyMs, everyMs, isLast: page.isAtEnd, origin };
    const isWritten = !isDryRun && (items.length > 0 || page.isAtEnd);
    if (isWritten) await webhooks.replay({ webhookId: webhook.id, items, ...place }, as);
    matched += items.length;
    if (page.isAtEnd) return { matched, replayed: isDryRun ? 0 : matched };
    after = page.reached;
  }
}

function toItem({ id, type, event }: ReturnType<typeof messagesOf>[number]): ReplayItem {
  const { position, emailId, sequence } = event;
  return { id, type, position, emailId, sequence };
}
