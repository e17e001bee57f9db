import { emailEventTypes } from "../../../email/event-types.ts";
import type { StoredWebhook } from "../../../store/webhooks.ts";
import { systemEventTypes } from "../../../webhooks/messages.ts";

/** What stands in the form, as it was typed. */
export interface WebhookFields {
  url: string;
  events: readonly string[];
  /** Parted by spaces. */
  tags: string;
  description: string;
  isEnabled: boolean;
  isGlobal: boolean;
}

export const emailWishes: readonly string[] = ["email.*", ...emailEventTypes];
/** Told only to an endpoint that hears of everybody's events. */
export const systemWishes: readonly string[] = ["system.*", ...systemEventTypes];

export const emptyWebhookFields: WebhookFields = {
  url: "",
  events: ["email.*"],
  tags: "",
  description: "",
  isEnabled: true,
  isGlobal: false,
};

/** What the form to change one is filled with. */
export function fieldsOfWebhook(webhook: StoredWebhook): WebhookFields {
  const { url, events, tags, description, isEnabled, isGlobal } = webhook;
  const texts = { tags: tags.join(", "), description: description ?? "" };
  return { url, events, ...texts, isEnabled, isGlobal };
}

/** Whatever a browser sends; `form` with every value of a name that occurs several times. */
export function webhookFieldsOf(form: Record<string, unknown>): WebhookFields {
  const { url, events, tags, description, enabled, all_owners: isGlobal } = form;
  return {
    url: typeof url === "string" ? url.trim() : "",
    events: [events].flat().filter((one) => typeof one === "string"),
    tags: typeof tags === "string" ? tags : "",
    description: typeof description === "string" ? description.trim() : "",
    isEnabled: enabled === "true",
    isGlobal: isGlobal === "true",
  };
}

/** The body of POST /webhooks: judged by the same rules, in the same words. */
export function webhookBodyOf({ url, events, tags, description, isGlobal }: WebhookFields) {
  const said = description === "" ? {} : { description };
  return { url, events, tags: tagsIn(tags), all_owners: isGlobal, ...said };
}

/** The body of PATCH /webhooks/{id}: what was left as it was is left out. */
export function webhookChangeOf(fields: WebhookFields, before: WebhookFields) {
  const { url, events, tags, description, isEnabled } = fields;
  const isSameEvents = new Set(events).symmetricDifference(new Set(before.events)).size === 0;
  return {
    ...(url === before.url ? {} : { url }),
    ...(isSameEvents ? {} : { events }),
    // A tag may hold a space, by which this field is parted.
    ...(tags === before.tags ? {} : { tags: tagsIn(tags) }),
    ...(description === before.description ? {} : { description: description || null }),
    ...(isEnabled === before.isEnabled ? {} : { enabled: isEnabled }),
  };
}

const tagsIn = (text: string) => text.split(/[\s,]+/).filter((tag) => tag !== "");
