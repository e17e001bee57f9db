import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { resolve } from "node:path";
import { faults } from "../../scripts/faults/catalogue.ts";
import { lostReplies } from "../../scripts/faults/postgres-faults.ts";
import { runFault } from "../../scripts/faults/run-fault.ts";

// Waiting for a lane counts, so this bounds the whole file; each run has its own deadline of rest.
setDefaultTimeout(420_000);

/** Every kind of harm once; the others run in `scripts/test --long` and `scripts/faults/run`. */
const quick = [
  "workers-killed",
  "redis-flushed",
  "postgres-killed-after-201",
  "postgres-reply-lost",
  "settle-refused",
  "commit-after-deadline",
  "claims-forgotten",
  "two-regions-race",
  "changes-around-due-time",
];

/** Rows wait for heartbeats and leases more than they work: two cores carry two rows at a time. */
const lanes = 2;
let running = 0;
const waiting: (() => void)[] = [];

async function inLane<Result>(run: () => Promise<Result>): Promise<Result> {
  if (running < lanes) running += 1;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    return await run();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }
}

beforeAll(() => {
  // The processes under test are of this build: it says what it holds.
  const built = Bun.spawnSync(["scripts/build", "--fail-points"]);
  if (built.exitCode !== 0) throw new Error(built.stderr.toString());
  const known = faults.map(({ name }) => name);
  expect(known).toEqual(expect.arrayContaining(quick));
});

test("every call whose reply gets lost is one that the program makes", async () => {
  const root = resolve(import.meta.dir, "../store");
  const files = [...new Bun.Glob("*.ts").scanSync(root)].filter((name) => !name.includes(".test."));
  const sources = await Promise.all(files.map((name) => Bun.file(resolve(root, name)).text()));
  const program = sources.join("\n");
  expect(lostReplies.filter((call) => !program.includes(`("${call}"`))).toEqual([]);
});

for (const fault of faults.filter(({ name }) => quick.includes(name))) {
  test.concurrent(`under ${fault.name} nothing is lost, doubled unannounced, or early`, async () => {
    const seed = Date.now() % 2 ** 31;
    const root = resolve(import.meta.dir, "../..");
    const settings = { scale: "small", seed, root, say: () => {} } as const;
    const { report, isFailed, result } = await inLane(() => runFault(fault, settings));
    // A fault that is marked `notYet` may break its promises: the mark says so in the table.
    expect(isFailed ? report : "").toBe("");
    expect(result.mails).toBeGreaterThanOrEqual(fault.mails.small);
    expect(result.harms).toBeGreaterThan(0);
  });
}
