import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { claimedOne, claimOne } from "../testing/fixtures/claim-one.ts";
import {
  claimed,
  deadLetters as makeDeadLetters,
  refusal,
} from "../testing/fixtures/dead-letters.ts";
import { adminClaims, newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type Attempts, createAttempts, type Settlement } from "./attempts.ts";
import { createDeadLetters, type DeadLetters, type ReplayChunk } from "./dead-letters.ts";
import { createEmails, type Emails } from "./emails.ts";
import type { NewEmail } from "./stored-email.ts";

setDefaultTimeout(60_000);

const page = { limit: 20, offset: 0 };
const noFilter = {
  statuses: null,
  isDeferred: false,
  tag: null,
  metadata: null,
  addressIndex: null,
  scheduledAfter: null,
  scheduledBefore: null,
};

describe.each(drivers)("dead letters on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  let attempts: Attempts;
  let deadLetters: DeadLetters;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
    deadLetters = createDeadLetters(opened.database);
    attempts = createAttempts(opened.database, {
      workerId: Bun.randomUUIDv7(),
      region: "local",
      transport: "smtp.example:25",
    });
  });
  afterAll(() => opened?.close());

  /** Each test has an owner of its own. */
  function owner() {
    const ownerId = `owner-${Bun.randomUUIDv7()}`;
    return { as: userClaims(ownerId), request: { ownerId, actor: ownerId } };
  }

  const make = (
    drafts: Partial<NewEmail>[],
    request: object,
    settled: Partial<Settlement> = {},
  ): Promise<string[]> =>
    makeDeadLetters(emails, { database: opened.database, attempts }, drafts, { settled, request });

  const chunk = (ids: string[], fields: Partial<ReplayChunk> = {}): ReplayChunk => ({
    ids,
    start: null,
    first: 0,
    ratePerMinute: null,
    scheduledAt: null,
    bulk: "b1",
    origin: "192.0.2.1",
    ...fields,
  });

  test("the group and domain left by the worker are grouped and filtered by, largest first", async () => {
    const { as, request } = owner();
    const failure = { group: "aaa", domain: "dom-1" };
    const alike = await make([{ tags: ["x"] }, {}, {}], request, { failure });
    await make([{}], request, { failure: { group: "bbb", domain: "dom-2" } });
    const { groups, total } = await deadLetters.groups({}, page, as);
    expect(total).toBe(2);
    expect(groups).toMatchObject([
      { group: "aaa", count: 3, byStatus: { failed: 3 } },
      { group: "bbb", count: 1 },
    ]);
    const [first] = groups;
    expect(alike).toContain(first?.sample.id ?? "");
    expect(first?.sample.attempts).toMatchObject([{ smtpCode: 550, reply: "reply-ciphertext" }]);
    expect(first?.lastAt.getTime()).toBeGreaterThanOrEqual(first?.firstAt.getTime() ?? Infinity);

    const found = async (filter: object) => (await deadLetters.find(filter, 10, as)).ids;
    expect(await found({ group: "aaa" })).toEqual([...alike].sort());
    expect(await found({ domainIndex: "dom-2" })).toHaveLength(1);
    expect(await found({ group: "aaa", tag: "x" })).toEqual([alike[0] ?? ""]);
    expect(await found({ smtpCode: 550 })).toHaveLength(4);
    expect(await found({ smtpCode: 450 })).toEqual([]);
    expect(await found({ ids: [alike[1] ?? ""] })).toEqual([alike[1] ?? ""]);
    expect(await deadLetters.groups({}, { limit: 1, offset: 1 }, as)).toMatchObject({
      groups: [{ group: "bbb" }],
      total: 2,
    });
    const list = await emails.list(
      { ...noFilter, group: "aaa", smtpCode: 550 },
      { limit: 10, offset: 0, cursor: null },
      as,
    );
    expect(list.total).toBe(3);
  });

  test("what has no fingerprint is grouped by its code, what is held by itself", async () => {
    const { as, request } = owner();
    await make([{}, {}], request);
    const late = newEmail({ expiresAt: new Date("2020-01-01T00:00:00Z"), onLate: "hold" });
    await store(emails, [late], request);
    expect(await claimOne(opened.database, attempts, late.id)).toBeNull();
    const { groups } = await deadLetters.groups({}, page, as);
    expect(groups.map(({ group, byStatus }) => [group, byStatus])).toEqual([
      ["code-550", { failed: 2 }],
      ["held", { held: 1 }],
    ]);
    expect(await deadLetters.find({ group: "held" }, 10, as)).toMatchObject({
      matched: 1,
      byStatus: { held: 1 },
    });
  });

  test("an attempt that refuses nobody leaves the fingerprint of the one before", async () => {
    const { as, request } = owner();
    const recipients = [0, 1].map((position) => ({
      position,
      kind: "to" as const,
      address: "a",
      addressIndex: "i",
    }));
    const [email] = await claimed(
      emails,
      { database: opened.database, attempts },
      [{ recipients }],
      request,
    );
    if (!email) throw new Error("no email");
    const [first, second] = refusal(email).recipients;
    if (!first || !second) throw new Error("no recipients");
    const deferred = await attempts.settle(
      refusal(email, {
        outcome: "deferred",
        nextState: "pending",
        retryInMs: 0,
        failure: { group: "ggg", domain: null },
        recipients: [first, { ...second, status: "deferred" }],
      }),
    );
    if (!deferred.applied) throw new Error("not applied");
    const again = await claimedOne(opened.database, attempts, email.id);
    await attempts.settle(
      refusal(again, {
        outcome: "sent",
        nextState: "partially_sent",
        recipients: [{ ...second, status: "sent" }],
      }),
    );
    const { groups } = await deadLetters.groups({}, page, as);
    expect(groups).toMatchObject([{ group: "ggg", byStatus: { partially_sent: 1 } }]);
  });

  test("a replay keeps the record, counts anew, is paced, and is claimed when it is due", async () => {
    const { as, request } = owner();
    const ids = (await make([{}, {}, {}, {}], request)).sort();
    const first = await deadLetters.replay(chunk(ids.slice(0, 2), { ratePerMinute: 120 }), as);
    expect(first.replayed).toBe(2);
    const second = await deadLetters.replay(
      chunk(ids, { ratePerMinute: 120, start: first.start, first: 2 }),
      as,
    );
    // The first two are pending by now and take no place.
    expect(second).toEqual({ replayed: 2, start: first.start });
    const stored = await Promise.all(ids.map((id) => emails.get(id, as)));
    const dues = stored.map((email) => email?.nextAttemptAt?.getTime() ?? 0);
    expect(dues.map((due) => due - new Date(first.start).getTime())).toEqual([0, 500, 1000, 1500]);
    expect(stored[0]).toMatchObject({
      status: "pending",
      attemptsSpent: 1,
      recipients: [{ status: "pending" }],
      attempts: [{ number: 1, smtpCode: 550 }],
    });
    const events = await emails.events(ids[0] ?? "", as);
    expect(events?.at(-1)).toMatchObject({
      action: "email.replayed",
      detail: { status: "pending", from: "failed", bulk: "b1" },
    });
    for (const id of ids) {
      const again = await claimOne(opened.database, attempts, id, { aheadMs: 60_000 });
      expect(again).toMatchObject({ attempt: 2, attemptsBefore: 1 });
    }
  });

  test("a time that was asked for is when the first is due, and becomes what they are scheduled at", async () => {
    const { as, request } = owner();
    const ids = (await make([{}, {}], request)).sort();
    const scheduledAt = new Date("2040-01-01T00:00:00Z");
    await deadLetters.replay(chunk(ids, { scheduledAt, ratePerMinute: 1 }), as);
    const stored = await Promise.all(ids.map((id) => emails.get(id, as)));
    expect(stored.map((email) => email?.scheduledAt.toISOString())).toEqual([
      "2040-01-01T00:00:00.000Z",
      "2040-01-01T00:01:00.000Z",
    ]);
  });

  test("nobody finds, counts or replays another owner's, but an admin does", async () => {
    const { as, request } = owner();
    const ids = await make([{}], request, { failure: { group: "mine", domain: null } });
    const eve = userClaims("eve");
    expect(await deadLetters.groups({}, page, eve)).toEqual({ groups: [], total: 0 });
    expect((await deadLetters.find({ ids }, 10, eve)).ids).toEqual([]);
    expect((await deadLetters.replay(chunk(ids), eve)).replayed).toBe(0);
    expect(await emails.get(ids[0] ?? "", as)).toMatchObject({ status: "failed" });
    expect((await deadLetters.find({ group: "mine" }, 10, adminClaims)).ids).toEqual(ids);
    expect((await deadLetters.replay(chunk(ids), adminClaims)).replayed).toBe(1);
    const event = (await emails.events(ids[0] ?? "", as))?.at(-1);
    expect(event).toMatchObject({ actor: "root", action: "email.replayed" });
  });

  test("what matched is all of it, though no more ids come than asked for", async () => {
    const { as, request } = owner();
    const ids = (await make([{}, {}, {}], request)).sort();
    expect(await deadLetters.find({}, 2, as)).toEqual({
      matched: 3,
      byStatus: { failed: 3 },
      ids: ids.slice(0, 2),
    });
  });
});
