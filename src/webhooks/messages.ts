import { createHash } from "node:crypto";
import type { KeyRing } from "../crypto/key-ring.ts";
import { emailEventTypes } from "../email/event-types.ts";
import { publicEvent } from "../journal/public-event.ts";
import type { SealedEvent } from "../store/events.ts";
import type { StoredWebhook } from "../store/webhooks.ts";

/**
 * What an operator must hear, told to endpoints that hear of everybody's events: the type, and the
 * action of the journal that it stands for.
 */
const systemActions = {
  "system.email_held": "email.held",
  "system.paused": "sending.paused",
  "system.resumed": "sending.resumed",
  "system.webhook_disabled": "webhook.disabled",
  "system.transport_down": "transport.down",
  "system.transport_up": "transport.up",
  "system.region_silent": "region.silent",
  "system.region_back": "region.back",
  "system.sending_behind": "sending.behind",
  "system.sending_caught_up": "sending.caught_up",
  "system.journal_behind": "journal.behind",
  "system.journal_caught_up": "journal.caught_up",
  "system.journal_broken": "journal.broken",
  "system.journal_sound": "journal.sound",
  "system.webhooks_behind": "webhooks.behind",
  "system.webhooks_caught_up": "webhooks.caught_up",
} as const;

type SystemEventType = keyof typeof systemActions;

export const systemEventTypes = Object.keys(systemActions) as [
  SystemEventType,
  ...SystemEventType[],
];

/** Told to an owner's other endpoints, whatever they asked for: nobody would hear of it otherwise. */
export const disabledType = "webhook.disabled";

/** What an endpoint asks for. */
export type Wishes = Pick<StoredWebhook, "id" | "ownerId" | "isGlobal" | "events" | "tags">;

/** One event as one endpoint is told of it. */
export interface Message {
  /** The `webhook-id` of every try: made of endpoint, position and type, so that none is doubled. */
  id: string;
  type: string;
  event: SealedEvent;
}

/** Actions of the journal that may be of interest to an endpoint. */
export function actionsFor({ isGlobal }: Pick<Wishes, "isGlobal">): readonly string[] {
  const system = isGlobal ? Object.values(systemActions) : [disabledType];
  return [...new Set([...emailEventTypes, ...system])];
}

/**
 * The wall between owners for endpoints: what is somebody else's is told to global ones alone. An
 * event may be told twice, as what happened to an email and as what its operator must hear.
 */
export function messagesOf(event: SealedEvent, wishes: Wishes): Message[] {
  if (!wishes.isGlobal && event.ownerId !== wishes.ownerId) return [];
  return typesOf(event, wishes).map((type) => ({
    id: messageId(wishes.id, event.position, type),
    type,
    event,
  }));
}

function typesOf(event: SealedEvent, wishes: Wishes): string[] {
  const isEmails = (emailEventTypes as readonly string[]).includes(event.action);
  const isTagged = wishes.tags.length === 0 || wishes.tags.some((tag) => event.tags.includes(tag));
  const types = isEmails && isTagged && isAsked(wishes, event.action) ? [event.action] : [];
  if (wishes.isGlobal) {
    const told = systemEventTypes.filter(
      (type) => systemActions[type] === event.action && isOfSystem(event) && isAsked(wishes, type),
    );
    return [...types, ...told];
  }
  const isOthers = event.action === disabledType && event.detail.webhook_id !== wishes.id;
  return isOthers ? [disabledType] : types;
}

/** A person's hold is no news for an operator. */
function isOfSystem({ action, detail }: SealedEvent): boolean {
  return action !== "email.held" || detail.reason === "poison";
}

function isAsked({ events }: Pick<Wishes, "events">, type: string): boolean {
  const group = `${type.slice(0, type.indexOf("."))}.*`;
  return events.includes(type) || events.includes(group);
}

export function messageId(webhookId: string, position: number, type: string): string {
  const hash = createHash("sha256").update(`${webhookId}:${position}:${type}`).digest();
  return `msg_${hash.subarray(0, 20).toString("base64url")}`;
}

/** The body of every try: JSON, as the contract says. */
export function bodyOf({ type, event }: Pick<Message, "type" | "event">, keyRing: KeyRing): string {
  if (type.startsWith("email.")) return JSON.stringify(publicEvent(event, keyRing));
  const { emailId, ownerId, actor, detail } = event;
  const about = { ...(emailId !== null && { email_id: emailId }), owner_id: ownerId, actor };
  return JSON.stringify({ type, timestamp: event.at.toISOString(), data: { ...about, ...detail } });
}
