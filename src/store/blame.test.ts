import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { createToldLooks } from "../testing/fixtures/told-looks.ts";
import { joinRegion, type RegionProcess } from "../testing/product/region-process.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { createEmails, type Emails } from "./emails.ts";

const hourMs = 3_600_000;
/** Longer than this file takes, so that nobody dies or falls silent of himself. */
const looks = createToldLooks();
const patience = { deadAfterMs: hourMs, silentAfterMs: hourMs, looks };
/** A little longer than that. */
const deadMs = hourMs + 1_000;

describe.each(drivers)("blame on $driver", ({ open }) => {
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
  const rowOf = async (id: string) =>
    (await sql.query("select state, crashes from mailer.emails where id = $1", [id]))[0];
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

  describe("of what a dead worker had claimed, blamed is", () => {
    const minute = "interval '1 minute'";

    /** A worker has claimed this many emails, and its last beat told of some of them. */
    async function dyingWith(region: string, count: number, begun: number[] = []) {
      const dying = await join(region);
      const drafts = Array.from({ length: count }, () => newEmail({ region }));
      await store(emails, drafts);
      const ids = drafts.map(({ id }) => id);
      for (const id of ids) await claimedOne(opened.database, dying.attempts, id);
      await dying.presence.beat({ begun: begun.map((at) => ids[at] ?? "") });
      return { ids, dying };
    }
    const dueAt = (id: string | undefined, at: string) =>
      sql.query(
        `update mailer.emails set claimed_at = (select beat_at from mailer.workers
           where id = worker_id) ${at} where id = $1`,
        [id],
      );
    async function crashesAfterDeath({ ids, dying }: { ids: string[]; dying: RegionProcess }) {
      // The beat grows old, and with it the claims.
      await sql.query(
        "update mailer.emails set claimed_at = claimed_at - $2 * interval '1 ms' where worker_id = $1",
        [dying.workerId, deadMs],
      );
      await age("workers", dying.workerId, deadMs);
      await die(dying.workerId);
      const [{ region } = { region: "" }] = await sql.query(
        "select region from mailer.emails where id = $1",
        [ids[0]],
      );
      await (await join(String(region))).presence.takeOver({ everything: false });
      const crashes: unknown[] = [];
      for (const id of ids) crashes.push((await rowOf(id))?.crashes);
      return crashes;
    }

    test("what it had begun by its last beat, and not what only waited for its turn", async () => {
      const dead = await dyingWith("begun", 3, [1]);
      for (const id of dead.ids) await dueAt(id, `- ${minute}`);
      expect(await crashesAfterDeath(dead)).toEqual([0, 1, 0]);
    });

    test("what came due since, and not what is due later than its death", async () => {
      const dead = await dyingWith("came-due", 3);
      await dueAt(dead.ids[0], `- ${minute}`);
      await dueAt(dead.ids[1], "+ interval '1 second'");
      // A claim ahead of its time: claimed_at is when it is due.
      await dueAt(dead.ids[2], "+ interval '2 hours'");
      expect(await crashesAfterDeath(dead)).toEqual([0, 1, 0]);
    });

    test("all that was due when nobody else can be, and never what was not due yet", async () => {
      const dead = await dyingWith("nobody", 3);
      await dueAt(dead.ids[0], `- ${minute}`);
      await dueAt(dead.ids[1], `- 2 * ${minute}`);
      await dueAt(dead.ids[2], "+ interval '2 hours'");
      expect(await crashesAfterDeath(dead)).toEqual([1, 1, 0]);
    });

    test("nothing when the worker left in order", async () => {
      const dead = await dyingWith("left-in-order", 2, [0]);
      await dead.dying.presence.stop();
      expect(await crashesAfterDeath(dead)).toEqual([0, 0]);
    });

    test("told to nobody: the timeline has no entry, and the journal one without a sequence", async () => {
      const dead = await dyingWith("untold", 1);
      await crashesAfterDeath(dead);
      const [id = ""] = dead.ids;
      expect((await entriesOf(id)).map(({ action }) => action)).toEqual(["email.scheduled"]);
      const rows = await sql.query(
        "select action, sequence, detail from mailer.journal where email_id = $1 order by id",
        [id],
      );
      expect(rows.at(-1)).toMatchObject({
        action: "claim.returned",
        sequence: null,
        detail: { status: "pending", reason: "worker_dead", crashes: 1 },
      });
    });
  });
});
