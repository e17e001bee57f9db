import type { Claims } from "../store/database.ts";
import type { Emails } from "../store/emails.ts";
import type { NewEmail, ScheduledEmail, ScheduleRequest } from "../store/stored-email.ts";

/** An email as `accept` hands it to the store; the ciphertexts are stand-ins. */
export function newEmail(fields: Partial<NewEmail> = {}): NewEmail {
  return {
    id: Bun.randomUUIDv7(),
    region: "local",
    scheduledAt: null,
    expiresAt: null,
    maxLatenessSeconds: null,
    onLate: "send",
    onUncertain: "retry",
    maxRetries: 3,
    maxAgeSeconds: 345_600,
    tags: [],
    metadata: {},
    wrappedKey: "wrapped",
    sender: "sender-ciphertext",
    subject: "subject-ciphertext",
    messageBytes: 5,
    message: new TextEncoder().encode("hello"),
    details: "details-ciphertext",
    recipients: [{ position: 0, kind: "to", address: "address-0", addressIndex: "index-0" }],
    ...fields,
  };
}

/** A recipient list of `count` addresses. */
export function recipientsOf(count: number): NewEmail["recipients"] {
  return Array.from({ length: count }, (_, position) => ({
    position,
    kind: "to",
    address: `address-${position}`,
    addressIndex: `index-${position}`,
  }));
}

export function scheduleRequest(
  emails: NewEmail[],
  fields: Partial<ScheduleRequest> = {},
): ScheduleRequest {
  return {
    ownerId: "ada",
    actor: "ada",
    origin: null,
    idempotency: null,
    emails,
    ...fields,
  };
}

/** Stores emails and returns them in order; fails the test when they are not accepted. */
export async function store(
  emails: Emails,
  drafts: NewEmail[],
  fields: Partial<ScheduleRequest> = {},
): Promise<ScheduledEmail[]> {
  const answer = await emails.schedule(scheduleRequest(drafts, fields));
  if (answer.kind !== "accepted") throw new Error(`not accepted: ${answer.kind}`);
  return answer.emails;
}

export function userClaims(sub: string): Claims {
  return { role: "user", sub };
}

export const adminClaims: Claims = { role: "admin", sub: "root" };
