import { expect, test } from "bun:test";
import { createLogger } from "../log.ts";
import { latenessBoundsMs, type Minute } from "../store/minutes.ts";
import { createMinuteCounter } from "./count-minutes.ts";

/** A counter on a clock of its own, and what it wrote, call by call. */
function counterAt(start: string) {
  const at = { now: new Date(start), steadyMs: 0, isDown: false };
  const written: Minute[][] = [];
  const counter = createMinuteCounter({
    minutes: {
      record: async (minutes) => {
        if (at.isDown) throw new Error("no database");
        written.push(structuredClone([...minutes]));
      },
    },
    now: () => at.now,
    log: createLogger({ level: "silent" }),
    monotonicMs: () => at.steadyMs,
  });
  return { at, written, counter };
}

test("a minute is written every ten seconds as it stands, and no more once nothing changes", async () => {
  const { at, written, counter } = counterAt("2031-01-02T10:07:30Z");
  counter.noteAccepted(3);
  counter.noteAttempt("sent");
  await counter.look();
  expect(written).toEqual([]);
  at.steadyMs = 10_000;
  await counter.look();
  counter.noteAttempt("sent");
  counter.noteAttempt("bounced");
  at.steadyMs = 20_000;
  await counter.look();
  at.steadyMs = 30_000;
  await counter.look();
  const minute = new Date("2031-01-02T10:07:00Z");
  expect(written.map(([one]) => one)).toMatchObject([
    { minute, accepted: 3, sent: 1, bounced: 0 },
    { minute, accepted: 3, sent: 2, bounced: 1 },
  ]);
  expect(written.length).toBe(2);
});

test("lateness is counted up to its bound, and above the last", async () => {
  const { written, counter } = counterAt("2031-01-02T10:07:30Z");
  for (const ms of [0, 100, 101, 14_400_001]) counter.noteLateness(ms);
  await counter.flush();
  const lateness = written[0]?.[0]?.lateness ?? [];
  expect([lateness[0], lateness[1], lateness[latenessBoundsMs.length]]).toEqual([2, 1, 1]);
});

test("while the database is gone minutes are kept, and written when it is back", async () => {
  const { at, written, counter } = counterAt("2031-01-02T10:07:30Z");
  at.isDown = true;
  counter.noteAttempt("sent");
  await counter.flush();
  at.now = new Date("2031-01-02T10:08:01Z");
  counter.noteAttempt("deferred");
  at.isDown = false;
  await counter.flush();
  expect(written).toMatchObject([[{ sent: 1 }, { sent: 0, deferred: 1 }]]);
});

test("a clock that is set back begins no minute anew that was written already", async () => {
  const { at, written, counter } = counterAt("2031-01-02T10:08:01Z");
  counter.noteAttempt("sent");
  await counter.flush();
  at.now = new Date("2031-01-02T10:07:59Z");
  counter.noteAttempt("sent");
  await counter.flush();
  const minute = new Date("2031-01-02T10:08:00Z");
  expect(written.at(-1)).toMatchObject([{ minute, sent: 2 }]);
});
