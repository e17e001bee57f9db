import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { claimedOne, claimOne } from "../testing/fixtures/claim-one.ts";
import { adminClaims, newEmail, scheduleRequest } from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type Attempts, createAttempts } from "./attempts.ts";
import { createEmails, type Emails } from "./emails.ts";
import { createPauses } from "./pauses.ts";
import type { NewEmail, ScheduledEmail } from "./stored-email.ts";

setDefaultTimeout(60_000);

const claimant = {
  workerId: "00000000-0000-7000-8000-00000000000a",
  region: "local",
  transport: "smtp.example:25",
};
const stranger = { ...claimant, workerId: "00000000-0000-7000-8000-00000000000b" };

describe.each(drivers)("claimed as it is accepted, over $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  let attempts: Attempts;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database, claimant);
    attempts = createAttempts(opened.database, claimant);
  });
  afterAll(() => opened?.close());

  async function accept(email: NewEmail, by: Emails = emails): Promise<ScheduledEmail> {
    const answer = await by.schedule(scheduleRequest([email]));
    const [accepted] = answer.kind === "accepted" ? answer.emails : [];
    if (!accepted) throw new Error(answer.kind);
    return accepted;
  }
  const statusOf = async (id: string) => (await emails.get(id, adminClaims))?.status;

  test("what is due is claimed, which nobody sees before its fence", async () => {
    const { id, token, delayMs } = await accept(newEmail({ isClaimed: true }));
    expect({ token, delayMs }).toEqual({ token: 1, delayMs: null });
    expect(await statusOf(id)).toBe("pending");
    expect(await emails.events(id, adminClaims)).toHaveLength(1);
    // Nobody else can claim it, and the token is as good as any.
    expect(await claimOne(opened.database, attempts, id)).toBeNull();
    expect(await attempts.fence(id, 1, new Date())).toEqual({ granted: true });
    expect(await statusOf(id)).toBe("sending");
    const events = await emails.events(id, adminClaims);
    expect(events?.map(({ action, sequence }) => [action, sequence])).toEqual([
      ["email.scheduled", 1],
      ["email.sending", 2],
    ]);
    expect(events?.[1]).toMatchObject({
      actor: "taskforce-mailer:worker:local",
      detail: { status: "sending", attempt: 1, transport: "smtp.example:25", region: "local" },
    });
  });

  test("what can still be cancelled is not sent", async () => {
    const { id } = await accept(newEmail({ isClaimed: true }));
    expect(await emails.cancel(id, adminClaims, null)).toBe("cancelled");
    expect(await attempts.fence(id, 1, new Date())).toEqual({
      granted: false,
      reason: "cancelled",
    });
  });

  test("what is given back is claimed again under a new token", async () => {
    const { id } = await accept(newEmail({ isClaimed: true }));
    const release = { id, token: 1, reason: "aborted", delayMs: 0 };
    expect(await attempts.release(release)).toEqual({ applied: true, delayMs: 0 });
    expect(await claimedOne(opened.database, attempts, id)).toMatchObject({ token: 2 });
  });

  const later = () => new Date(Date.now() + 60_000);
  const past = () => new Date(Date.now() - 1_000);
  test.each([
    ["due later", (): Partial<NewEmail> => ({ scheduledAt: later() })],
    ["too late already", (): Partial<NewEmail> => ({ expiresAt: past(), onLate: "hold" })],
    ["nobody's to claim", (): Partial<NewEmail> => ({ isClaimed: false })],
  ])("what is %s stays pending", async (_, fields) => {
    const { id, token } = await accept(newEmail({ isClaimed: true, ...fields() }));
    expect([token, await statusOf(id)]).toEqual([null, "pending"]);
  });

  test("the same again changes nothing, and the claim is still ours and nobody else's", async () => {
    const email = newEmail({ isClaimed: true });
    const first = await accept(email);
    expect(await accept(email)).toEqual(first);
    expect((await accept(email, createEmails(opened.database, stranger))).token).toBeNull();
    expect(await emails.events(first.id, adminClaims)).toHaveLength(1);
    await attempts.fence(first.id, 1, new Date());
    expect((await accept(email)).token).toBeNull();
  });

  test.each(["region", "owner"] as const)(
    "nothing is claimed while the %s is paused",
    async (kind) => {
      const pauses = createPauses(opened.database);
      const root = { claims: adminClaims, origin: null };
      const target = { kind, name: kind === "region" ? "local" : "ada" };
      await pauses.pause({ ...target, reason: "test" }, root);
      const { id, token, delayMs } = await accept(newEmail({ isClaimed: true }));
      await pauses.resume(target, root);
      expect([token, delayMs, await statusOf(id)]).toEqual([null, 0, "pending"]);
      expect(await claimedOne(opened.database, attempts, id)).toMatchObject({ token: 1 });
    },
  );

  test("requests with and without a key share a call, and each is answered for itself", async () => {
    const claim = { path: "/p", key: crypto.randomUUID(), fingerprint: "f", response: "kept" };
    const keyed = () => scheduleRequest([newEmail()], { idempotency: claim });
    const plain = () => scheduleRequest([newEmail({ isClaimed: true }), newEmail()]);
    const other = { ...claim, fingerprint: "other" };
    const answers = await Promise.all([
      emails.schedule(keyed()),
      emails.schedule(plain()),
      emails.schedule(keyed()),
      emails.schedule(scheduleRequest([newEmail()], { idempotency: other })),
      emails.schedule(scheduleRequest([newEmail()], { quota: { perDay: 0, pending: null } })),
    ]);
    expect(answers.map(({ kind }) => kind)).toEqual([
      "accepted",
      "accepted",
      "replayed",
      "reused",
      "quota_exceeded",
    ]);
    expect(answers[1]).toMatchObject({ emails: [{ token: 1 }, { token: null, delayMs: 0 }] });
    expect(answers[2]).toMatchObject({ response: "kept" });
  });
});
