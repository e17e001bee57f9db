import { expect, test } from "bun:test";
import type { Chain } from "./history.ts";
import { judge } from "./oracle.ts";

const sound: Chain = {
  verdict: { ok: true, checked: 3, chains: 1, position: 3 },
  unsealed: 0,
  missing: 0,
  miscounted: [],
};
const broken = { ownerId: "ada", number: 2, position: 7, reason: "hash" } as const;

function verdict(chain: Chain): string[] {
  const history = { emails: new Map(), strays: [], chain };
  return judge(history, { minuteMs: 1 }).map(({ invariant }) => invariant);
}

test("a sound journal is no fault", () => {
  expect(verdict(sound)).toEqual([]);
});

test.each<Partial<Chain>>([
  { verdict: { ok: false, checked: 1, broken } },
  { unsealed: 1 },
  { missing: 1 },
  { miscounted: ["2 emails of ada counted as held, not 1"] },
])("finds what is wrong with the journal as a whole: %j", (wrong) => {
  expect(verdict({ ...sound, ...wrong })).toEqual(["I7"]);
});
