import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { drivers, type OpenDatabase } from "../testing/databases.ts";
import { type DirectSql, directSql } from "../testing/direct-sql.ts";
import { adminClaims, newEmail, store } from "../testing/new-email.ts";
import { joinRegion, type RegionProcess } from "../testing/region-process.ts";
import { createToldLooks } from "../testing/told-looks.ts";
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
  const wakeOf = async (id: string) =>
    Number((await sql.query("select wake from mailer.emails where id = $1", [id]))[0]?.wake);
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
  async function crashWith(id: string, region: string, isIsolated: boolean) {
    const dying = await join(region);
    const answer = await dying.attempts.claim(id, await wakeOf(id), { isIsolated });
    await die(dying.workerId);
    return answer.kind;
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
      await back.attempts.claim(draft.id, 1);
      await die(back.workerId);
      await back.presence.beat();
      const alive = await join("back");
      const { crashedWorkers, released } = await alive.presence.takeOver({ everything: false });
      expect([crashedWorkers, released, await statusOf(draft.id)]).toEqual([0, 0, "sending"]);
    });

    test("is told by its beats alone, whatever the clock says", async () => {
      const own = { looks: createBeatLooks({ region: "clocks" }) };
      const watcher = await join("clocks", own);
      const [forward, back] = [await join("clocks"), await join("clocks")];
      const drafts = [newEmail({ region: "clocks" }), newEmail({ region: "clocks" })];
      await store(emails, drafts);
      for (const [index, { attempts }] of [forward, back].entries()) {
        await attempts.claim(drafts[index]?.id ?? "", 1);
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
      expect(await statusOf(drafts[0]?.id ?? "")).toBe("sending");
      expect(await statusOf(drafts[1]?.id ?? "")).toBe("pending");
    });

    test("with more jobs in the queue than one look frees is newly dead until all are free", async () => {
      const dead = await join("crowded");
      const alive = await join("crowded");
      await sql.query(
        `insert into mailer.emails (id, owner_id, region, created_at, scheduled_at,
           next_attempt_at, age_from, on_late, on_uncertain, max_retries, max_age_seconds,
           message_bytes, queued_at, queued_by)
         select gen_random_uuid(), 'ada', 'crowded', now(), now(), now(), now(), 'send', 'retry',
           3, 345600, 5, now(), $1 from generate_series(1, 10001)`,
        [dead.workerId],
      );
      await die(dead.workerId);
      const look = () => alive.presence.takeOver({ everything: false });
      expect((await look()).crashedWorkers).toBe(0);
      expect((await alive.presence.beat()).hasDead).toBe(true);
      expect((await look()).crashedWorkers).toBe(1);
      expect((await alive.presence.beat()).hasDead).toBe(false);
      const [left] = await sql.query(
        "select count(*)::integer as n from mailer.emails where queued_by = $1",
        [dead.workerId],
      );
      expect(left?.n).toBe(0);
      await sql.query("update mailer.emails set state = 'cancelled' where region = 'crowded'");
    });

    test("two that look at the same time count one crash", async () => {
      const draft = newEmail({ region: "counted-once" });
      await store(emails, [draft]);
      await crashWith(draft.id, "counted-once", false);
      const lookers = await Promise.all([1, 2, 3].map(() => join("counted-once")));
      await Promise.all(lookers.map(({ presence }) => presence.takeOver({ everything: false })));
      const [row] = await sql.query("select crashes, wake from mailer.emails where id = $1", [
        draft.id,
      ]);
      expect(row).toMatchObject({ crashes: 1, wake: 2 });
    });
  });

  describe("a fenced email of a dead worker of another region", () => {
    async function orphanOf(region: string) {
      const dead = await join(region, { replyTimeoutMs: 1 });
      const draft = newEmail({ region });
      await store(emails, [draft]);
      const claimed = await dead.attempts.claim(draft.id, 1);
      if (claimed.kind !== "claimed") throw new Error(claimed.kind);
      await dead.attempts.fence(draft.id, claimed.email.token, new Date());
      await die(dead.workerId);
      return { id: draft.id, token: claimed.email.token };
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

    test("settled from here goes back to its own region's queue, not to ours", async () => {
      const { id, token } = await orphanOf("settled-there");
      const { attempts, presence } = await join("settled-here");
      const settled = await attempts.settle({
        id,
        token,
        transport: "capture",
        outcome: "uncertain",
        nextState: "pending",
        retryInMs: 1_000,
        smtpCode: null,
        enhancedCode: null,
        reply: null,
        region: "settled-there",
        recipients: [],
      });
      expect(settled).toMatchObject({ applied: true, delayMs: null });
      expect((await presence.queueDue(10)).emails).toEqual([]);
      const home = await join("settled-there");
      expect((await home.presence.queueDue(10)).emails.map((email) => email.id)).toEqual([id]);
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
        expect(await crashWith(draft.id, region, false)).toBe("claimed");
        await alive.presence.takeOver({ everything: false });
      }
      return { id: draft.id, alive };
    }

    test("is a suspect from the second death on, claimed only in isolation", async () => {
      const { id, alive } = await suspectIn("suspect");
      const wake = await wakeOf(id);
      expect(await alive.attempts.claim(id, wake)).toEqual({ kind: "suspect" });
      expect(await statusOf(id)).toBe("pending");
      const claim = await alive.attempts.claim(id, wake, { isIsolated: true });
      expect(claim.kind).toBe("claimed");
    });

    test("is held as poison after three more deaths in isolation, and says so", async () => {
      const { id, alive } = await suspectIn("poison");
      for (const death of [1, 2, 3]) {
        expect(await crashWith(id, "poison", true)).toBe("claimed");
        const { poison, released } = await alive.presence.takeOver({ everything: false });
        expect([poison, released]).toEqual(death === 3 ? [[id], 0] : [[], 1]);
      }
      expect(await statusOf(id)).toBe("held");
      expect((await entriesOf(id)).at(-1)).toMatchObject({
        action: "email.held",
        status: "held",
        reason: "poison",
        crashes: 5,
      });
    });

    test("is never held for deaths in company, however many", async () => {
      const { id, alive } = await suspectIn("bystander");
      // What an older program of the same fleet may do: claim without asking for isolation.
      await sql.query("update mailer.emails set crashes = 1 where id = $1", [id]);
      for (let death = 0; death < 5; death++) {
        await crashWith(id, "bystander", false);
        await sql.query("update mailer.emails set crashes = 1 where id = $1", [id]);
        expect((await alive.presence.takeOver({ everything: false })).poison).toEqual([]);
      }
      expect(await statusOf(id)).toBe("pending");
    });

    test("is cleared by an attempt that was settled", async () => {
      const { id, alive } = await suspectIn("cleared");
      const claim = await alive.attempts.claim(id, await wakeOf(id), { isIsolated: true });
      if (claim.kind !== "claimed") throw new Error(claim.kind);
      await alive.attempts.settle({
        id,
        token: claim.email.token,
        transport: "capture",
        outcome: "deferred",
        nextState: "pending",
        retryInMs: 0,
        smtpCode: 451,
        enhancedCode: null,
        reply: null,
        recipients: [],
      });
      expect((await alive.attempts.claim(id, await wakeOf(id))).kind).toBe("claimed");
    });

    test("is cleared when a person lets it go", async () => {
      const { id, alive } = await suspectIn("let-go");
      await sql.query("update mailer.emails set state = 'held' where id = $1", [id]);
      await sql.query("update mailer.emails set state = 'pending' where id = $1", [id]);
      expect((await alive.attempts.claim(id, await wakeOf(id))).kind).toBe("claimed");
    });

    test("counts nothing against it when its worker left in order", async () => {
      const draft = newEmail({ region: "in-order" });
      await store(emails, [draft]);
      const alive = await join("in-order");
      for (let stop = 0; stop < 3; stop++) {
        const leaving = await join("in-order");
        const claim = await leaving.attempts.claim(draft.id, await wakeOf(draft.id));
        expect(claim.kind).toBe("claimed");
        await leaving.presence.stop();
        await alive.presence.takeOver({ everything: false });
      }
      expect((await alive.attempts.claim(draft.id, await wakeOf(draft.id))).kind).toBe("claimed");
    });
  });

  describe("a silent region", () => {
    test("has its due emails adopted under a new wake, the others not, each once", async () => {
      const home = await join("silent");
      const due = newEmail({ region: "silent" });
      const later = newEmail({ region: "silent", scheduledAt: new Date(Date.now() + hourMs) });
      await store(emails, [due, later], { queuedBy: home.workerId });
      const adopters = await Promise.all([join("adopter-a"), join("adopter-b")]);
      const adopt = async () =>
        (await Promise.all(adopters.map(({ presence }) => presence.adopt(100)))).flat();
      expect(await adopt()).toEqual([]);
      await age("regions", "silent", deadMs);
      expect(await adopt()).toEqual([
        { id: due.id, wake: 2, delayMs: 0, ownerId: "ada", fromRegion: "silent" },
      ]);
      expect(await adopt()).toEqual([]);
      // The job that its region still has in its queue does nothing.
      expect((await home.attempts.claim(due.id, 1)).kind).toBe("stale");
      expect((await entriesOf(due.id)).at(-1)).toMatchObject({
        action: "email.released",
        reason: "region_silent",
        from_region: "silent",
      });
    });

    test("is one that nobody ever heard of, too", async () => {
      const draft = newEmail({ region: "never-seen" });
      await store(emails, [draft]);
      const { presence } = await join("finder");
      expect((await presence.standing(10)).deadRegions).toContain("never-seen");
      const adopted = await presence.adopt(100);
      expect(adopted.map(({ id }) => id)).toContain(draft.id);
      expect((await emails.get(draft.id, adminClaims))?.region).toBe("finder");
    });

    test("is one whose processes only accept, or have no queue", async () => {
      await join("api-only", { role: "api" });
      const queueless = await join("queueless");
      const drafts = ["api-only", "queueless"].map((region) => newEmail({ region }));
      await store(emails, drafts);
      for (const region of ["api-only", "queueless"]) await age("regions", region, deadMs);
      await join("api-only", { role: "api" });
      await queueless.presence.beat({ canSend: false });
      const { presence } = await join("elsewhere");
      const adopted = (await presence.adopt(100)).map(({ fromRegion }) => fromRegion);
      expect(adopted.sort()).toEqual(["api-only", "queueless"]);
    });

    test("is not adopted by a region that cannot send either", async () => {
      const draft = newEmail({ region: "lost" });
      await store(emails, [draft]);
      const api = await join("helpless", { role: "api" });
      expect(await api.presence.adopt(100)).toEqual([]);
      expect((await (await join("helpful")).presence.adopt(100)).map(({ id }) => id)).toContain(
        draft.id,
      );
    });
  });

  describe("overdue emails", () => {
    test("are listed in pages while they are queued and not claimed", async () => {
      const { presence, workerId } = await join("overdue");
      const drafts = Array.from({ length: 5 }, () => newEmail({ region: "overdue" }));
      await store(emails, drafts, { queuedBy: workerId });
      const page = (after: Parameters<typeof presence.listOverdue>[0]["after"]) =>
        presence.listOverdue({ overdueMs: 2_000, limit: 3, after });
      expect((await page(null)).emails).toEqual([]);
      await sql.query(
        `update mailer.emails set next_attempt_at = next_attempt_at - interval '3 seconds',
           queued_at = queued_at - interval '3 seconds' where region = 'overdue'`,
      );
      const first = await page(null);
      const second = await page(first.last);
      expect(first.emails).toHaveLength(3);
      expect([second.emails.length, second.last]).toEqual([2, null]);
      const ids = [...first.emails, ...second.emails].map(({ id }) => id);
      expect(ids.sort()).toEqual(drafts.map(({ id }) => id).sort());
      expect((await page(second.until)).emails.length).toBeLessThanOrEqual(3);
    });

    test("of the region are in its standing, by how long the first has waited", async () => {
      const { presence } = await join("standing");
      expect(await presence.standing(10)).toMatchObject({ oldestDueMs: 0, dueUnclaimed: 0 });
      await store(emails, [newEmail({ region: "standing" }), newEmail({ region: "standing" })]);
      await sql.query(
        `update mailer.emails set next_attempt_at = next_attempt_at - interval '9 seconds'
         where region = 'standing'`,
      );
      const standing = await presence.standing(10);
      expect(standing.oldestDueMs).toBeGreaterThanOrEqual(9_000);
      expect(standing).toMatchObject({ dueUnclaimed: 2 });
      expect((await presence.standing(1)).dueUnclaimed).toBe(1);
    });

    test("that are in no queue are heard of with the beat", async () => {
      const { presence, workerId } = await join("unqueued");
      const draft = newEmail({ region: "unqueued" });
      await store(emails, [draft], { queuedBy: workerId });
      expect((await presence.beat()).hasDue).toBe(false);
      await presence.unqueue([{ id: draft.id, wake: 1 }]);
      expect((await presence.beat()).hasDue).toBe(true);
      expect(presence.jobsGivenUp).toBe(1);
    });
  });

  test("every region that was ever heard of is known", async () => {
    const { presence } = await join("known");
    await age("regions", "known", 30 * 24 * hourMs);
    const { regions, deadRegions } = await presence.standing(1);
    expect(regions).toContain("known");
    // Given up long ago, and nothing waits there: nobody needs to be told.
    expect(deadRegions).not.toContain("known");
  });
});
