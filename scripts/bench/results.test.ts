import { expect, test } from "bun:test";
import { distribution, picture } from "./picture.ts";
import { type BenchResult, newestResults, page } from "./results.ts";

const result: BenchResult = {
  measurement: "burst",
  at: "2030-01-02T03:04:05.000Z",
  commit: "0123456789",
  rounds: 3,
  machine: { cpus: 2, memoryGb: 24, kernel: "Linux 6" },
  versions: { Bun: "1.4.5" },
  loadBefore: 0.1,
  tookMs: 61_000,
  figures: [
    { name: "ceiling", unit: "/s", values: [900, 1_000, 1_100] },
    {
      name: "ours ÷ ceiling",
      unit: "×",
      values: [1, 1.3, 1.2],
      target: { gate: 1.2, aim: 2, better: "higher" },
    },
  ],
  settings: { mails: 5_000 },
  broken: [],
};

test("of each measurement the newest line stands, in the order of the catalogue", () => {
  const lines = [{ ...result, measurement: "accept" }, { ...result, commit: "old" }, result];
  const text = `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`;
  const found = newestResults(text, ["burst", "accept", "never run"]);
  expect(found.map(({ measurement, commit }) => [measurement, commit])).toEqual([
    ["burst", "0123456789"],
    ["accept", "0123456789"],
  ]);
});

test("what is asked stands above its references, with date, machine, commit and settings", () => {
  const text = page([result]);
  expect(text).toContain("| ours ÷ ceiling | ≥ 1.20 × | ≥ 2 × | 1.20 × (1–1.30) | ✓ gate |");
  expect(text.indexOf("| ours")).toBeLessThan(text.indexOf("| ceiling"));
  expect(text).toContain("Run 2030-01-02 03:04 UTC, commit 0123456789, 3 rounds, 61 s");
  expect(text).toContain("2 CPUs, 24 GB, Linux 6; Bun 1.4.5. Settings: mails 5000.");
});

test("a run that lost or doubled something is void in words", () => {
  expect(page([{ ...result, broken: ["1 of 5000 lost"] }])).toContain("**Void**: 1 of 5000 lost.");
});

test("a picture has a line for each curve, and names that cannot break it", () => {
  const curves = [distribution("a <b> & c", [3, 1, 2]), { name: "empty", points: [] }];
  const svg = picture(curves, { title: "T", x: "ms", y: "%" });
  expect(svg.match(/<polyline/g)).toHaveLength(2);
  expect(svg).toContain("a &lt;b> &amp; c");
  expect(svg).not.toContain("NaN");
});

test("a distribution ends at all of them", () => {
  expect(distribution("d", [30, 10]).points).toEqual([
    [10, 50],
    [30, 100],
  ]);
});
