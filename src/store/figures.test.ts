import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { drivers, type OpenDatabase } from "../testing/databases.ts";
import { newEmail, store } from "../testing/new-email.ts";
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
    const options = { workerId, region: "local", horizonMs: 600_000 };
    const attempts = createAttempts(database, { ...options, transport: "capture" });
    await createPresence(database, {
      ...options,
      role: "all",
      replyTimeoutMs: 600_000,
      deadAfterMs: 5_000,
    }).beat();
    const later = newEmail({ scheduledAt: new Date(Date.now() + 3_600_000) });
    const drafts = [newEmail(), newEmail(), newEmail(), later] as const;
    await store(createEmails(database), [...drafts]);
    await attempts.claim(drafts[0].id, 1);
    const failing = await attempts.claim(drafts[1].id, 1);
    if (failing.kind !== "claimed") throw new Error(failing.kind);
    await attempts.settle({
      id: failing.email.id,
      token: failing.email.token,
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
    expect(figures.byStatus).toMatchObject({ pending: 2, sending: 1, failed: 1, held: 0 });
    expect(figures).toMatchObject({ due: 1, workersAlive: 1, workersDied: 0 });
    expect(figures.oldestDueMs).toBeGreaterThan(0);
    expect(figures.unsealed).toBeGreaterThanOrEqual(6);
    expect(figures.oldestUnsealedMs).toBeGreaterThan(0);
    expect(Math.abs(figures.now.getTime() - Date.now())).toBeLessThan(5_000);
    expect(figures.serverVersion).toMatch(/^\d+/);

    await createJournal(database).seal(1_000);
    expect(await read()).toMatchObject({ unsealed: 0, oldestUnsealedMs: 0 });
  });
});
