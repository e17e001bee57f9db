import { describe, expect, test } from "bun:test";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import { detailsOf } from "../email/email-details.ts";
import { composeMessage } from "../mail/compose.ts";
import type { WholeEmail } from "../store/stored-email.ts";
import { emailDraft } from "../testing/fixtures/email-draft.ts";
import { encryptDetails, isMessageNeeded, openDetails } from "./stored-details.ts";
import { encryptMessage } from "./stored-message.ts";

const keyRing = createKeyRing({ current: "ab".repeat(32), old: [] });
const [id, ownerId] = ["0b5d2f4e-6a6b-4f0e-9f6e-3f1f2f9f7a11", "ada"];
const ids = { messageId: `<${id}@example.com>` };

/** As far as it matters here: the parts that are encrypted. */
function emailWith(parts: Partial<WholeEmail>): WholeEmail {
  return { id, ownerId, details: null, message: null, ...parts } as WholeEmail;
}

async function stored(draft: ReturnType<typeof emailDraft>): Promise<WholeEmail> {
  const { dataKey, wrappedKey } = keyRing.createDataKey(id, ownerId);
  const { message, places } = await composeMessage(draft, ids);
  const details = encryptDetails(dataKey, detailsOf(draft, places));
  return emailWith({
    wrappedKey,
    details,
    message: await encryptMessage(dataKey, message),
    messageBytes: message.length,
  });
}

describe("the details of an email", () => {
  const bodies = { body: "one\ntwo = 2\n".repeat(300), htmlBody: "<p>ä</p>\r\n".repeat(300) };

  test("hold no body that the message holds, and give back every one", async () => {
    const email = await stored(emailDraft(bodies));
    expect(email.details?.length).toBeLessThan(1_000);
    expect(isMessageNeeded(email, keyRing)).toBe(true);
    expect(openDetails(email, keyRing)).toMatchObject(bodies);
    expect(() => openDetails({ ...email, message: null }, keyRing)).toThrow();
  });

  test("hold a body whose line ends the message does not keep", async () => {
    const body = "one\rtwo\r\nthree\n";
    const email = await stored(emailDraft({ body, htmlBody: null }));
    expect(isMessageNeeded(email, keyRing)).toBe(false);
    expect(openDetails({ ...email, message: null }, keyRing)).toMatchObject({ body });
  });

  test("as earlier versions stored them open as before", async () => {
    const { dataKey, wrappedKey } = keyRing.createDataKey(id, ownerId);
    const { details } = detailsOf(emailDraft(bodies), {});
    const text = dataKey.encryptText(JSON.stringify(details), "details");
    const email = emailWith({ wrappedKey, details: text });
    expect(isMessageNeeded(email, keyRing)).toBe(false);
    expect(openDetails(email, keyRing)).toEqual(details);
  });

  test("of a shredded email are null; what does not open needs no message", () => {
    expect(openDetails(emailWith({ wrappedKey: null }), keyRing)).toBeNull();
    const { wrappedKey } = keyRing.createDataKey(id, ownerId);
    expect(isMessageNeeded(emailWith({ wrappedKey, details: "v1.aaaa.bbbb" }), keyRing)).toBe(
      false,
    );
  });
});
