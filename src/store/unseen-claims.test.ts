import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { EmailState } from "../email/email.ts";
import { claimedOne, claimOne } from "../testing/fixtures/claim-one.ts";
import {
  adminClaims,
  newEmail,
  scheduleRequest,
  store,
  userClaims,
} from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { type Attempts, type Claim, createAttempts } from "./attempts.ts";
import { createBulkCancel } from "./bulk-cancel.ts";
import { type Changes, createChanges } from "./changes.ts";
import type { Claims } from "./database.ts";
import { createEmails, type Emails } from "./emails.ts";
import { createJournal } from "./journal.ts";
import { createPauses } from "./pauses.ts";

setDefaultTimeout(60_000);

const date = new Date("2026-11-24T03:00:00Z");
const page = { limit: 10, offset: 0, cursor: null };
const anyEmail = {
  statuses: null,
  isDeferred: false,
  tag: null,
  metadata: null,
  addressIndex: null,
  scheduledAfter: null,
  scheduledBefore: null,
};

/** A claim is nobody's business: until its fence an email is pending, and may be changed. */
describe.each(drivers)("a claim without a fence on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  let emails: Emails;
  let changes: Changes;
  let attempts: Attempts;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    emails = createEmails(opened.database);
    changes = createChanges(opened.database);
    attempts = createAttempts(opened.database, {
      workerId: Bun.randomUUIDv7(),
      region: "local",
      transport: "smtp.example:25",
    });
  });
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });

  /** A claimed email of an owner of its own. */
  async function claimed() {
    const ownerId = `owner-${Bun.randomUUIDv7()}`;
    const draft = newEmail();
    await store(emails, [draft], { ownerId, actor: ownerId });
    const { id, token } = await claimedOne(opened.database, attempts, draft.id);
    return { id, token, ownerId, as: userClaims(ownerId) };
  }
  const target = ({ id, as }: { id: string; as: Claims }) => ({ id, as, origin: null });
  const eventsOf = async (id: string) =>
    (await emails.events(id, adminClaims))?.map(({ action, sequence }) => [action, sequence]);
  const journalOf = (id: string) =>
    sql.query("select action, sequence from mailer.journal where email_id = $1 order by id", [id]);

  /** What everybody is told of the only email of this owner. */
  async function seenBy({ id, as, ownerId }: Awaited<ReturnType<typeof claimed>>) {
    const listed = async (status: "pending" | "sending") => {
      const filter = { ...anyEmail, statuses: [status] };
      const answer = await emails.list(filter, page, as);
      return [answer.total, answer.emails.map((email) => email.status)];
    };
    const quota = { perDay: null, pending: 1 };
    const request = scheduleRequest([newEmail()], { ownerId, actor: ownerId, quota });
    const { waiting, delayed, byStatus } = await emails.stats(as);
    const [view] = await sql.query(
      "select status, next_attempt_at is not null as has_next from mailer_api.emails where id = $1",
      [id],
    );
    const [given, shredded] = [
      await changes.release(target({ id, as })),
      await emails.shred(id, as, null),
    ];
    return {
      status: (await emails.get(id, as))?.status,
      pending: await listed("pending"),
      sending: await listed("sending"),
      stats: { waiting, delayed, byStatus },
      view,
      given,
      shredded,
      quota: (await emails.schedule(request)).kind,
    };
  }

  test("is pending to everybody until it is fenced, and sending from then on", async () => {
    const email = await claimed();
    expect(await seenBy(email)).toEqual({
      status: "pending",
      pending: [1, ["pending"]],
      sending: [0, []],
      stats: { waiting: 1, delayed: 0, byStatus: { pending: 1 } },
      view: { status: "pending", has_next: true },
      given: { kind: "not_held", state: "pending" },
      shredded: { kind: "not_finished", status: "pending" },
      quota: "quota_exceeded",
    });
    expect((await emails.get(email.id, email.as))?.nextAttemptAt).toBeInstanceOf(Date);
    expect(await attempts.fence(email.id, email.token, date)).toEqual({ granted: true });
    expect(await seenBy(email)).toEqual({
      status: "sending",
      pending: [0, []],
      sending: [1, ["sending"]],
      stats: { waiting: 0, delayed: 0, byStatus: { sending: 1 } },
      view: { status: "sending", has_next: expect.any(Boolean) },
      given: { kind: "not_held", state: "sending" },
      shredded: { kind: "not_finished", status: "sending" },
      quota: "accepted",
    });
  });

  test("is found among the deferred ones after an attempt, until the next is fenced", async () => {
    const email = await claimed();
    await attempts.fence(email.id, email.token, date);
    const said = { smtpCode: 451, enhancedCode: null, reply: null };
    await attempts.settle({
      ...{ id: email.id, token: email.token, transport: "capture", ...said, recipients: [] },
      ...{ outcome: "deferred", nextState: "pending", retryInMs: 0 },
    });
    const deferred = async () =>
      (await emails.list({ ...anyEmail, isDeferred: true }, page, email.as)).total;
    const { token } = await claimedOne(opened.database, attempts, email.id);
    expect(await deferred()).toBe(1);
    await attempts.fence(email.id, token, date);
    expect(await deferred()).toBe(0);
  });

  const edit = (email: Awaited<ReturnType<typeof claimed>>, change: object) =>
    changes.edit({
      ...target(email),
      ...{ wrappedKey: "wrapped", version: 1, attempts: 0, fields: ["x"], change },
    });
  const content = {
    sender: "sender-2",
    subject: "subject-2",
    messageBytes: 7,
    message: Buffer.from("changed"),
    details: "details-2",
  };
  const many = (id: string) =>
    createBulkCancel(opened.database).cancel({ ids: [id], bulk: "b", origin: null }, adminClaims);

  describe.each([
    ["an edit of its content", "pending", (email) => edit(email, { content })],
    ["an edit of its tags", "pending", (email) => edit(email, { tags: ["t"] })],
    ["a new time", "pending", (email) => edit(email, { scheduledAt: new Date("2040-01-01") })],
    ["a hold", "held", (email) => changes.hold(target(email))],
    ["a cancel", "cancelled", (email) => emails.cancel(email.id, email.as, null)],
    ["a bulk cancel", "cancelled", (email) => many(email.id)],
  ] as [string, EmailState, (email: Awaited<ReturnType<typeof claimed>>) => Promise<unknown>][])(
    "%s",
    (_, status, change) => {
      test("is accepted and revokes the claim: the old token is good for nothing", async () => {
        const email = await claimed();
        const answer = await change(email);
        const kind = typeof answer === "object" ? (answer as { kind: string }).kind : answer;
        expect(["changed", "held", "cancelled", "1"]).toContain(String(kind));
        const { id, token } = email;
        expect(await emails.get(id, email.as)).toMatchObject({ status, version: 2 });
        await expectRevoked({ id, token }, status);
        expect((await eventsOf(id))?.map(([, sequence]) => sequence)).toEqual([1, 2]);
      });
    },
  );

  async function expectRevoked({ id, token }: Claim, state: EmailState): Promise<void> {
    const reason = state === "cancelled" ? "cancelled" : "stale";
    expect(await attempts.findRevoked([{ id, token }])).toEqual([id]);
    expect(await attempts.fence(id, token, date)).toEqual({ granted: false, reason });
    const said = { smtpCode: 550, enhancedCode: null, reply: null };
    const failed = await attempts.settle({
      ...{ id, token, transport: "capture", ...said, recipients: [] },
      ...{ outcome: "bounced", nextState: "failed", retryInMs: null },
    });
    expect(failed).toEqual({ applied: false, state });
    expect(await attempts.release({ id, token, reason: "aborted", delayMs: 0 })).toEqual({
      applied: false,
    });
    expect(await attempts.readMessage({ id, token, messageBytes: 5 })).toBeNull();
  }

  test("held and released again it is claimed anew, under a token nobody had", async () => {
    const email = await claimed();
    expect(await changes.hold(target(email))).toBe("held");
    expect(await claimOne(opened.database, attempts, email.id)).toBeNull();
    expect(await changes.release(target(email))).toEqual({ kind: "released", delayMs: 0 });
    const { token } = await claimedOne(opened.database, attempts, email.id);
    expect(token).toBeGreaterThan(email.token + 1);
    expect(await attempts.fence(email.id, email.token, date)).toMatchObject({ granted: false });
    expect(await attempts.fence(email.id, token, date)).toEqual({ granted: true });
  });

  test("edited, the next claim hands out what was written last", async () => {
    const email = await claimed();
    expect(await edit(email, { content })).toMatchObject({ kind: "changed", delayMs: 0 });
    const again = await claimedOne(opened.database, attempts, email.id);
    expect(again).toMatchObject({ sender: "sender-2", attempt: 1 });
    expect(Buffer.from(again.message ?? []).toString()).toBe("changed");
  });

  test("once fenced, no change is accepted, and the claim stands", async () => {
    const email = await claimed();
    await attempts.fence(email.id, email.token, date);
    expect(await edit(email, { tags: ["t"] })).toEqual({ kind: "in_flight" });
    expect(await changes.hold(target(email))).toBe("in_flight");
    expect(await emails.cancel(email.id, email.as, null)).toBe("in_flight");
    expect(await many(email.id)).toBe(0);
    expect(await attempts.findRevoked([email])).toEqual([]);
  });

  test.each(["region", "owner"] as const)(
    "while its %s is paused it gets no fence",
    async (kind) => {
      const email = await claimed();
      const pauses = createPauses(opened.database);
      const root = { claims: adminClaims, origin: null };
      const paused = { kind, name: kind === "region" ? "local" : email.ownerId };
      await pauses.pause({ ...paused, reason: "test" }, root);
      const refused = await attempts.fence(email.id, email.token, date);
      await pauses.resume(paused, root);
      expect(refused).toEqual({ granted: false, reason: "paused" });
      expect(await attempts.fence(email.id, email.token, date)).toEqual({ granted: true });
    },
  );

  test("its sending is told once, with the fence, in sequence", async () => {
    const email = await claimed();
    expect(await eventsOf(email.id)).toEqual([["email.scheduled", 1]]);
    const fences = await Promise.all(
      [1, 2, 3].map(() => attempts.fence(email.id, email.token, date)),
    );
    expect(fences.filter(({ granted }) => granted)).toHaveLength(1);
    expect(await eventsOf(email.id)).toEqual([
      ["email.scheduled", 1],
      ["email.sending", 2],
    ]);
    expect((await emails.events(email.id, email.as))?.at(-1)).toMatchObject({
      actor: "taskforce-mailer:worker:local",
      detail: { status: "sending", attempt: 1, transport: "smtp.example:25", region: "local" },
    });
  });

  test("its return is nobody's event: in the journal, without a sequence", async () => {
    const email = await claimed();
    const { id, token } = email;
    await attempts.release({ id, token, reason: "draining", delayMs: 0 });
    const again = await claimedOne(opened.database, attempts, id);
    expect(await eventsOf(id)).toEqual([["email.scheduled", 1]]);
    expect(await journalOf(id)).toEqual([
      { action: "email.scheduled", sequence: 1 },
      { action: "claim.returned", sequence: null },
    ]);
    const [events] = await sql.query(
      "select count(*)::integer as n from mailer_api.events where email_id = $1",
      [id],
    );
    expect(events).toEqual({ n: 1 });
    const journal = createJournal(opened.database);
    while ((await journal.seal(1_000)).hasMore);
    // After a fence everybody knew of it, and is told.
    await attempts.fence(id, again.token, date);
    await attempts.release({ id, token: again.token, reason: "aborted", delayMs: 0 });
    expect(await eventsOf(id)).toEqual([
      ["email.scheduled", 1],
      ["email.sending", 2],
      ["claim.returned", 3],
    ]);
  });
});
