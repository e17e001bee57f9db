import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { resolve } from "node:path";
import { faults } from "./catalogue.ts";
import { runFault } from "./run-fault.ts";

setDefaultTimeout(600_000);

const root = resolve(import.meta.dir, "../..");

beforeAll(() => {
  const built = Bun.spawnSync(["scripts/build", "--fail-points"], { cwd: root });
  if (built.exitCode !== 0) throw new Error(built.stderr.toString());
});

for (const fault of faults) {
  test(`under ${fault.name} nothing is lost, doubled unannounced, or early`, async () => {
    const seed = Date.now() % 2 ** 31;
    const { report, isFailed } = await runFault(fault, {
      scale: "small",
      seed,
      root,
      say: () => {},
    });
    // A fault that is marked `notYet` may break its promises: the mark says so in the table.
    expect(isFailed ? report : "").toBe("");
  });
}
