import { expect, test } from "bun:test";
import { inMs, scheduleBatch, statusOf, subjectOf } from "./email-requests.ts";
import { startTwoRegions } from "./two-regions.ts";

test("a region dies with its Redis, and its emails go out elsewhere within 90 s, each once", async () => {
  const regions = await startTwoRegions();
  const a = await regions.start("a");
  const b = await regions.start("b");
  const subjects = Array.from({ length: 50 }, (_, index) => `Of a ${index}`);
  const ids: string[] = [];
  for (let batch = 0; batch < 5; batch++) {
    const some = subjects.slice(batch * 10, batch * 10 + 10);
    ids.push(...(await scheduleBatch(a, some, { scheduled_at: inMs(15_000 + batch * 25_000) })));
  }
  const lastDueAt = Date.now() + 115_000;
  await a.kill();
  await regions.redis.a.kill();
  const killedAt = Date.now();
  const lateMs: number[] = [];
  for (const id of ids) {
    const status = await statusOf(b, id, ["sent"], 180_000);
    const sentAt = Date.parse(String(status.sent_at));
    lateMs.push(sentAt - Math.max(killedAt, Date.parse(String(status.scheduled_at))));
  }
  expect(Date.now()).toBeLessThan(lastDueAt + 90_000);
  expect(Math.max(...lateMs)).toBeLessThan(90_000);
  const accepted = regions.stack.sink.acceptances.map(subjectOf);
  expect(accepted.sort()).toEqual([...subjects].sort());
  process.stdout.write(
    `${JSON.stringify({ emails: ids.length, lateMsMax: Math.max(...lateMs) })}\n`,
  );
  await regions.close();
}, 300_000);
