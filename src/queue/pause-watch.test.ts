import { expect, test } from "bun:test";
import { createLogger } from "../log.ts";
import type { Pause, Pauses } from "../store/pauses.ts";
import { createPauseWatch } from "./pause-watch.ts";

const log = createLogger({ level: "silent" });
const by = { claims: { role: "admin", sub: "olga" }, origin: null } as const;
const region = { kind: "region", name: "ams" } as const;
const pause: Pause = { ...region, pausedAt: new Date(), pausedBy: "olga", reason: "a flood" };

/** A table of pauses in memory. */
function tableOf(): Pauses & { rows: Pause[] } {
  const rows: Pause[] = [];
  return {
    rows,
    pause: async () => {
      rows.push(pause);
      return pause;
    },
    resume: async () => rows.splice(0).length > 0,
    resumeRestored: async () => ({ wasPaused: rows.splice(0).length > 0, held: 0 }),
    list: async () => [...rows],
  };
}

test("what this process changes it knows at once, and tells when sending may go on", async () => {
  let resumed = 0;
  const watch = createPauseWatch({ pauses: tableOf(), onResumed: () => resumed++, log });
  expect(watch.last).toEqual([]);
  expect(await watch.pause({ ...region, reason: "a flood" }, by)).toEqual(pause);
  expect(watch.last).toEqual([pause]);
  expect(await watch.resume(region, by)).toBe(true);
  expect([watch.last, resumed]).toEqual([[], 1]);
  expect(await watch.resume(region, by)).toBe(false);
  expect(resumed).toBe(1);
});

test("what others change it knows after a look; a database that fails changes nothing", async () => {
  const table = tableOf();
  const pauses: Pauses = { ...table, list: () => list() };
  let list = table.list;
  const watch = createPauseWatch({ pauses, onResumed: () => {}, log });
  table.rows.push(pause);
  await watch.look();
  expect(watch.last).toEqual([pause]);
  list = () => Promise.reject(new Error("no database"));
  await watch.look();
  expect(watch.last).toEqual([pause]);
});

test("an answer that was overtaken does not undo a later one", async () => {
  const table = tableOf();
  const slow = Promise.withResolvers<Pause[]>();
  let list: Pauses["list"] = () => slow.promise;
  const pauses: Pauses = { ...table, list: () => list() };
  const watch = createPauseWatch({ pauses, onResumed: () => {}, log });
  const overtaken = watch.look();
  list = table.list;
  await watch.pause({ ...region, reason: "a flood" }, by);
  slow.resolve([]);
  await overtaken;
  expect(watch.last).toEqual([pause]);
});
