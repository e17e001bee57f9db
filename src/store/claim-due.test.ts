import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { type Attempts, createAttempts, type DueRequest } from "./attempts.ts";
import { createEmails, type Emails } from "./emails.ts";
import { createPauses } from "./pauses.ts";
import type { NewEmail } from "./stored-email.ts";

const soonMs = 1_500;

describe.each(drivers)("claim_due on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  let sql: DirectSql;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
    sql = await directSql(opened.database);
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });

  /** A region of its own for each test, with a worker, so that none sees another's emails. */
  function openRegion() {
    const region = `region-${crypto.randomUUID().slice(0, 8)}`;
    const worker = (): Attempts =>
      createAttempts(opened.database, {
        workerId: Bun.randomUUIDv7(),
        region,
        transport: "smtp.example:25",
      });
    const attempts = worker();
    const put = async (ownerId: string, count: number, fields: Partial<NewEmail> = {}) => {
      const drafts = Array.from({ length: count }, () => newEmail({ region, ...fields }));
      await store(emails, drafts, { ownerId, actor: ownerId });
      return drafts.map(({ id }) => id);
    };
    const claim = (fields: Partial<DueRequest> = {}, by = attempts) =>
      by.claimDue({
        region,
        limit: 100,
        aheadMs: soonMs,
        perOwner: 1_000,
        holds: {},
        after: "",
        suspects: false,
        ...fields,
      });
    return { region, worker, attempts, put, claim };
  }

  const countByOwner = (batch: { emails: { ownerId: string }[] }) => {
    const counts: Record<string, number> = {};
    for (const { ownerId } of batch.emails) counts[ownerId] = (counts[ownerId] ?? 0) + 1;
    return counts;
  };

  test("an empty region has nothing next: null, not 0", async () => {
    const { claim } = openRegion();
    expect(await claim()).toEqual({
      ...{ isPaused: false, pausedOwners: [], emails: [], hasMore: false, after: "" },
      nextDueInMs: null,
    });
  });

  test("what is due within the prefetch is claimed, what is later says when", async () => {
    const { put, claim } = openRegion();
    const [due] = await put("ada", 1);
    const [soon] = await put("ada", 1, { scheduledAt: new Date(Date.now() + 1_000) });
    await put("ada", 1, { scheduledAt: new Date(Date.now() + 60_000) });
    const batch = await claim();
    expect(batch.emails.map(({ id }) => id).sort()).toEqual([due, soon].sort() as string[]);
    const [first, second] = batch.emails.sort((a, b) => a.dueInMs - b.dueInMs);
    expect(first).toMatchObject({ attempt: 1, token: 1, dueInMs: 0, isSuspect: false });
    expect(Buffer.from(first?.message ?? []).toString()).toBe("hello");
    expect(second?.dueInMs).toBeGreaterThan(0);
    expect(batch.hasMore).toBe(false);
    expect(batch.nextDueInMs).toBeGreaterThan(50_000);
    expect((await claim()).emails).toEqual([]);
  });

  test("two processes never pick the same email", async () => {
    const { put, claim, worker } = openRegion();
    const ids = await put("ada", 60);
    const batches = await Promise.all([
      claim({ limit: 40 }),
      claim({ limit: 40 }, worker()),
      claim({ limit: 40 }, worker()),
    ]);
    const rest = await claim();
    const claimed = [...batches, rest].flatMap((batch) => batch.emails.map(({ id }) => id));
    expect(claimed.sort()).toEqual(ids.sort());
  });

  test("owners share a batch, and what one leaves goes to the others", async () => {
    const { put, claim } = openRegion();
    await put("ada", 90);
    await put("bob", 3);
    await put("cy", 90);
    const batch = await claim({ limit: 63 });
    expect(countByOwner(batch)).toEqual({ ada: 30, bob: 3, cy: 30 });
    expect(batch.hasMore).toBe(true);
  });

  test("an owner at its share gets nothing more, and says that there is more", async () => {
    const { put, claim } = openRegion();
    await put("ada", 30);
    const [bob] = await put("bob", 1);
    const batch = await claim({ perOwner: 10, holds: { ada: 10 } });
    expect(batch.emails.map(({ id }) => id)).toEqual([bob as string]);
    expect(batch.hasMore).toBe(true);
  });

  test("an owner behind two floods is found: the newest, or by the walk", async () => {
    const { put, claim } = openRegion();
    const [early] = [new Date(Date.now() - 30_000)];
    await put("flood-1", 40, { scheduledAt: early });
    await put("zoe", 1, { scheduledAt: new Date(Date.now() - 20_000) });
    await put("flood-2", 40, { scheduledAt: new Date(Date.now() - 10_000) });
    const batch = await claim({ limit: 12 });
    expect(countByOwner(batch)).toMatchObject({ zoe: 1 });
    expect(batch.emails.length).toBe(12);
  });

  test("the walk goes on where it ended until it has seen every owner", async () => {
    const { put, claim } = openRegion();
    await put("flood", 60, { scheduledAt: new Date(Date.now() - 50_000) });
    for (let n = 0; n < 20; n++) {
      await put(`owner-${n}`, 1, { scheduledAt: new Date(Date.now() - 40_000 + n) });
    }
    await put("flood", 60, { scheduledAt: new Date(Date.now() - 10_000) });
    const seen = new Set<string>();
    let after = "";
    for (let call = 0; call < 12 && seen.size < 21; call++) {
      const batch = await claim({ limit: 8, after });
      for (const { ownerId } of batch.emails) seen.add(ownerId);
      ({ after } = batch);
    }
    expect(seen.size).toBe(21);
  });

  test("what is too late ends as its sender asked, and is not handed out", async () => {
    const { put, claim } = openRegion();
    const late = {
      expiresAt: new Date(Date.now() - 1_000),
      scheduledAt: new Date(Date.now() - 2_000),
    };
    const [dropped] = await put("ada", 1, { ...late, onLate: "drop" });
    const [held] = await put("ada", 1, { ...late, onLate: "hold" });
    const [sent] = await put("ada", 1, { ...late, onLate: "send" });
    const batch = await claim();
    expect(batch.emails.map(({ id }) => id)).toEqual([sent as string]);
    const stateOf = async (id: string | undefined) =>
      (await emails.get(id ?? "", adminClaims))?.status;
    expect([await stateOf(dropped), await stateOf(held)]).toEqual(["expired", "held"]);
    const events = await emails.events(dropped ?? "", adminClaims);
    expect(events?.map(({ action }) => action)).toEqual(["email.scheduled", "email.expired"]);
  });

  test("what is never too late is claimed, whatever was to become of it if it were", async () => {
    const { put, claim } = openRegion();
    const [dropped] = await put("ada", 1, { expiresAt: null, onLate: "drop" });
    const [held] = await put("ada", 1, { expiresAt: null, onLate: "hold" });
    const batch = await claim();
    expect(batch.emails.map(({ id }) => id).sort()).toEqual([dropped, held].sort() as string[]);
  });

  test("an answer is bounded in bytes, and one email always fits", async () => {
    const { put, claim } = openRegion();
    const message = new Uint8Array(60_000).fill(97);
    await put("ada", 30, { message, messageBytes: message.length });
    const batch = await claim();
    expect(batch.emails.length).toBe(16);
    expect(batch.hasMore).toBe(true);
    const large = new Uint8Array(70_000).fill(97);
    const other = openRegion();
    await other.put("ada", 1, { message: large, messageBytes: large.length });
    const [email] = (await other.claim()).emails;
    expect(email).toMatchObject({ message: null, messageBytes: 70_000 });
  });

  test("a row locked by somebody else is passed over, its neighbours are claimed", async () => {
    if (opened.database.driver === "pglite") return;
    const { put, claim } = openRegion();
    const [locked, free] = await put("ada", 2);
    await sql.query("begin");
    await sql.query("select from mailer.emails where id = $1 for update", [locked as string]);
    const batch = await claim();
    await sql.query("rollback");
    expect(batch.emails.map(({ id }) => id)).toEqual([free as string]);
    expect(batch.hasMore).toBe(true);
    expect((await claim()).emails.map(({ id }) => id)).toEqual([locked as string]);
  });

  test("suspects come apart, in groups that shrink with every death", async () => {
    const { put, claim } = openRegion();
    const ids = await put("ada", 80);
    const [plain] = await put("bob", 1);
    const crash = (count: number, of: string[]) =>
      sql.query("update mailer.emails set crashes = $1 where id = any ($2::uuid[])", [count, of]);
    await crash(2, ids);
    expect((await claim()).emails.map(({ id }) => id)).toEqual([plain as string]);
    const group = await claim({ suspects: true });
    expect(group.emails.length).toBe(64);
    expect(group.emails.every(({ isSuspect }) => isSuspect)).toBe(true);
    const rest = ids.filter((id) => !group.emails.some((email) => email.id === id));
    await crash(3, rest.slice(0, 10));
    await crash(4, rest.slice(10, 12));
    const sizes: number[] = [];
    for (;;) {
      const { emails: found } = await claim({ suspects: true });
      if (found.length === 0) break;
      sizes.push(found.length);
    }
    expect(sizes).toEqual([1, 1, 8, 2, 4]);
  });

  test("what one death is blamed on comes one at a time while it is few, owners of few first", async () => {
    const { put, claim } = openRegion();
    const ada = await put("ada", 7);
    const [bobs = ""] = await put("bob", 1);
    const [plain = ""] = await put("bob", 1);
    const [guilty = ""] = await put("eve", 1);
    await sql.query("update mailer.emails set crashes = 1 where id = any ($1::uuid[])", [
      [...ada, bobs],
    ]);
    await sql.query("update mailer.emails set crashes = 4 where id = $1", [guilty]);
    // One is in hand: the others wait, and nobody else does.
    expect((await claim()).emails).toMatchObject([{ id: plain, isSuspect: false }]);
    const found: string[] = [];
    for (let one = 0; one < 9; one++) {
      const { emails: group } = await claim({ suspects: true });
      expect(group).toMatchObject([{ isSuspect: true }]);
      found.push(group[0]?.id ?? "");
    }
    expect(found[0]).toBe(bobs);
    expect(found.at(-1)).toBe(guilty);
    expect(new Set(found)).toEqual(new Set([...ada, bobs, guilty]));
  });

  test("what one death is blamed on is sent like any other when it is many", async () => {
    const { put, claim } = openRegion();
    const ids = await put("ada", 9);
    await sql.query("update mailer.emails set crashes = 1 where id = any ($1::uuid[])", [ids]);
    const { emails: all } = await claim({ suspects: true });
    expect(all.map(({ isSuspect }) => isSuspect)).toEqual(ids.map(() => false));
  });

  describe("a pause", () => {
    const root = { claims: adminClaims, origin: null };

    test("of a region claims nothing there until it is resumed", async () => {
      const { region, put, claim } = openRegion();
      const [id] = await put("ada", 1);
      const pauses = createPauses(opened.database);
      const asked = { kind: "region", name: region, reason: "wrong mailing" } as const;
      const pause = await pauses.pause(asked, root);
      expect(pause).toMatchObject({ ...asked, pausedBy: "root" });
      expect(await pauses.pause({ ...asked, reason: "again" }, root)).toEqual(pause);
      expect(await pauses.list()).toContainEqual(pause);
      expect(await claim()).toMatchObject({ isPaused: true, emails: [], hasMore: true });
      expect(await pauses.resume(asked, root)).toBe(true);
      expect(await pauses.resume(asked, root)).toBe(false);
      expect((await claim()).emails.map((email) => email.id)).toEqual([id as string]);
    });

    test("of an owner passes over that owner's emails alone, and stands in the owner's journal", async () => {
      const { put, claim } = openRegion();
      const ownerId = `paused-${crypto.randomUUID()}`;
      await put(ownerId, 3);
      const [other] = await put("bob", 1);
      const pauses = createPauses(opened.database);
      const target = { kind: "owner", name: ownerId } as const;
      await pauses.pause({ ...target, reason: "spam" }, root);
      const batch = await claim();
      expect(batch.emails.map(({ id }) => id)).toEqual([other as string]);
      expect(batch.pausedOwners).toContain(ownerId);
      expect(batch.hasMore).toBe(true);
      await pauses.resume(target, root);
      expect((await claim()).emails.length).toBe(3);
      const rows = await sql.query(
        "select action, actor from mailer.journal where owner_id = $1 and action like 'sending.%' order by id",
        [ownerId],
      );
      expect(rows).toEqual([
        { action: "sending.paused", actor: "root" },
        { action: "sending.resumed", actor: "root" },
      ]);
    });
  });
});
