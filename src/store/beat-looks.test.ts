import { expect, test } from "bun:test";
import { createBeatLooks, type SeenProcess } from "./beat-looks.ts";

const other = (beats: number, fields: Partial<SeenProcess> = {}): SeenProcess => ({
  ...{ id: "other", region: "here", beats, isStopped: false },
  ...fields,
});

/** After how many looks in a row at the same process it is dead; null: not within twenty. */
function deadAfter(seenAt: (look: number) => SeenProcess | "no answer"): number | null {
  const looks = createBeatLooks({ region: "here" });
  for (let look = 0; look <= 20; look++) {
    const seen = seenAt(look);
    if (seen === "no answer") looks.miss();
    else looks.see([seen]);
    if (looks.dead().length > 0) return look;
  }
  return null;
}

test("a process is dead after five looks in a row without a new beat", () => {
  expect(deadAfter(() => other(7))).toBe(5);
  const looks = createBeatLooks({ region: "here" });
  for (let look = 0; look <= 5; look++) looks.see([other(7)]);
  expect(looks.dead()).toEqual([{ id: "other", beats: 7 }]);
});

test("one that beats, however seldom, is not", () => {
  expect(deadAfter((look) => other(Math.floor(look / 5)))).toBeNull();
});

test("a look that the database did not answer begins the count anew", () => {
  expect(deadAfter((look) => (look === 4 ? "no answer" : other(7)))).toBe(10);
});

test("its own region finds a process first; one that left in order is dead at once there", () => {
  expect(deadAfter(() => other(7, { region: "there" }))).toBe(10);
  expect(deadAfter(() => other(7, { isStopped: true }))).toBe(0);
  expect(deadAfter(() => other(7, { isStopped: true, region: "there" }))).toBe(5);
});

test("one that somebody has found dead, or whose row is gone, is forgotten", () => {
  const looks = createBeatLooks({ region: "here" });
  for (let look = 0; look <= 5; look++) looks.see([other(7)]);
  looks.see([]);
  expect(looks.dead()).toEqual([]);
});
