import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { drivers, type OpenDatabase } from "../testing/databases.ts";
import { newEmail, recipientsOf, store, userClaims } from "../testing/new-email.ts";
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
  let other: Attempts;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
    [attempts, other] = [createWorkerAttempts(), createWorkerAttempts()];
  }, 60_000);

  function createWorkerAttempts(): Attempts {
    return createAttempts(opened.database, {
      workerId: Bun.randomUUIDv7(),
      region: "local",
      transport: "smtp.example:25",
      horizonMs: 600_000,
    });
  }

  afterAll(() => opened.close());

  async function claimed(fields: Partial<NewEmail> = {}): Promise<ClaimedEmail> {
    const draft = newEmail(fields);
    await store(emails, [draft]);
    return claim(draft.id, 1);
  }

  async function claim(id: string, wake: number): Promise<ClaimedEmail> {
    const answer = await attempts.claim(id, wake);
    if (answer.kind !== "claimed") throw new Error(`not claimed: ${answer.kind}`);
    return answer.email;
  }

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

  test("of many claims for one wake a single one is granted", async () => {
    const draft = newEmail();
    await store(emails, [draft]);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => attempts.claim(draft.id, 1)),
    );
    expect(answers.filter(({ kind }) => kind === "claimed").length).toBe(1);
    expect(answers.filter(({ kind }) => kind === "stale").length).toBe(19);
  });

  test("a claim whose answer was lost is granted again to its worker, and only until the fence", async () => {
    const lost = await claimed();
    const again = { isAgain: true };
    expect(await other.claim(lost.id, 1, again)).toEqual({ kind: "stale" });
    const answer = await attempts.claim(lost.id, 1, again);
    if (answer.kind !== "claimed") throw new Error(answer.kind);
    expect(answer.email.token).toBeGreaterThan(lost.token);
    expect(await attempts.fence(lost.id, lost.token, date)).toMatchObject({ granted: false });
    expect(await attempts.fence(lost.id, answer.email.token, date)).toEqual({ granted: true });
    expect(await attempts.claim(lost.id, 1, again)).toEqual({ kind: "stale" });
  });

  test("an email is never claimed before its time, and the wait is told", async () => {
    const draft = newEmail({ scheduledAt: new Date(Date.now() + 3_600_000) });
    await store(emails, [draft]);
    const answer = await attempts.claim(draft.id, 1);
    if (answer.kind !== "not_due") throw new Error(answer.kind);
    expect(answer.dueInMs).toBeGreaterThan(3_500_000);
    expect(await attempts.rewake(draft.id, 1)).toMatchObject({ wake: 2 });
    expect(await attempts.rewake(draft.id, 1)).toBeNull();
  });

  test("a job of an older wake is stale", async () => {
    const email = await claimed();
    await attempts.release({ id: email.id, token: email.token, reason: "aborted", delayMs: 0 });
    expect(await attempts.claim(email.id, 1)).toEqual({ kind: "stale" });
    expect((await claim(email.id, 2)).token).toBeGreaterThan(email.token);
  });

  test("a stale job in the same commit takes nothing from the current one", async () => {
    const email = await claimed();
    await attempts.release({ id: email.id, token: email.token, reason: "aborted", delayMs: 0 });
    const answers = await Promise.all([1, 2, 1].map((wake) => attempts.claim(email.id, wake)));
    expect(answers.map(({ kind }) => kind)).toEqual(["stale", "claimed", "stale"]);
  });

  test("a stale holder in the same commit takes nothing from the current one", async () => {
    const email = await claimed();
    const release = { id: email.id, reason: "aborted", delayMs: 0 };
    await attempts.release({ ...release, token: email.token });
    const next = await claim(email.id, 2);
    const released = await Promise.all(
      [email.token, next.token].map((token) => attempts.release({ ...release, token })),
    );
    expect(released.map(({ applied }) => applied)).toEqual([false, true]);
    const last = await claim(email.id, 3);
    await attempts.fence(last.id, last.token, date);
    const settled = await Promise.all(
      [next, last].map((holder) => attempts.settle(settlement(holder))),
    );
    expect(settled.map(({ applied }) => applied)).toEqual([false, true]);
  });

  test("too late and to be dropped: it expires, nothing is sent", async () => {
    const draft = newEmail({ expiresAt: new Date(Date.now() - 1), onLate: "drop" });
    await store(emails, [draft]);
    expect(await attempts.claim(draft.id, 1)).toEqual({ kind: "expired" });
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
    const next = await claim(email.id, 2);
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
    expect(answer).toMatchObject({ applied: true, wake: 2 });
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
    const again = await claim(email.id, 2);
    expect(again.recipients.map(({ position }) => position)).toEqual([1]);
    expect(again).toMatchObject({ attempt: 2, sentBefore: 1, bouncedBefore: 1 });
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
    const second = await claim(email.id, 2);
    expect(second.messageDate).toEqual(date);
    const deferred = { outcome: "deferred", nextState: "pending", retryInMs: 0 } as const;
    await attempts.settle(settlement(second, { ...deferred, recipients: [] }));
    expect((await claim(email.id, 3)).messageDate).toEqual(date);
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
    const replay = { scheduledAt: null, origin: null, horizonMs: 1000, queuedBy: email.id };
    expect(await emails.replay(email.id, ada, replay)).toEqual({
      kind: "replayed",
      wake: 3,
      delayMs: 0,
    });
    const again = await claim(email.id, 3);
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
    const texts = ["first", "l".repeat(100_000), "", "\f,\n behind", "last"];
    const drafts = texts.map((text) => {
      const message = Buffer.from(text);
      return newEmail({ message, messageBytes: message.length });
    });
    await store(emails, drafts);
    const wakes = [1, 1, 1, 1, 1, 7];
    const ids = [...drafts.map(({ id }) => id), drafts[0]?.id ?? ""];
    const answers = await Promise.all(ids.map((id, at) => attempts.claim(id, wakes[at] ?? 0)));
    const messages = answers.map((answer) =>
      answer.kind === "claimed" ? (answer.email.message?.toString() ?? null) : answer.kind,
    );
    expect(messages).toEqual(["first", null, "", "\f,\n behind", "last", "stale"]);
  });

  test("a program of an earlier release finds the message within the answer's JSON", async () => {
    const draft = newEmail({ message: Buffer.alloc(33), messageBytes: 5 });
    await store(emails, [draft]);
    expect(await claimAsBefore(draft.id)).toMatchObject([
      { kind: "claimed", message: Buffer.from(draft.message).toString("base64") },
    ]);
  });

  test("a program of an earlier release leaves a compressed message to who can read it", async () => {
    const draft = newEmail({ message: Buffer.alloc(32), messageBytes: 5 });
    await store(emails, [draft]);
    // Longer than it keeps an email that is not due, so it gives it back, for a second later.
    expect(await claimAsBefore(draft.id)).toEqual([{ kind: "not_due", due_in_ms: 3_600_000 }]);
    expect(await attempts.rewake(draft.id, 1)).toEqual({ wake: 2, delayMs: 1000 });
    expect(await attempts.claim(draft.id, 2)).toMatchObject({ kind: "claimed" });
  });

  function claimAsBefore(id: string): Promise<unknown> {
    const args = {
      worker_id: Bun.randomUUIDv7(),
      region: "local",
      transport: "smtp",
      inline_bytes_max: 65_536,
      items: [{ id, wake: 1, isolated: false, again: false }],
    };
    return opened.database.rpc("claim_emails", args, partClaims("worker", "local"));
  }
});
