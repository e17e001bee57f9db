import { expect, test } from "bun:test";
import type { Pause } from "../store/pauses.ts";
import { checkPauses } from "./pause-words.ts";

const pause = (kind: Pause["kind"], name: string): Pause => ({
  ...{ kind, name, pausedBy: "olga", reason: "a flood" },
  pausedAt: new Date("2030-01-02T03:04:05Z"),
});

test("health is degraded while a pause holds, and says who, what, since when and why", () => {
  expect(checkPauses([])).toEqual({ status: "ok" });
  expect(checkPauses([pause("region", "ams")])).toEqual({
    status: "degraded",
    detail:
      "sending of the region ams is paused since 2030-01-02T03:04:05.000Z by olga (a flood); " +
      "resume with `taskforce-mailer resume` or POST /api/v1/resume",
  });
});

test("of many owners a few are named", () => {
  const many = ["a", "b", "c", "d", "e"].map((name) => pause("owner", name));
  const { detail = "" } = checkPauses(many);
  expect(detail).toContain("the owner c is paused");
  expect(detail).not.toContain("the owner d is paused");
  expect(detail).toContain("; 2 more; resume with");
});
