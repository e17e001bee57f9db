import { expect, test } from "bun:test";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import { createByteSemaphore } from "../runtime/byte-semaphore.ts";
import type { Emails } from "../store/emails.ts";
import { emailDraft } from "../testing/fixtures/email-draft.ts";
import { createAccept } from "./accept.ts";

test("between the emails of a batch everything else gets a turn", async () => {
  let turns = 0;
  const seen: number[] = [];
  let immediate = setImmediate(function count() {
    turns++;
    immediate = setImmediate(count);
  });
  const accept = createAccept({
    emails: { schedule: () => Promise.reject(new Error("composed")) } as unknown as Emails,
    keyRing: createKeyRing({ current: "ab".repeat(32), old: [] }),
    semaphore: createByteSemaphore({ bytesMax: 2 ** 30 }),
    ticks: { add: () => {} },
    region: "local",
    messageBytesMax: 2 ** 20,
    newId: () => {
      seen.push(turns);
      return Bun.randomUUIDv7();
    },
  });
  const drafts = Array.from({ length: 20 }, () => emailDraft());
  const request = { ownerId: "ada", origin: null, drafts, idempotency: null };
  try {
    await expect(accept.accept(request)).rejects.toThrow("composed");
  } finally {
    clearImmediate(immediate);
  }
  expect(seen).toHaveLength(20);
  for (const [i, turn] of seen.slice(1).entries()) expect(turn).toBeGreaterThan(seen[i] ?? 0);
});
