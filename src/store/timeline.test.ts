import { afterAll, beforeAll, expect, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../testing/product/test-api.ts";
import type { Claims } from "./database.ts";
import { createJournal } from "./journal.ts";
import { createTimelines, type Timelines } from "./timeline.ts";

const ada: Claims = { role: "user", sub: "ada" };
const bob: Claims = { role: "user", sub: "bob" };
const ops: Claims = { role: "admin", sub: "ops" };
const hourMs = 3_600_000;

let api: TestApi;
let timelines: Timelines;
beforeAll(async () => {
  api = await startTestApi();
  timelines = createTimelines(api.database);
});
afterAll(() => api?.close());

const inHours = (hours: number) => new Date(Date.now() + hours * hourMs);

test("counts what is planned between two edges, one's own or everybody's, and what became of the past", async () => {
  for (const hours of [1.5, 2.5, 2.6]) {
    await api.schedule({ scheduled_at: inHours(hours).toISOString() });
  }
  await api.schedule({ scheduled_at: inHours(1.4).toISOString() }, { as: "bob" });
  const sent = await api.schedule();
  await api.deliver(sent);
  const failed = await api.schedule({ max_retries: 0 });
  await api.deliver(failed, noUserReply);
  // Only what is sealed counts.
  await createJournal(api.database).seal(1_000);

  const edges = {
    planned: [inHours(0), inHours(1), inHours(2), inHours(3)],
    past: [inHours(-1), inHours(-0.5), inHours(0.1)],
  };
  const mine = await timelines.read(edges, ada);
  expect(mine).toMatchObject({
    planned: [0, 1, 2],
    past: { sent: [0, 1], deferred: [0, 0], failed: [0, 1] },
    ...{ sent: 1, deferred: 0, failed: 1 },
  });
  expect(mine.lateP50Ms).toBeGreaterThanOrEqual(0);
  expect((await timelines.read(edges, bob)).planned).toEqual([0, 1, 0]);
  expect((await timelines.read(edges, ops)).planned).toEqual([0, 2, 2]);
});

test("has nothing to say of an owner without emails", async () => {
  const edges = { planned: [inHours(0), inHours(1)], past: [inHours(-1), inHours(0)] };
  const none = await timelines.read(edges, { role: "user", sub: "nobody" });
  expect(none).toMatchObject({ planned: [0], sent: 0, lateP50Ms: null, lateP99Ms: null });
});
