import { expect, test } from "bun:test";
import type { Pause } from "../store/pauses.ts";
import { checkPauses, pauseWords, restoredWords } from "./pause-words.ts";

const pause = (kind: Pause["kind"], name: string): Pause => ({
  ...{ kind, name, pausedBy: "olga", reason: "a flood" },
  pausedAt: new Date("2030-01-02T03:04:05Z"),
});

test("an admin is told who paused what, since when and why", () => {
  expect(pauseWords([])).toBe("");
  expect(pauseWords([pause("region", "ams")])).toBe(
    "sending of the region ams is paused since 2030-01-02T03:04:05.000Z by olga (a flood); " +
      "resume with `taskforce-mailer resume` or POST /api/v1/resume",
  );
});

test("of many owners a few are named", () => {
  const words = pauseWords(["a", "b", "c", "d", "e"].map((name) => pause("owner", name)));
  expect(words).toContain("the owner c is paused");
  expect(words).not.toContain("the owner d is paused");
  expect(words).toContain("; 2 more; resume with");
});

test("health is degraded while a pause holds, and names no owner, no admin and no reason", () => {
  expect(checkPauses([])).toEqual({ status: "ok" });
  expect(checkPauses([pause("region", "ams"), pause("owner", "ada@example.com")])).toEqual({
    status: "degraded",
    detail:
      "sending of the region ams is paused since 2030-01-02T03:04:05.000Z; " +
      "sending of 1 owner(s) is paused; " +
      "resume with `taskforce-mailer resume` or POST /api/v1/resume",
  });
});

const restored: Pause = {
  ...pause("region", "ams"),
  ...{ kind: "database", name: "restored" },
  restored: {
    noticedAt: new Date("2030-01-02T03:04:05Z"),
    knowsUntil: new Date("2030-01-02T01:00:00Z"),
    count: 12,
    first: { id: "0190a000-0000-7000-8000-000000000001", dueAt: new Date("2030-01-02T01:00:01Z") },
    lastDueAt: new Date("2030-01-02T03:04:00Z"),
  },
};

test("a restored database comes first, with what may be sent again and how to decide", () => {
  const words = pauseWords([pause("owner", "ada"), restored]);
  expect(words).toStartWith(
    "all sending is paused since 2030-01-02T03:04:05.000Z: this database was restored or copied; " +
      "12 emails were due after 2030-01-02T01:00:00.000Z, up to which it knows what was sent, and may " +
      "have been sent already; `taskforce-mailer resume --restored` sends them, `taskforce-mailer " +
      "resume --restored --hold` holds each of them for a decision; sending of the owner ada",
  );
  expect(checkPauses([restored])).toMatchObject({
    status: "degraded",
    detail: expect.not.stringContaining("resume with"),
  });
  // Where nobody may know how many emails of others there are.
  const { restored: _, ...untold } = restored;
  expect(pauseWords([untold])).toContain("what was due after its dump may have been sent already");
});

test("a person who decides is told which emails, and how many at least", () => {
  const report = restored.restored as NonNullable<Pause["restored"]>;
  expect(restoredWords(report)).toContain(
    "12 emails were due between 2030-01-02T01:00:00.000Z, up to which it knows what was sent, and now " +
      "and may have been sent already: the first 0190a000-0000-7000-8000-000000000001 at",
  );
  expect(restoredWords({ ...report, count: 10_000 })).toContain("at least 10000 emails were");
  expect(restoredWords({ ...report, count: 0, first: null, lastDueAt: null })).toContain(
    "no email was due between",
  );
});
