import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { resolve } from "node:path";
import { faults } from "../testing/faults/catalogue.ts";
import { lostReplies } from "../testing/faults/postgres-faults.ts";
import { runFault } from "../testing/faults/run-fault.ts";

setDefaultTimeout(150_000);

/** Every kind of harm once; the others run in `scripts/test --long` and `scripts/faults/run`. */
const quick = [
  "workers-killed",
  "redis-flushed",
  "postgres-killed-after-201",
  "postgres-reply-lost",
  "two-regions-race",
];

beforeAll(() => {
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
  test(`under ${fault.name} nothing is lost, doubled unannounced, or early`, async () => {
    const seed = Date.now() % 2 ** 31;
    const root = resolve(import.meta.dir, "../..");
    const settings = { scale: "small", seed, root, say: () => {} } as const;
    const { report, isFailed, result } = await runFault(fault, settings);
    // A fault that is marked `notYet` may break its promises: the mark says so in the table.
    expect(isFailed ? report : "").toBe("");
    expect(result.mails).toBeGreaterThanOrEqual(fault.mails.small);
    expect(result.harms).toBeGreaterThan(0);
  });
}
