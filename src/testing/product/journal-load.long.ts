import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createSealer } from "../../journal/seal.ts";
import { createLogger } from "../../log.ts";
import { createEmails } from "../../store/emails.ts";
import { createJournal, type Journal } from "../../store/journal.ts";
import { createPostgresDatabase, type PostgresDatabase } from "../../store/postgres-database.ts";
import { newEmail, store } from "../fixtures/new-email.ts";
import { freshDatabase } from "../servers/fresh-database.ts";
import { attemptsOf, liveOneEmail, runJournalLoad } from "./journal-load.ts";

const phaseMs = 10_000;

/** What sealing costs at 2,000 entries a second, printed; and the load test, longer. */
describe("sealing 2,000 entries a second", () => {
  let database: PostgresDatabase;
  let journal: Journal;
  beforeAll(async () => {
    database = createPostgresDatabase({ url: (await freshDatabase()).url, poolSize: 12 });
    journal = createJournal(database);
  }, 60_000);
  afterAll(() => database.close());

  test("costs little and leaves the fence its latency", async () => {
    for (const round of [1, 2]) {
      const without = await load(database, () => {});
      while ((await journal.seal(5_000)).hasMore);
      const sealing = await sealed(database);
      const busyMs = sealing.ms.reduce((sum, one) => sum + one, 0);
      const perThousand = (busyMs / sealing.entries) * 1_000;
      const lag = await journal.lag();
      console.log(
        `round ${round}: ${Math.round(sealing.entries / (phaseMs / 1_000))} entries/s,`,
        `${sealing.ms.length} rounds of ${Math.round(sealing.entries / sealing.ms.length)},`,
        `${perThousand.toFixed(0)} ms per 1,000;`,
        `fence without p50 ${at(without.fencesMs, 0.5)} p99 ${at(without.fencesMs, 0.99)} ms,`,
        `with p50 ${at(sealing.fencesMs, 0.5)} p99 ${at(sealing.fencesMs, 0.99)} ms;`,
        `left unsealed ${lag.unsealed}`,
      );
      // 5,000 entries a second at the least.
      expect(perThousand).toBeLessThan(200);
      expect(lag.oldestMs).toBeLessThan(1_000);
      while ((await journal.seal(5_000)).hasMore);
    }
  }, 300_000);
});

describe("two sealers under a long load", () => {
  test("stay less than a second behind and lose nothing", async () => {
    const { url } = await freshDatabase();
    const slow = { dawdlers: 2, dawdles: 60, dawdleMsMax: 250 };
    const load = await runJournalLoad({ url, emails: 5_000, writers: 40, ...slow });
    const positions = load.seen.map(({ position }) => position);
    expect(positions).toEqual(positions.map((_, index) => index + 1));
    const ofEmails = [...load.acked.values()].reduce((sum, actions) => sum + actions.length, 0);
    expect(positions.length).toBe(ofEmails + load.dawdled.size);
    console.log(`behind: p50 ${at(load.lagsMs, 0.5)}, worst ${at(load.lagsMs, 1)} ms`);
    expect(Math.max(...load.lagsMs)).toBeLessThan(1_000);
    await load.close();
  }, 300_000);
});

/** 60 emails a second through their whole life, the rest as accepted in requests of 40. */
async function load(
  database: PostgresDatabase,
  nudge: () => void,
): Promise<{ entries: number; fencesMs: number[] }> {
  const emails = createEmails(database);
  const parts = { database, emails, attempts: attemptsOf(database) };
  const startedAt = performance.now();
  const fencesMs: number[] = [];
  let entries = 0;
  const steps: Promise<void>[] = [];
  const elapsed = () => performance.now() - startedAt;
  for (let tick = 0; elapsed() < phaseMs; tick += 1) {
    const lives = Array.from({ length: 3 }, async () => {
      const { fenceMs, actions } = await liveOneEmail(parts, `owner-${tick % 50}`, false);
      fencesMs.push(fenceMs);
      entries += actions.length;
    });
    const request = Array.from({ length: 91 }, () => newEmail());
    const accepts = store(emails, request, { ownerId: `owner-${tick % 50}` }).then(() => {
      entries += request.length;
    });
    steps.push(Promise.all([...lives, accepts]).then(nudge));
    await Bun.sleep(Math.max(0, (tick + 1) * 50 - elapsed()));
  }
  await Promise.all(steps);
  return { entries, fencesMs };
}

async function sealed(
  database: PostgresDatabase,
): Promise<{ entries: number; fencesMs: number[]; ms: number[] }> {
  const journal = createJournal(database);
  const ms: number[] = [];
  const timed: Pick<Journal, "seal"> = {
    async seal(limit) {
      const startedAt = performance.now();
      const answer = await journal.seal(limit);
      if (answer.sealed > 0) ms.push(performance.now() - startedAt);
      return answer;
    },
  };
  const sealer = createSealer({ store: timed, log: createLogger({ level: "silent" }) });
  sealer.start();
  const result = await load(database, () => sealer.nudge());
  await sealer.stop(5_000);
  return { ...result, ms };
}

function at(values: number[], part: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(1);
}
