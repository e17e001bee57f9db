import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inMs, schedule, scheduleBatch, statusOf } from "./email-requests.ts";
import { guardedFolder, type Product } from "./product.ts";
import { type ProductionStack, startStack } from "./production-stack.ts";

setDefaultTimeout(120_000);

/** Of Debian's package libfaketime; elsewhere FAKETIME_LIBRARY says where. */
const library = [
  process.env.FAKETIME_LIBRARY ?? "",
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
].find((file) => file !== "" && existsSync(file));

let stack: ProductionStack;
let api: Product;
beforeAll(async () => {
  if (library === undefined) throw new Error("libfaketime is needed: apt-get install libfaketime");
  stack = await startStack();
  // Its clock is right, so that its tokens are, too.
  api = await stack.start({ ROLE: "api" });
});
afterAll(() => stack?.close());

/** The wall clock of a worker, to be set while it runs. */
function fakeClock() {
  const file = join(guardedFolder("clock"), "offset");
  return {
    set: (offset: string) => writeFileSync(file, offset),
    env: {
      LD_PRELOAD: library ?? "",
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
  };
}

/** How late each went out, by the database's clock. */
async function latenessOf(ids: string[]): Promise<number[]> {
  const late: number[] = [];
  for (const id of ids) {
    const email = await statusOf(api, id, ["sent"], 30_000);
    late.push(Date.parse(String(email.sent_at)) - Date.parse(email.scheduled_at));
  }
  return late;
}

test.each(["+1h", "-1h", "+1d", "-1d"])(
  "a worker's clock off by %s sends nothing early and nothing later than 8 s",
  async (offset) => {
    const clock = fakeClock();
    clock.set(offset);
    const worker = await stack.start({ ROLE: "worker", ...clock.env });
    const subjects = Array.from({ length: 20 }, (_, index) => `${offset} ${index}`);
    const soon = await scheduleBatch(api, subjects, { scheduled_at: inMs(4_000) });
    const now = await schedule(api, { subject: `${offset} now` });
    const late = await latenessOf([now, ...soon]);
    process.stdout.write(`${JSON.stringify({ offset, lateMsMax: Math.max(...late) })}\n`);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...late)).toBeLessThan(8_000);
    expect(worker.output()).toContain("this machine's clock is off");
    await worker.kill();
  },
);

test.each([
  ["+0", "-1h"],
  ["+0", "+1d"],
  ["-1d", "+0"],
])("a worker's clock that steps from %s to %s neither", async (before, after) => {
  const clock = fakeClock();
  clock.set(before);
  const worker = await stack.start({ ROLE: "all", ...clock.env });
  const subjects = Array.from({ length: 20 }, (_, index) => `${before} ${after} ${index}`);
  const ids = await scheduleBatch(api, subjects, { scheduled_at: inMs(6_000) });
  await Bun.sleep(1_000);
  clock.set(after);
  const late = await latenessOf(ids);
  process.stdout.write(`${JSON.stringify({ before, after, lateMsMax: Math.max(...late) })}\n`);
  expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...late)).toBeLessThan(8_000);
  await worker.kill();
});
