import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  adminClaims,
  newEmail,
  recipientsOf,
  scheduleRequest,
  store,
  userClaims,
} from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { createEmails, type Emails } from "./emails.ts";
import type { EmailFilter } from "./stored-email.ts";

const ada = userClaims("ada");
const bob = userClaims("bob");
const everything: EmailFilter = {
  statuses: null,
  isDeferred: false,
  tag: null,
  metadata: null,
  addressIndex: null,
  scheduledAfter: null,
  scheduledBefore: null,
};
const firstPage = { limit: 100, offset: 0, cursor: null };

describe.each(drivers)("emails on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
  }, 60_000);
  afterAll(() => opened.close());

  const idempotency = (key: string, fingerprint = "f") => ({
    path: "/api/v1/schedule-mail",
    key,
    fingerprint,
    response: "kept",
  });

  describe("schedule", () => {
    test("what is accepted is there, pending, with everything it came with", async () => {
      const draft = newEmail({
        scheduledAt: new Date("2040-01-01T00:00:00.123Z"),
        tags: ["a", "b"],
        metadata: { order: { id: 7 } },
        recipients: recipientsOf(3),
      });
      const [accepted] = await store(emails, [draft]);
      const delayMs = (draft.scheduledAt?.getTime() ?? 0) - Date.now();
      expect(Math.abs((accepted?.delayMs ?? 0) - delayMs)).toBeLessThan(10_000);
      const email = await emails.get(draft.id, ada, { details: true, message: true });
      expect(email).toMatchObject({
        id: draft.id,
        ownerId: "ada",
        status: "pending",
        version: 1,
        scheduledAt: new Date("2040-01-01T00:00:00.123Z"),
        nextAttemptAt: new Date("2040-01-01T00:00:00.123Z"),
        tags: ["a", "b"],
        metadata: { order: { id: 7 } },
        subject: "subject-ciphertext",
        details: "details-ciphertext",
        attempts: [],
      });
      expect(email?.recipients.map(({ address, status }) => [address, status])).toEqual([
        ["address-0", "pending"],
        ["address-1", "pending"],
        ["address-2", "pending"],
      ]);
      expect(Buffer.from(email?.message ?? []).toString()).toBe("hello");
    });

    test("an email without a time is due now, by the database's clock", async () => {
      const [accepted] = await store(emails, [newEmail()]);
      expect(accepted?.delayMs).toBe(0);
      expect(accepted?.scheduledAt).toEqual(accepted?.createdAt as Date);
    });

    test("a repeated call with the same ids stores nothing twice", async () => {
      const draft = newEmail();
      const [first] = await store(emails, [draft]);
      const [second] = await store(emails, [draft]);
      expect(second).toEqual(first as NonNullable<typeof first>);
      expect((await emails.events(draft.id, ada))?.length).toBe(1);
    });

    test("requests that travel in one commit get their own answers", async () => {
      const drafts = Array.from({ length: 50 }, () => newEmail());
      const answers = await Promise.all(
        drafts.map((draft, n) =>
          emails.schedule(scheduleRequest([draft], { ownerId: `owner-${n}` })),
        ),
      );
      expect(answers.map((answer) => answer.kind === "accepted" && answer.emails[0]?.id)).toEqual(
        drafts.map(({ id }) => id),
      );
    });
  });

  describe("Idempotency-Key", () => {
    test("the same key and body is answered with the first answer", async () => {
      const draft = newEmail();
      await store(emails, [draft], { idempotency: idempotency("k1") });
      const again = await emails.schedule(
        scheduleRequest([newEmail()], { idempotency: idempotency("k1") }),
      );
      expect(again).toMatchObject({ kind: "replayed", response: "kept" });
      const { response: _, ...claim } = idempotency("k1");
      expect(await emails.findIdempotent("ada", claim)).toMatchObject({ kind: "replayed" });
    });

    test("another body under the same key is refused", async () => {
      await store(emails, [newEmail()], { idempotency: idempotency("k2") });
      const other = scheduleRequest([newEmail()], { idempotency: idempotency("k2", "g") });
      expect(await emails.schedule(other)).toEqual({ kind: "reused" });
    });

    test("of many requests at once with one key a single one is stored", async () => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, () =>
          emails.schedule(scheduleRequest([newEmail()], { idempotency: idempotency("k3") })),
        ),
      );
      expect(answers.filter(({ kind }) => kind === "accepted").length).toBe(1);
      expect(answers.filter(({ kind }) => kind === "replayed").length).toBe(19);
    });

    test("owners do not share keys", async () => {
      await store(emails, [newEmail()], { idempotency: idempotency("k4") });
      await store(emails, [newEmail()], { ownerId: "bob", idempotency: idempotency("k4") });
    });
  });

  describe("who sees what", () => {
    test("another owner's email is not there: not to read, list, cancel or replay", async () => {
      const draft = newEmail({ scheduledAt: new Date("2040-01-01T00:00:00Z") });
      await store(emails, [draft]);
      expect(await emails.get(draft.id, bob)).toBeNull();
      expect(await emails.events(draft.id, bob)).toBeNull();
      expect(await emails.cancel(draft.id, bob, null)).toBe("not_found");
      const replay = { scheduledAt: null, origin: null, horizonMs: 0, queuedBy: draft.id };
      expect(await emails.replay(draft.id, bob, replay)).toEqual({ kind: "not_found" });
      const { emails: listed } = await emails.list(everything, firstPage, bob);
      expect(listed.some(({ id }) => id === draft.id)).toBe(false);
      expect((await emails.get(draft.id, adminClaims))?.ownerId).toBe("ada");
    });

    test("a user's claims reach no function of the service", async () => {
      for (const fn of ["accept_emails", "claim_emails", "settle_attempts", "beat"]) {
        expect(await rejection(opened.database.rpc(fn, [], ada))).toMatchObject({
          code: "forbidden",
        });
      }
    });
  });

  describe("list", () => {
    test("filters by tag, metadata, recipient and time, newest first, page by page", async () => {
      const owner = "lister";
      const claims = userClaims(owner);
      const drafts = [0, 1, 2, 3, 4].map((n) =>
        newEmail({
          scheduledAt: new Date(Date.UTC(2040, 0, 1 + n)),
          tags: n % 2 === 0 ? ["even"] : [],
          metadata: { n: String(n) },
          recipients: [{ position: 0, kind: "to", address: "x", addressIndex: `to-${n}` }],
        }),
      );
      for (const draft of drafts) await store(emails, [draft], { ownerId: owner });
      const idsOf = async (filter: Partial<EmailFilter>) =>
        (await emails.list({ ...everything, ...filter }, firstPage, claims)).emails.map((email) =>
          drafts.findIndex(({ id }) => id === email.id),
        );
      expect(await idsOf({})).toEqual([4, 3, 2, 1, 0]);
      expect(await idsOf({ tag: "even" })).toEqual([4, 2, 0]);
      expect(await idsOf({ metadata: { n: "3" } })).toEqual([3]);
      expect(await idsOf({ addressIndex: "to-1" })).toEqual([1]);
      expect(
        await idsOf({
          scheduledAfter: new Date(Date.UTC(2040, 0, 2)),
          scheduledBefore: new Date(Date.UTC(2040, 0, 4)),
        }),
      ).toEqual([2, 1]);
      expect(await idsOf({ statuses: ["sent"] })).toEqual([]);
      expect(await idsOf({ tag: "'; drop table mailer.emails; --" })).toEqual([]);

      const seen: string[] = [];
      let cursor = null;
      do {
        const page = await emails.list(everything, { limit: 2, offset: null, cursor }, claims);
        seen.push(...page.emails.map(({ id }) => id));
        cursor = page.next;
      } while (cursor);
      expect(seen).toEqual(drafts.map(({ id }) => id).reverse());
      const second = await emails.list(everything, { limit: 2, offset: 2, cursor: null }, claims);
      expect(second.total).toBe(5);
      expect(second.emails.map(({ id }) => id)).toEqual(seen.slice(2, 4));
      const totalOf = async (totalMax: number) =>
        (await emails.list(everything, firstPage, claims, { totalMax })).total;
      expect([await totalOf(4), await totalOf(5)]).toEqual([null, 5]);
    });
  });

  describe("cancel", () => {
    test("a pending email is cancelled once, and again says the same", async () => {
      const draft = newEmail({ scheduledAt: new Date("2040-01-01T00:00:00Z") });
      await store(emails, [draft]);
      expect(await emails.cancel(draft.id, ada, "127.0.0.1")).toBe("cancelled");
      expect(await emails.cancel(draft.id, ada, null)).toBe("cancelled");
      const actions = (await emails.events(draft.id, ada))?.map(({ action }) => action);
      expect(actions).toEqual(["email.scheduled", "email.cancelled"]);
    });

    test("an id that does not exist is not found", async () => {
      expect(await emails.cancel(Bun.randomUUIDv7(), ada, null)).toBe("not_found");
    });
  });

  test("stats count the caller's own emails, and everybody's for an admin", async () => {
    const claims = userClaims("counter");
    const later = newEmail({ scheduledAt: new Date("2040-01-01T00:00:00Z") });
    await store(emails, [newEmail(), later], { ownerId: "counter" });
    expect(await emails.stats(claims)).toMatchObject({
      waiting: 1,
      delayed: 1,
      byStatus: { pending: 2 },
    });
    expect((await emails.stats(adminClaims)).byStatus.pending).toBeGreaterThan(2);
  });
});
