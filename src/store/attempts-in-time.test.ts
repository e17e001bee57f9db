import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { claimedOne, claimOne } from "../testing/fixtures/claim-one.ts";
import { newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { type Attempts, type ClaimedEmail, createAttempts } from "./attempts.ts";
import { createEmails, type Emails } from "./emails.ts";
import type { NewEmail } from "./stored-email.ts";

const ada = userClaims("ada");
const date = new Date("2026-11-24T03:00:00Z");

describe.each(drivers)("attempts in time on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  let attempts: Attempts;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
    attempts = createAttempts(opened.database, {
      workerId: Bun.randomUUIDv7(),
      region: "local",
      transport: "smtp.example:25",
    });
  }, 60_000);
  afterAll(() => opened.close());

  async function claimed(
    fields: Partial<NewEmail>,
    options: { aheadMs?: number } = {},
  ): Promise<ClaimedEmail> {
    const draft = newEmail(fields);
    await store(emails, [draft]);
    return await claimedOne(opened.database, attempts, draft.id, options);
  }

  describe("an email that is claimed before its time", () => {
    const claimedAhead = (dueInMs: number) =>
      claimed({ scheduledAt: new Date(Date.now() + dueInMs) }, { aheadMs: 10_000 });

    test("is granted to who asks for it so long before", async () => {
      const draft = newEmail({ scheduledAt: new Date(Date.now() + 1_500) });
      await store(emails, [draft]);
      const claim = (aheadMs: number) => claimOne(opened.database, attempts, draft.id, { aheadMs });
      expect(await claim(50)).toBeNull();
      expect(await claim(10_000)).toMatchObject({ id: draft.id });
    });

    test("is fenced at its time and not before, and its attempt begins then", async () => {
      const email = await claimedAhead(1_500);
      expect(email.dueInMs).toBeGreaterThan(0);
      expect(email.dueInMs).toBeLessThanOrEqual(1_500);
      expect(await attempts.fence(email.id, email.token, date)).toEqual({
        granted: false,
        reason: "fence_failed",
      });
      await Bun.sleep(email.dueInMs);
      expect(await attempts.fence(email.id, email.token, date)).toEqual({ granted: true });
      const { id, token, recipients } = email;
      const reply = { smtpCode: 250, enhancedCode: "2.0.0", reply: null };
      await attempts.settle({
        ...{ id, token, ...reply },
        ...{ transport: "smtp.example:25", outcome: "sent", nextState: "sent", retryInMs: null },
        recipients: recipients.map(({ position }) => ({ position, status: "sent", ...reply })),
      });
      const stored = await emails.get(email.id, ada);
      const startedAt = stored?.attempts[0]?.startedAt.getTime() ?? 0;
      expect(startedAt).toBeGreaterThanOrEqual(stored?.scheduledAt.getTime() ?? Infinity);
    });

    test("waits for its time, however long the claim took", async () => {
      const sql = await directSql(opened.database);
      await sql.query(`create function mailer.dawdle() returns trigger language plpgsql
        as $$ begin perform pg_sleep(1.5); return new; end $$`);
      await sql.query(`create trigger dawdle before update of state on mailer.emails
        for each row execute function mailer.dawdle()`);
      try {
        const scheduledAt = new Date(Date.now() + 6_000);
        const { dueInMs } = await claimed({ scheduledAt }, { aheadMs: 10_000 });
        const isDueAt = Date.now() + dueInMs;
        // Not before its time; the claim's 1.5 s are no part of the wait.
        expect(isDueAt - scheduledAt.getTime()).toBeWithin(-1, 1_200);
      } finally {
        await sql.query("drop function mailer.dawdle() cascade");
        await sql.close();
      }
    });

    test("can be cancelled until its fence", async () => {
      const email = await claimedAhead(500);
      expect(await emails.cancel(email.id, ada, null)).toBe("cancelled");
      await Bun.sleep(email.dueInMs);
      expect(await attempts.fence(email.id, email.token, date)).toEqual({
        granted: false,
        reason: "cancelled",
      });
    });

    test("is found lost once it is cancelled, or somebody else's", async () => {
      const [kept, cancelled, taken] = [
        await claimedAhead(9_000),
        await claimedAhead(9_000),
        await claimedAhead(9_000),
      ];
      const held = [kept, cancelled, taken].map(({ id, token }) => ({ id, token }));
      expect(await attempts.findRevoked(held)).toEqual([]);
      expect(await emails.cancel(cancelled.id, ada, null)).toBe("cancelled");
      const { id, token } = taken;
      await attempts.release({ id, token, reason: "aborted", delayMs: 0 });
      await claimedOne(opened.database, attempts, id, { aheadMs: 10_000 });
      expect((await attempts.findRevoked(held)).sort()).toEqual([cancelled.id, id].sort());
      expect(await attempts.findRevoked([{ id: Bun.randomUUIDv7(), token: 1 }])).toHaveLength(1);
    });

    test("is younger than nothing until its time", async () => {
      const { ageMs, dueInMs } = await claimedAhead(1_500);
      expect(Math.abs(ageMs + dueInMs)).toBeLessThanOrEqual(1);
    });

    test("is due at once for who claims it at its time", async () => {
      expect((await claimed({})).dueInMs).toBe(0);
    });
  });

  describe("an email that may not be late", () => {
    const late = (onLate: NewEmail["onLate"]) =>
      claimed({ onLate, expiresAt: new Date(Date.now() + 400) });

    test.each([
      ["drop", "expired"],
      ["hold", "held"],
    ] as const)(
      "on_late %s: is not fenced when it has become so after its claim, but %s",
      async (onLate, end) => {
        const email = await late(onLate);
        expect(email.expiresInMs).toBeGreaterThan(0);
        expect(email.expiresInMs).toBeLessThanOrEqual(400);
        await Bun.sleep((email.expiresInMs ?? 0) + 5);
        expect(await attempts.fence(email.id, email.token, date)).toEqual({
          granted: false,
          reason: "fence_failed",
        });
        const { id, token } = email;
        await attempts.release({ id, token, reason: "fence_failed", delayMs: 0 });
        expect(await claimOne(opened.database, attempts, id)).toBeNull();
        expect(await emails.get(id, ada)).toMatchObject({ status: end });
      },
    );

    test("is fenced all the same where it is to be sent late", async () => {
      const email = await late("send");
      expect(email.expiresInMs).toBeNull();
      await Bun.sleep(450);
      expect(await attempts.fence(email.id, email.token, date)).toEqual({ granted: true });
    });
  });
});
