import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { claimedOne, claimOne } from "../testing/fixtures/claim-one.ts";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { createToldLooks } from "../testing/fixtures/told-looks.ts";
import { joinRegion, type RegionProcess } from "../testing/product/region-process.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { createBeatLooks } from "./beat-looks.ts";
import { createEmails, type Emails } from "./emails.ts";

const hourMs = 3_600_000;
/** Longer than this file takes, so that nobody dies or falls silent of himself. */
const looks = createToldLooks();
const patience = { deadAfterMs: hourMs, silentAfterMs: hourMs, looks };
/** A little longer than that. */
const deadMs = hourMs + 1_000;

describe.each(drivers)("reconciling on $driver", ({ open }) => {
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

  const join = (region: string, fields = {}) =>
    joinRegion(opened.database, region, { ...patience, ...fields });
  const statusOf = async (id: string) => (await emails.get(id, adminClaims))?.status;
  const rowOf = async (id: string) =>
    (await sql.query("select state, crashes from mailer.emails where id = $1", [id]))[0];
  const claim = (by: RegionProcess, id: string, options = {}) =>
    claimOne(opened.database, by.attempts, id, options);
  const entriesOf = async (id: string) =>
    ((await emails.events(id, adminClaims)) ?? []).map(({ action, detail }) => ({
      action,
      ...detail,
    }));
  /** Lets a process, or a region, have been silent for so long. */
  const age = (table: "workers" | "regions", key: string, ms: number) =>
    sql.query(
      `update mailer.${table} set beat_at = beat_at - $2 * interval '1 ms'
       where ${table === "workers" ? "id::text" : "name"} = $1`,
      [key, ms],
    );
  /** All that look find that it gives no beat any more. */
  async function die(workerId: string) {
    const [row] = await sql.query("select beats from mailer.workers where id = $1", [workerId]);
    looks.tell({ id: workerId, beats: Number(row?.beats) });
  }
  /** A new process claims the email as it stands, and dies. */
  async function crashWith(id: string, region: string) {
    const dying = await join(region);
    const email = await claim(dying, id);
    await die(dying.workerId);
    return email !== null;
  }

  describe("a dead process", () => {
    test("is heard of with the next beat of its region, once", async () => {
      const dead = await join("heard");
      const alive = await join("heard");
      expect((await alive.presence.beat()).hasDead).toBe(false);
      await die(dead.workerId);
      expect((await alive.presence.beat()).hasDead).toBe(true);
      const [one, other] = await Promise.all([
        alive.presence.takeOver({ everything: false }),
        (await join("heard")).presence.takeOver({ everything: false }),
      ]);
      expect((one?.crashedWorkers ?? 0) + (other?.crashedWorkers ?? 0)).toBe(1);
      expect((await alive.presence.beat()).hasDead).toBe(false);
    });

    test("that has beaten since it was looked at is not dead", async () => {
      const back = await join("back");
      const draft = newEmail({ region: "back" });
      await store(emails, [draft]);
      await claim(back, draft.id);
      await die(back.workerId);
      await back.presence.beat();
      const alive = await join("back");
      const { crashedWorkers, released } = await alive.presence.takeOver({ everything: false });
      expect([crashedWorkers, released]).toEqual([0, 0]);
      expect(await rowOf(draft.id)).toEqual({ state: "sending", crashes: 0 });
    });

    test("is told by its beats alone, whatever the clock says", async () => {
      const own = { looks: createBeatLooks({ region: "clocks" }) };
      const watcher = await join("clocks", own);
      const [forward, back] = [await join("clocks"), await join("clocks")];
      const drafts = [newEmail({ region: "clocks" }), newEmail({ region: "clocks" })];
      await store(emails, drafts);
      for (const [index, process] of [forward, back].entries()) {
        await claim(process, drafts[index]?.id ?? "");
      }
      // As if the clock had been set forward by an hour, and back: the first lives, the other not.
      for (let look = 0; look < 6; look++) {
        await forward.presence.beat();
        await age("workers", forward.workerId, hourMs);
        await age("workers", back.workerId, -hourMs);
        await sql.query(
          "update mailer.emails set claimed_at = claimed_at - interval '1 hour' where id = $1",
          [drafts[0]?.id],
        );
        await watcher.presence.beat();
      }
      const { crashedWorkers } = await watcher.presence.takeOver({ everything: false });
      expect(crashedWorkers).toBe(1);
      expect(await rowOf(drafts[0]?.id ?? "")).toMatchObject({ state: "sending" });
      expect(await rowOf(drafts[1]?.id ?? "")).toMatchObject({ state: "pending" });
    });

    test("with more claims than one look frees: all are freed, and blamed is only what it had begun", async () => {
      const dead = await join("crowded");
      const alive = await join("crowded");
      await sql.query(
        `insert into mailer.emails (id, owner_id, region, created_at, scheduled_at,
           next_attempt_at, age_from, on_late, on_uncertain, max_retries, max_age_seconds,
           message_bytes)
         select gen_random_uuid(), 'ada', 'crowded', now(), now(), now(), now(), 'send', 'retry',
           3, 345600, 5 from generate_series(1, 2001)`,
      );
      // All of them were due before the last beat; the ids of two stood in it, first and last.
      const [ends] = await sql.query(
        `with claimed as (update mailer.emails set state = 'sending', claim_token = 1,
           worker_id = $1, claimed_at = now() - interval '2 hours' where region = 'crowded'
           returning id)
         select array[(select id from claimed order by id limit 1),
           (select id from claimed order by id desc limit 1)] as begun`,
        [dead.workerId],
      );
      await dead.presence.beat({ begun: ends?.begun as string[] });
      await die(dead.workerId);
      const released: number[] = [];
      for (let look = 0; look < 3; look += 1) {
        released.push((await alive.presence.takeOver({ everything: false })).released);
      }
      expect(released).toEqual([1_000, 1_000, 1]);
      const blamed = await sql.query(
        "select id from mailer.emails where region = 'crowded' and crashes > 0 order by id",
      );
      expect(blamed.map(({ id }) => id)).toEqual(ends?.begun as string[]);
      await sql.query("update mailer.emails set state = 'cancelled' where region = 'crowded'");
    });

    test("two that look at the same time count one crash", async () => {
      const draft = newEmail({ region: "counted-once" });
      await store(emails, [draft]);
      await crashWith(draft.id, "counted-once");
      const lookers = await Promise.all([1, 2, 3].map(() => join("counted-once")));
      await Promise.all(lookers.map(({ presence }) => presence.takeOver({ everything: false })));
      expect(await rowOf(draft.id)).toEqual({ state: "pending", crashes: 1 });
    });
  });

  describe("a fenced email of a dead worker of another region", () => {
    async function orphanOf(region: string) {
      const dead = await join(region, { replyTimeoutMs: 1 });
      const draft = newEmail({ region });
      await store(emails, [draft]);
      const { token } = await claimedOne(opened.database, dead.attempts, draft.id);
      await dead.attempts.fence(draft.id, token, new Date());
      await die(dead.workerId);
      return { id: draft.id, token };
    }

    test("is that region's to settle while it lives, and everybody's once it is silent", async () => {
      const { id } = await orphanOf("fenced-there");
      const { presence } = await join("fenced-here");
      const found = async () =>
        (await presence.takeOver({ everything: false })).orphans.map((orphan) => orphan.id);
      expect(await found()).not.toContain(id);
      await age("regions", "fenced-there", deadMs);
      expect(await found()).toContain(id);
    });

    test("settled from here is due in its own region again, not in ours", async () => {
      const { id, token } = await orphanOf("settled-there");
      const { attempts } = await join("settled-here");
      const settled = await attempts.settle({
        id,
        token,
        transport: "capture",
        outcome: "uncertain",
        nextState: "pending",
        retryInMs: 0,
        smtpCode: null,
        enhancedCode: null,
        reply: null,
        region: "settled-there",
        recipients: [],
      });
      expect(settled).toMatchObject({ applied: true, delayMs: 0 });
      const asked = { limit: 10, aheadMs: 0, perOwner: 10, holds: {}, after: "", suspects: true };
      expect((await attempts.claimDue({ ...asked, region: "settled-here" })).emails).toEqual([]);
      const home = await join("settled-there");
      const due = await home.attempts.claimDue({ ...asked, region: "settled-there" });
      expect(due.emails.map((email) => email.id)).toEqual([id]);
      expect((await emails.get(id, adminClaims))?.attempts).toMatchObject([
        { region: "settled-there" },
      ]);
    });
  });

  describe("an email whose workers die", () => {
    async function suspectIn(region: string): Promise<{ id: string; alive: RegionProcess }> {
      const draft = newEmail({ region });
      await store(emails, [draft]);
      const alive = await join(region);
      for (let crash = 0; crash < 2; crash++) {
        expect(await crashWith(draft.id, region)).toBe(true);
        await alive.presence.takeOver({ everything: false });
      }
      return { id: draft.id, alive };
    }

    test("is a suspect from the second death on, and claimed only with others of its kind", async () => {
      const { id, alive } = await suspectIn("suspect");
      expect(await claim(alive, id, { suspects: false })).toBeNull();
      expect(await rowOf(id)).toEqual({ state: "pending", crashes: 2 });
      expect(await claim(alive, id)).toMatchObject({ isSuspect: true });
    });

    test("is held as poison at its sixth death, and says so", async () => {
      const { id, alive } = await suspectIn("poison");
      for (const death of [3, 4, 5, 6]) {
        expect(await crashWith(id, "poison")).toBe(true);
        const { poison, released } = await alive.presence.takeOver({ everything: false });
        expect([poison, released]).toEqual(death === 6 ? [[id], 0] : [[], 1]);
      }
      expect(await statusOf(id)).toBe("held");
      expect(await entriesOf(id)).toMatchObject([
        { action: "email.scheduled" },
        { action: "email.held", status: "held", reason: "poison", crashes: 6 },
      ]);
    });

    test("is never held for deaths of which another is blamed, however many", async () => {
      const region = "bystander";
      const [culprit, bystander] = [newEmail({ region }), newEmail({ region })];
      await store(emails, [culprit, bystander]);
      const alive = await join(region);
      for (let death = 0; death < 7; death++) {
        const dying = await join(region);
        const held = await Promise.all([culprit, bystander].map(({ id }) => claim(dying, id)));
        expect(held.map((email) => email !== null)).toEqual([death < 6, true]);
        await sql.query(
          "update mailer.emails set claimed_at = claimed_at - interval '1 day' where worker_id = $1",
          [dying.workerId],
        );
        await dying.presence.beat({ begun: death < 6 ? [culprit.id] : [] });
        if (death < 6) await die(dying.workerId);
        else await dying.presence.stop();
        await alive.presence.takeOver({ everything: false });
      }
      expect(await rowOf(culprit.id)).toEqual({ state: "held", crashes: 6 });
      expect(await rowOf(bystander.id)).toEqual({ state: "pending", crashes: 0 });
    });

    test("is cleared by an attempt that was settled", async () => {
      const { id, alive } = await suspectIn("cleared");
      const { token } = await claimedOne(opened.database, alive.attempts, id);
      await alive.attempts.settle({
        id,
        token,
        transport: "capture",
        outcome: "deferred",
        nextState: "pending",
        retryInMs: 0,
        smtpCode: 451,
        enhancedCode: null,
        reply: null,
        recipients: [],
      });
      expect(await rowOf(id)).toEqual({ state: "pending", crashes: 0 });
      expect(await claim(alive, id, { suspects: false })).toMatchObject({ isSuspect: false });
    });

    test("is cleared when a person lets it go", async () => {
      const { id, alive } = await suspectIn("let-go");
      await sql.query("update mailer.emails set state = 'held' where id = $1", [id]);
      await sql.query("update mailer.emails set state = 'pending' where id = $1", [id]);
      expect(await claim(alive, id, { suspects: false })).toMatchObject({ isSuspect: false });
    });
  });

  describe("a silent region", () => {
    const asked = { limit: 10, aheadMs: 0, perOwner: 10, holds: {}, after: "", suspects: true };

    test("is told to the others, who claim what is due there, each email once", async () => {
      await join("silent");
      const due = newEmail({ region: "silent" });
      const later = newEmail({ region: "silent", scheduledAt: new Date(Date.now() + hourMs) });
      await store(emails, [due, later]);
      const others = await Promise.all([join("helper-a"), join("helper-b")]);
      const silent = async () => (await others[0]?.presence.regionStatus(10))?.deadRegions;
      expect(await silent()).not.toContain("silent");
      await age("regions", "silent", deadMs);
      expect(await silent()).toContain("silent");
      const batches = await Promise.all(
        others.map(({ attempts }) => attempts.claimDue({ ...asked, region: "silent" })),
      );
      expect(batches.flatMap((batch) => batch.emails.map(({ id }) => id))).toEqual([due.id]);
      // It stays its region's: whoever sends there later finds the rest.
      expect(await emails.get(due.id, adminClaims)).toMatchObject({ region: "silent" });
    });

    test("is one that nobody ever heard of, too", async () => {
      await store(emails, [newEmail({ region: "never-seen" })]);
      const { presence } = await join("finder");
      expect((await presence.regionStatus(10)).deadRegions).toContain("never-seen");
    });

    test("is one whose processes only accept", async () => {
      await join("api-only", { role: "api" });
      await store(emails, [newEmail({ region: "api-only" })]);
      await age("regions", "api-only", deadMs);
      await join("api-only", { role: "api" });
      const { presence } = await join("elsewhere");
      expect((await presence.regionStatus(10)).deadRegions).toContain("api-only");
    });
  });

  test("overdue emails of the region are in its regionStatus, by how long the first has waited", async () => {
    const { presence } = await join("regionStatus");
    expect(await presence.regionStatus(10)).toMatchObject({ oldestDueMs: 0, dueUnclaimed: 0 });
    await store(emails, [
      newEmail({ region: "regionStatus" }),
      newEmail({ region: "regionStatus" }),
    ]);
    await sql.query(
      `update mailer.emails set next_attempt_at = next_attempt_at - interval '9 seconds'
       where region = 'regionStatus'`,
    );
    const regionStatus = await presence.regionStatus(10);
    expect(regionStatus.oldestDueMs).toBeGreaterThanOrEqual(9_000);
    expect(regionStatus).toMatchObject({ dueUnclaimed: 2 });
    expect((await presence.regionStatus(1)).dueUnclaimed).toBe(1);
  });

  test("every region that was ever heard of is known", async () => {
    const { presence } = await join("known");
    await age("regions", "known", 30 * 24 * hourMs);
    const { regions, deadRegions } = await presence.regionStatus(1);
    expect(regions).toContain("known");
    // Given up long ago, and nothing waits there: nobody needs to be told.
    expect(deadRegions).not.toContain("known");
  });
});
