import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { resolve } from "node:path";
import { schedule, scheduleBatch, statusOf, subjectOf } from "../testing/product/email-requests.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";

setDefaultTimeout(150_000);

let stack: ProductionStack;
beforeAll(async () => {
  const built = Bun.spawnSync(["scripts/build", "--fail-points"]);
  if (built.exitCode !== 0) throw new Error(built.stderr.toString());
  stack = await startStack({ env: { SMTP_REPLY_TIMEOUT_MS: "1000" } });
});
afterAll(() => stack?.close());

test("an email that kills every worker is held after six deaths; those beside it go out once", async () => {
  const api = await stack.start({ ROLE: "api" });
  const poison = await schedule(api, { subject: "Poison" });
  const subjects = Array.from({ length: 20 }, (_, index) => `Innocent ${index}`);
  const innocents = await scheduleBatch(api, subjects);

  const bin = resolve("dist/taskforce-mailer-faults");
  const env = { ROLE: "worker", FAIL_POINTS: `begin.before=kill#${poison}` };
  let deaths = 0;
  let isOver = false;
  const supervisor = (async () => {
    while (!isOver) {
      // One that dies before it is ready died of the poison all the same.
      const worker = await stack.start(env, { bin, isReadyAwaited: false });
      await Promise.race([worker.exited, until(() => isOver)]);
      if (isOver) return worker.kill();
      deaths += 1;
    }
  })();
  await statusOf(api, poison, ["held"], 120_000);
  for (const id of innocents) await statusOf(api, id, ["sent"], 30_000);
  isOver = true;
  await supervisor;

  expect(deaths).toBe(6);
  const accepted = stack.sink.acceptances.map(subjectOf);
  expect(accepted.sort()).toEqual([...subjects].sort());
  const events = await api.api<{ type: string; data: Record<string, unknown> }[]>(
    "GET",
    `/api/v1/emails/${poison}/events`,
  );
  expect(events.text).toContain("poison");
});

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await Bun.sleep(20);
}
