import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wordsOf } from "./main.ts";
import { appendResult, type FaultResult, renderResults } from "./results.ts";

const result: FaultResult = {
  fault: "redis-eaten",
  what: "A dog eats Redis.",
  notYet: "one way out",
  scale: "small",
  seed: 7,
  at: "2026-11-30T04:00:00.000Z",
  mails: 5,
  cancelled: 0,
  harms: 1,
  announcedCopies: 0,
  copies: 0,
  uncertain: 0,
  broken: { I10: 5 },
  missed: [],
  tookMs: 1_000,
  commit: "0000000000",
  versions: { bun: "1", postgres: "17", redis: "7" },
  loadBefore: 0,
  machine: { cpus: 2, memoryGb: 8, kernel: "Linux 6" },
  recovery: null,
  resumedMs: null,
  lateness: null,
  latenessBeyondHarm: null,
  othersLateness: null,
  accept: null,
};

test("a marked fault that breaks something is listed with its mark, beside what broke", () => {
  const words = wordsOf({ result, report: "  I10 …", isFailed: false }, 7);
  expect(words).toStartWith("– redis-eaten (not yet: one way out) (seed 7): ");
  expect(words).toContain("I10 ×5");
  const folder = mkdtempSync(join(tmpdir(), "not-yet-"));
  const [from, to] = [join(folder, "results.jsonl"), join(folder, "RESULTS.md")];
  appendResult(from, result);
  renderResults(from, to, { order: [], appendix: "" });
  const page = readFileSync(to, "utf8");
  expect(page).toContain("| redis-eaten (not yet: one way out) | 5 |");
  expect(page).toContain("- **redis-eaten** (not yet: one way out): A dog eats Redis. Run");
  rmSync(folder, { recursive: true });
});

test("a marked fault that keeps everything says that its mark can go", () => {
  const kept = { ...result, broken: {} };
  const words = wordsOf({ result: kept, report: "", isFailed: false }, 7);
  expect(words).toContain("all promises kept\n  kept: remove `notYet` from this fault\n");
});
