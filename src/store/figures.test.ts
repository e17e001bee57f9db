import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { createAttempts } from "./attempts.ts";
import { createEmails } from "./emails.ts";
import { createFigureReader } from "./figures.ts";
import { createJournal } from "./journal.ts";
import { createPresence } from "./presence.ts";

setDefaultTimeout(60_000);

describe.each(drivers)("figures on $driver", ({ open }) => {
  let opened: OpenDatabase;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(() => opened.close());

  test("count what is not done with, what is due, who sends, and what waits for its seal", async () => {
    const { database } = opened;
    const { read } = createFigureReader(database);
    const empty = await read();
    expect(empty).toMatchObject({ due: 0, oldestDueMs: 0, workersAlive: 0, unsealed: 0 });
    expect(empty.keyFingerprint).toBeNull();
    expect(Object.values(empty.byStatus)).toEqual([0, 0, 0, 0, 0, 0]);

    const workerId = Bun.randomUUIDv7();
    const options = { workerId, region: "local" };
    const attempts = createAttempts(database, { ...options, transport: "capture" });
    await createPresence(database, {
      ...options,
      role: "all",
      replyTimeoutMs: 600_000,
      deadAfterMs: 5_000,
    }).beat();
    const later = newEmail({ scheduledAt: new Date(Date.now() + 3_600_000) });
    const drafts = [newEmail(), newEmail(), newEmail(), newEmail(), later] as const;
    await store(createEmails(database), [...drafts]);
    const claim = (at: 0 | 1 | 2) => claimedOne(database, attempts, drafts[at].id);
    const { id: fencedId, token: fencedToken } = await claim(0);
    await attempts.fence(fencedId, fencedToken, new Date());
    // A claimed email that is not fenced is pending, and due.
    await claim(2);
    const { id, token } = await claim(1);
    await attempts.settle({
      id,
      token,
      transport: "capture",
      outcome: "bounced",
      nextState: "failed",
      retryInMs: null,
      smtpCode: 550,
      enhancedCode: null,
      reply: null,
      recipients: [],
    });

    const figures = await read();
    expect(figures.byStatus).toMatchObject({ pending: 3, sending: 1, failed: 1, held: 0 });
    expect(figures).toMatchObject({ due: 2, workersAlive: 1, workersDied: 0 });
    expect(figures.oldestDueMs).toBeGreaterThan(0);
    expect(figures.unsealed).toBeGreaterThanOrEqual(6);
    expect(figures.oldestUnsealedMs).toBeGreaterThan(0);
    expect(Math.abs(figures.now.getTime() - Date.now())).toBeLessThan(5_000);
    expect(figures.serverVersion).toMatch(/^\d+/);

    await createJournal(database).seal(1_000);
    expect(await read()).toMatchObject({ unsealed: 0, oldestUnsealedMs: 0 });
  });

  test("a clock that was set back keeps no dead worker alive, nor lets it be forgotten", async () => {
    const { database } = opened;
    const sql = await directSql(database);
    const { read } = createFigureReader(database);
    const { workerId, presence } = await joinRegion(database, "clock");
    const before = await read();
    const setBack = "update mailer.workers set beat_at = beat_at + interval '1 hour' where id = $1";
    await sql.query(setBack, [workerId]);
    const { workersAlive, workersDied } = before;
    expect(await read()).toMatchObject({
      ...{ workersAlive: workersAlive - 1, workersDied: workersDied + 1 },
    });
    expect(await presence.countWorkers()).toBe(workersAlive - 1);
    // A living one says so by the clock as it is now.
    await presence.beat();
    expect(await read()).toMatchObject({ workersAlive, workersDied });
    // Others have counted its beats in vain, however young the last one looks.
    await sql.query("update mailer.workers set reaped_at = beat_at where id = $1", [workerId]);
    expect(await read()).toMatchObject({
      ...{ workersAlive: workersAlive - 1, workersDied: workersDied + 1 },
    });
    await sql.close();
  });
});
