import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { claimedOne, claimOne } from "../testing/fixtures/claim-one.ts";
import { newEmail, recipientsOf, store, userClaims } from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { type Attempts, type ClaimedEmail, createAttempts, type Settlement } from "./attempts.ts";
import { partClaims } from "./database.ts";
import { createEmails, type Emails } from "./emails.ts";
import type { NewEmail } from "./stored-email.ts";

const ada = userClaims("ada");
const date = new Date("2026-11-24T03:00:00Z");

describe.each(drivers)("attempts on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  let attempts: Attempts;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
    attempts = createWorkerAttempts();
  }, 60_000);

  function createWorkerAttempts(): Attempts {
    return createAttempts(opened.database, {
      workerId: Bun.randomUUIDv7(),
      region: "local",
      transport: "smtp.example:25",
    });
  }

  afterAll(() => opened.close());

  async function claimed(fields: Partial<NewEmail> = {}): Promise<ClaimedEmail> {
    const draft = newEmail(fields);
    await store(emails, [draft]);
    return claim(draft.id);
  }

  const claim = (id: string) => claimedOne(opened.database, attempts, id);

  const settlement = (email: ClaimedEmail, fields: Partial<Settlement> = {}): Settlement => ({
    id: email.id,
    token: email.token,
    transport: "smtp.example:25",
    outcome: "sent",
    nextState: "sent",
    retryInMs: null,
    smtpCode: 250,
    enhancedCode: "2.0.0",
    reply: "reply-ciphertext",
    recipients: email.recipients.map(({ position }) => ({
      position,
      status: "sent",
      smtpCode: 250,
      enhancedCode: null,
      reply: null,
    })),
    ...fields,
  });

  const statusOf = async (id: string) => (await emails.get(id, ada))?.status;
  const actionsOf = async (id: string) =>
    (await emails.events(id, ada))?.map(({ action }) => action);

  test("an email goes from its claim over the fence to sent, and the timeline tells it", async () => {
    const email = await claimed();
    expect(email).toMatchObject({ attempt: 1, sender: "sender-ciphertext", messageDate: null });
    expect(Buffer.from(email.message ?? []).toString()).toBe("hello");
    expect(await attempts.fence(email.id, email.token, date)).toEqual({ granted: true });
    expect(await attempts.settle(settlement(email))).toMatchObject({ applied: true, attempt: 1 });
    const stored = await emails.get(email.id, ada);
    expect(stored).toMatchObject({ status: "sent", attemptsSpent: 1 });
    expect(stored?.sentAt).toBeInstanceOf(Date);
    expect(stored?.attempts).toMatchObject([
      { number: 1, outcome: "sent", smtpCode: 250, messageDate: date, reply: "reply-ciphertext" },
    ]);
    expect(await actionsOf(email.id)).toEqual(["email.scheduled", "email.sending", "email.sent"]);
    expect(await emails.cancel(email.id, ada, null)).toBe("already_sent");
  });

  test("of many claims of one email a single one is granted", async () => {
    const draft = newEmail();
    await store(emails, [draft]);
    const [region, workers] = ["contended", Array.from({ length: 20 }, createWorkerAttempts)];
    await move(draft.id, region);
    const batches = await Promise.all(workers.map((worker) => worker.claimDue(request(region))));
    await move(draft.id, "local");
    expect(batches.flatMap((batch) => batch.emails.map(({ id }) => id))).toEqual([draft.id]);
  });

  test("a claim whose answer was lost is given back by the audit, and its token is stale then", async () => {
    const lost = await claimed();
    const database = opened.database;
    const workerId = await workerOf(lost.id);
    const audit = { worker_id: workerId, items: [{ id: lost.id, token: lost.token }] };
    const answer = await database.rpc("return_claims", audit, partClaims("worker", "local"));
    expect(answer).toMatchObject({ returned: [{ id: lost.id }], orphans: [] });
    const again = await claim(lost.id);
    expect(again.token).toBeGreaterThan(lost.token);
    expect(await attempts.fence(lost.id, lost.token, date)).toMatchObject({ granted: false });
    expect(await attempts.fence(again.id, again.token, date)).toEqual({ granted: true });
    expect(await actionsOf(lost.id)).toEqual(["email.scheduled", "email.sending"]);
  });

  test("an email is never claimed before its time, and the wait is told", async () => {
    const draft = newEmail({ region: "later", scheduledAt: new Date(Date.now() + 3_600_000) });
    await store(emails, [draft]);
    const batch = await attempts.claimDue(request("later"));
    expect(batch).toMatchObject({ emails: [], hasMore: false });
    expect(batch.nextDueInMs).toBeGreaterThan(3_500_000);
  });

  test("a stale holder in the same commit takes nothing from the current one", async () => {
    const email = await claimed();
    const release = { id: email.id, reason: "aborted", delayMs: 0 };
    await attempts.release({ ...release, token: email.token });
    const next = await claim(email.id);
    const released = await Promise.all(
      [email.token, next.token].map((token) => attempts.release({ ...release, token })),
    );
    expect(released.map(({ applied }) => applied)).toEqual([false, true]);
    const last = await claim(email.id);
    await attempts.fence(last.id, last.token, date);
    const settled = await Promise.all(
      [next, last].map((holder) => attempts.settle(settlement(holder))),
    );
    expect(settled.map(({ applied }) => applied)).toEqual([false, true]);
  });

  test("too late and to be dropped: it expires, nothing is sent", async () => {
    const draft = newEmail({ expiresAt: new Date(Date.now() - 1), onLate: "drop" });
    await store(emails, [draft]);
    expect(await claimOne(opened.database, attempts, draft.id)).toBeNull();
    expect(await statusOf(draft.id)).toBe("expired");
    expect(await emails.cancel(draft.id, ada, null)).toBe("already_expired");
    expect((await emails.events(draft.id, ada))?.at(-1)).toMatchObject({
      action: "email.expired",
      detail: { status: "expired", reason: "too_late" },
    });
  });

  test("before the fence a cancel wins, and the fence refuses", async () => {
    const email = await claimed();
    expect(await emails.cancel(email.id, ada, null)).toBe("cancelled");
    expect(await attempts.fence(email.id, email.token, date)).toEqual({
      granted: false,
      reason: "cancelled",
    });
    const late = settlement(email, { outcome: "bounced", nextState: "failed" });
    expect(await attempts.settle(late)).toEqual({ applied: false, state: "cancelled" });
    expect(await statusOf(email.id)).toBe("cancelled");
  });

  test("after the fence a cancel answers in_flight", async () => {
    const email = await claimed();
    await attempts.fence(email.id, email.token, date);
    expect(await emails.cancel(email.id, ada, null)).toBe("in_flight");
  });

  test("a fence is granted once", async () => {
    const email = await claimed();
    const answers = await Promise.all(
      [1, 2, 3].map(() => attempts.fence(email.id, email.token, date)),
    );
    expect(answers.filter(({ granted }) => granted).length).toBe(1);
  });

  test("a stale holder can neither fence nor settle nor release", async () => {
    const email = await claimed();
    await attempts.release({ id: email.id, token: email.token, reason: "aborted", delayMs: 0 });
    const next = await claim(email.id);
    expect(await attempts.fence(email.id, email.token, date)).toEqual({
      granted: false,
      reason: "stale",
    });
    expect((await attempts.settle(settlement(email))).applied).toBe(false);
    const release = { id: email.id, token: email.token, reason: "aborted", delayMs: 0 };
    expect(await attempts.release(release)).toEqual({ applied: false });
    await attempts.fence(next.id, next.token, date);
    expect((await attempts.settle(settlement(next))).applied).toBe(true);
  });

  test("settling twice changes nothing the second time", async () => {
    const email = await claimed();
    await attempts.fence(email.id, email.token, date);
    await attempts.settle(settlement(email));
    expect((await attempts.settle(settlement(email))).applied).toBe(false);
    expect((await emails.get(email.id, ada))?.attempts.length).toBe(1);
  });

  test("a release spends no attempt and is never earlier than it was", async () => {
    const email = await claimed();
    const answer = await attempts.release({
      id: email.id,
      token: email.token,
      reason: "transport_refused",
      delayMs: 30_000,
    });
    expect(answer).toMatchObject({ applied: true });
    expect(answer.applied && answer.delayMs).toBeGreaterThan(29_000);
    const stored = await emails.get(email.id, ada);
    expect(stored).toMatchObject({ status: "pending", attemptsSpent: 0, attempts: [] });
    const delayMs = (stored?.nextAttemptAt?.getTime() ?? 0) - Date.now();
    expect(delayMs).toBeGreaterThan(20_000);
  });

  test("after a partial acceptance only the deferred recipient is tried again", async () => {
    const email = await claimed({ recipients: recipientsOf(3) });
    await attempts.fence(email.id, email.token, date);
    const answer = await attempts.settle(
      settlement(email, {
        outcome: "partial",
        nextState: "pending",
        retryInMs: 0,
        recipients: (["sent", "deferred", "bounced"] as const).map((status, position) => ({
          position,
          status,
          smtpCode: 250 + position,
          enhancedCode: null,
          reply: null,
        })),
      }),
    );
    expect(answer).toMatchObject({ applied: true, state: "pending", delayMs: 0 });
    expect(await emails.cancel(email.id, ada, null)).toBe("already_sent");
    const again = await claim(email.id);
    expect(again.recipients.map(({ position }) => position)).toEqual([1]);
    expect(again).toMatchObject({ attempt: 2, sentBefore: 1, bouncedBefore: 1 });
    await attempts.fence(again.id, again.token, date);
    const events = await emails.events(email.id, ada);
    expect(events?.map(({ action }) => action)).toEqual([
      "email.scheduled",
      "email.sending",
      "email.bounced",
      "email.deferred",
      "email.sending",
    ]);
    expect(events?.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
  });

  test("an attempt after an uncertain one repeats its Date, however many lie between", async () => {
    const email = await claimed();
    await attempts.fence(email.id, email.token, date);
    const uncertain = { outcome: "uncertain", nextState: "pending", retryInMs: 0 } as const;
    await attempts.settle(settlement(email, { ...uncertain, recipients: [] }));
    expect(await emails.cancel(email.id, ada, null)).toBe("outcome_uncertain");
    const second = await claim(email.id);
    expect(second.messageDate).toEqual(date);
    const deferred = { outcome: "deferred", nextState: "pending", retryInMs: 0 } as const;
    await attempts.settle(settlement(second, { ...deferred, recipients: [] }));
    expect((await claim(email.id)).messageDate).toEqual(date);
  });

  test("a dead letter is replayed to those who have not got it, with its tries counted anew", async () => {
    const email = await claimed({ recipients: recipientsOf(2) });
    await attempts.fence(email.id, email.token, date);
    const recipients = (["sent", "bounced"] as const).map((status, position) => ({
      position,
      status,
      smtpCode: 550,
      enhancedCode: null,
      reply: null,
    }));
    await attempts.settle(
      settlement(email, { outcome: "partial", nextState: "partially_sent", recipients }),
    );
    const replay = { scheduledAt: null, origin: null };
    expect(await emails.replay(email.id, ada, replay)).toEqual({
      kind: "replayed",
      delayMs: 0,
    });
    const again = await claim(email.id);
    expect(again).toMatchObject({ attempt: 2, attemptsBefore: 1 });
    expect(again.recipients.map(({ position }) => position)).toEqual([1]);
    expect(await emails.replay(email.id, ada, replay)).toMatchObject({ kind: "not_a_dead_letter" });
  });

  test("a large message comes by itself, to the holder of the token only", async () => {
    const message = new Uint8Array(100_000).fill(7);
    const email = await claimed({ message, messageBytes: message.length });
    expect(email.message).toBeNull();
    expect(await attempts.readMessage(email)).toEqual(Buffer.from(message));
    expect(await attempts.readMessage({ ...email, token: email.token + 1 })).toBeNull();
  });

  test("of several claimed in one call each gets its own message, whatever became of others", async () => {
    const region = "messages";
    const late = { expiresAt: new Date(Date.now() - 1), onLate: "drop" as const };
    const texts = ["first", "l".repeat(100_000), "", "too late", "\f,\n behind", "last"];
    const drafts = texts.map((text) => {
      const message = Buffer.from(text);
      const fields = { region, message, messageBytes: message.length };
      return newEmail({ ...fields, ...(text === "too late" && late) });
    });
    await store(emails, drafts);
    const batch = await attempts.claimDue(request(region));
    const messages = drafts.map(({ id }) => {
      const email = batch.emails.find((one) => one.id === id);
      return email && (email.message?.toString() ?? null);
    });
    expect(messages).toEqual(["first", null, "", undefined, "\f,\n behind", "last"]);
  });

  const request = (region: string) => ({
    ...{ region, limit: 100, aheadMs: 0, perOwner: 100, holds: {}, after: "", suspects: true },
  });
  async function direct(text: string, values: unknown[]) {
    const sql = await directSql(opened.database);
    try {
      return await sql.query(text, values);
    } finally {
      await sql.close();
    }
  }
  const move = (id: string, region: string) =>
    direct("update mailer.emails set region = $2 where id = $1", [id, region]);
  const workerOf = async (id: string) =>
    (await direct("select worker_id from mailer.emails where id = $1", [id]))[0]?.worker_id;
});
