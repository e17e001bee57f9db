import { expect, test } from "bun:test";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import { createByteSemaphore } from "../runtime/byte-semaphore.ts";
import type { Emails } from "../store/emails.ts";
import { emailDraft } from "../testing/fixtures/email-draft.ts";
import { createAccept, type RefusedDraft } from "./accept.ts";

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

test("a permissive batch leaves out a draft with a header that cannot be written", async () => {
  const stored: unknown[] = [];
  const accept = createAccept({
    emails: {
      schedule: async ({ emails }: { emails: unknown[] }) => {
        stored.push(...emails);
        const at = { scheduledAt: new Date(), createdAt: new Date(), delayMs: 0, token: null };
        return { kind: "accepted", emails: emails.map((_, n) => ({ id: `${n}`, ...at })) };
      },
    } as unknown as Emails,
    keyRing: createKeyRing({ current: "ab".repeat(32), old: [] }),
    semaphore: createByteSemaphore({ bytesMax: 2 ** 30 }),
    ticks: { add: () => {} },
    region: "local",
    messageBytesMax: 2 ** 20,
    newId: () => Bun.randomUUIDv7(),
  });
  const drafts = [emailDraft({ headers: { "List-Id": "x".repeat(1_200) } }), emailDraft()];
  const request = { ownerId: "ada", origin: null, drafts, idempotency: null };
  const pointerOf = (place: number) => `/emails/${place + 7}`;
  const strict = accept.accept({ ...request, batch: { pointerOf } });
  await expect(strict).rejects.toMatchObject({
    code: "invalid_content",
    faults: [{ pointer: "/emails/7" }],
  });
  expect(stored).toHaveLength(0);
  const noteOf = (refused: RefusedDraft[]) =>
    refused.map(({ place, error }) => [place, error.code, error.faults[0]?.pointer]);
  const answer = await accept.accept({ ...request, batch: { pointerOf, noteOf } });
  expect(answer.note).toEqual([[0, "invalid_content", "/emails/7"]]);
  expect([answer.emails.length, stored.length]).toEqual([1, 1]);
});
