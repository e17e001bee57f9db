import { afterEach, describe, expect, test } from "bun:test";
import { AppError } from "../errors.ts";
import { createLogger } from "../log.ts";
import type { SealAnswer } from "../store/journal.ts";
import { until } from "../testing/servers/child-server.ts";
import { createSealer, type Sealer } from "./seal.ts";

const done: SealAnswer = { sealed: 1, hasMore: false, isBusy: false, oldestMs: 0 };
const hourMs = 3_600_000;
let sealer: Sealer | null = null;

afterEach(() => sealer?.stop(1_000));

/** A store whose rounds the test ends itself, one after the other. */
function scriptedStore() {
  const rounds: { at: number; end: (answer: SealAnswer | Error) => void }[] = [];
  let underWay = 0;
  let mostUnderWay = 0;
  return {
    rounds,
    get mostUnderWay() {
      return mostUnderWay;
    },
    async seal(): Promise<SealAnswer> {
      const { promise, resolve } = Promise.withResolvers<SealAnswer | Error>();
      rounds.push({ at: performance.now(), end: resolve });
      underWay += 1;
      mostUnderWay = Math.max(mostUnderWay, underWay);
      const answer = await promise;
      underWay -= 1;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
}

function start(store: ReturnType<typeof scriptedStore>, everyMs: number, lines: string[] = []) {
  const stream = { write: (line: string) => void lines.push(line) };
  sealer = createSealer({ store, log: createLogger({ level: "debug", stream }), everyMs });
  sealer.start();
  return sealer;
}

const roundNumber = (store: ReturnType<typeof scriptedStore>, count: number) =>
  until(`round ${count}`, async () => store.rounds.length >= count);

const gone = () => new AppError("database_unavailable", { publicDetail: "gone" });

describe("the sealer", () => {
  test("looks by itself, again and again", async () => {
    const store = scriptedStore();
    start(store, 5);
    for (const count of [1, 2, 3]) {
      await roundNumber(store, count);
      store.rounds[count - 1]?.end(done);
    }
  });

  test("looks less often once all is quiet, and at once when stirred", async () => {
    const store = scriptedStore();
    const stirred = start(store, 1);
    const nothing: SealAnswer = { ...done, sealed: 0 };
    for (let count = 1; count <= 25; count++) {
      await roundNumber(store, count);
      store.rounds[count - 1]?.end(nothing);
    }
    await Bun.sleep(200);
    expect(store.rounds.length).toBe(25);
    stirred.stir();
    await roundNumber(store, 26);
    store.rounds[25]?.end(done);
    // Something was sealed: it looks as often as before.
    await until("the next one", async () => store.rounds.length === 27, 500);
  });

  test("looks when nudged, and a nudge during a round is not lost", async () => {
    const store = scriptedStore();
    const running = start(store, hourMs);
    await roundNumber(store, 1);
    running.nudge();
    store.rounds[0]?.end(done);
    await roundNumber(store, 2);
    store.rounds[1]?.end(done);
    running.nudge();
    await roundNumber(store, 3);
    store.rounds[2]?.end(done);
  });

  test("never overlaps itself, however often it is nudged or started", async () => {
    const store = scriptedStore();
    const running = start(store, 1);
    running.start();
    for (let count = 1; count <= 4; count += 1) {
      for (let nudges = 0; nudges < 10; nudges += 1) running.nudge();
      await roundNumber(store, count);
      store.rounds[count - 1]?.end(done);
    }
    expect(store.mostUnderWay).toBe(1);
  });

  test("goes on at once while there is more", async () => {
    const store = scriptedStore();
    start(store, hourMs);
    for (const count of [1, 2, 3]) {
      await roundNumber(store, count);
      store.rounds[count - 1]?.end({ ...done, hasMore: true, oldestMs: 700 });
    }
    expect(sealer?.lagMs).toBeGreaterThanOrEqual(700);
    await roundNumber(store, 4);
    store.rounds[3]?.end(done);
    await until("the lag is gone", async () => sealer?.lagMs === 0);
  });

  test("waits ever longer while the database is gone, and says so once", async () => {
    const store = scriptedStore();
    const lines: string[] = [];
    const running = start(store, 20, lines);
    for (const count of [1, 2, 3, 4]) {
      await roundNumber(store, count);
      store.rounds[count - 1]?.end(gone());
      running.nudge();
    }
    await roundNumber(store, 5);
    expect(running.lagMs).toBeGreaterThan(0);
    const at = store.rounds.map((round) => round.at);
    // Doubled each time, nudges or not; a timer may be late, but never early by more than 1 ms.
    for (const [index, pauseMs] of [40, 80, 160, 320].entries()) {
      expect((at[index + 1] ?? 0) - (at[index] ?? 0)).toBeGreaterThanOrEqual(pauseMs - 1);
    }
    store.rounds[4]?.end(done);
    await roundNumber(store, 6);
    store.rounds[5]?.end(done);
    expect(lines.filter((line) => line.includes("failed"))).toHaveLength(1);
    expect(lines.filter((line) => line.includes("works again"))).toHaveLength(1);
  });

  test("tells its listeners of what it sealed, and only then", async () => {
    const store = scriptedStore();
    const running = start(store, hourMs);
    let told = 0;
    const end = running.onSealed(() => {
      told += 1;
    });
    for (const [index, sealed] of [0, 3, 5].entries()) {
      await roundNumber(store, index + 1);
      if (index === 2) end();
      store.rounds[index]?.end({ ...done, sealed });
      running.nudge();
    }
    await roundNumber(store, 4);
    store.rounds[3]?.end(done);
    expect(told).toBe(1);
  });

  test("stops after the round under way", async () => {
    const store = scriptedStore();
    const running = start(store, 1);
    await roundNumber(store, 1);
    let isStopped = false;
    const stopping = running.stop(10_000).then(() => {
      isStopped = true;
    });
    expect(isStopped).toBe(false);
    store.rounds[0]?.end({ ...done, hasMore: true });
    await stopping;
    expect(store.rounds).toHaveLength(1);
  });

  test("stops at the timeout when a round hangs, and at once when it was never started", async () => {
    const store = scriptedStore();
    await start(store, 1).stop(20);
    expect(store.rounds).toHaveLength(1);
    await createSealer({ store, log: createLogger({ level: "silent" }) }).stop(10_000);
    store.rounds[0]?.end(done);
  });
});
