import { z } from "zod";
import { emailEventTypes } from "../../email/event-types.ts";
import { testTypes } from "../../webhooks/endpoints.ts";
import { systemEventTypes } from "../../webhooks/messages.ts";
import { boundedList, boundField, expecting } from "./field-schemas.ts";

const wishes = ["email.*", ...emailEventTypes, "system.*", ...systemEventTypes] as const;
const urlExpected = expecting("a URL that starts with https://, of at most 2048 characters");
const eventsWords = `a list of 1 to ${wishes.length} of ${wishes.join(", ")}`;
const tagExpected = expecting("a tag of 1 to 64 ASCII characters");
const descriptionExpected = expecting("a description of at most 500 characters on one line");
const flag = z.boolean(expecting("true or false")).optional();

const url = z.string(urlExpected).max(2_048, urlExpected).min(1, urlExpected);
const events = boundedList(z.enum(wishes, expecting(`one of ${wishes.join(", ")}`)), {
  max: wishes.length,
  list: eventsWords,
  tooMany: eventsWords,
}).refine((list) => list.length > 0, expecting(eventsWords));
const tags = boundedList(z.string(tagExpected).regex(/^[\x20-\x7e]{1,64}$/, tagExpected), {
  max: 10,
  list: "a list of tags",
  tooMany: "at most 10 tags",
});
const description = z
  .string(descriptionExpected)
  .max(500, descriptionExpected)
  .refine((text) => !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text), descriptionExpected);

const secretExpected = expecting("whsec_ and the base64 of 24 to 64 bytes");
/** A secret of the caller's own; quoted nowhere. */
const secret = z
  .string(secretExpected)
  .refine(isSecret, { error: "expected whsec_ and the base64 of 24 to 64 bytes, got another text" })
  .optional();

function isSecret(text: string): boolean {
  const base64 = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text)?.[1];
  if (base64 === undefined || base64.length % 4 !== 0) return false;
  const { length } = Buffer.from(base64, "base64");
  return length >= 24 && length <= 64;
}

export const webhookSchema = z.strictObject({
  url,
  events: events.optional(),
  tags: tags.optional(),
  description: description.optional(),
  enabled: flag,
  all_owners: flag,
  secret,
});

export const webhookChangeSchema = z.strictObject({
  url: url.optional(),
  events: events.optional(),
  tags: tags.optional(),
  description: description.nullable().optional(),
  enabled: flag,
});

export const rotateSecretSchema = z.strictObject({ secret });

export const webhookTestSchema = z.strictObject({
  type: z.enum(testTypes, expecting(`one of ${testTypes.join(", ")}`)).optional(),
});

const rateExpected = expecting("a number from 0.01 to 100000");
export const webhookReplaySchema = z.strictObject({
  from: boundField,
  to: boundField,
  rate_per_minute: z
    .number(rateExpected)
    .min(0.01, rateExpected)
    .max(100_000, rateExpected)
    .optional(),
  dry_run: flag,
});
