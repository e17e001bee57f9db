import { expect, test } from "bun:test";
import type { Pause } from "../store/pauses.ts";
import { checkPauses, pauseWords } from "./pause-words.ts";

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
