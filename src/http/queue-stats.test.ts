import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../testing/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await api.schedule({ scheduled_at: "2030-01-01T00:00:00Z" });
  await api.deliver(await api.schedule());
  await api.deliver(await api.schedule(), noUserReply);
  await api.schedule();
  await api.schedule({}, { as: "bob" });
});
afterAll(() => api?.close());

test("counts the caller's own emails, every status named", async () => {
  const { status, json } = await api.request("GET", "/api/v1/queue-stats");
  expect(status).toBe(200);
  expect(json.data).toEqual({
    waiting: 1,
    active: 0,
    delayed: 1,
    completed: 1,
    failed: 1,
    paused: 0,
    workers: 1,
    oldest_due_ms: expect.any(Number),
    by_status: {
      pending: 2,
      sending: 0,
      sent: 1,
      partially_sent: 0,
      failed: 1,
      uncertain: 0,
      held: 0,
      cancelled: 0,
      expired: 0,
      suppressed: 0,
    },
  });
});

test("counts everybody's for an admin, and nothing for a newcomer", async () => {
  const admin = await api.request("GET", "/api/v1/queue-stats", { as: "root", role: "admin" });
  expect(admin.json.data).toMatchObject({ waiting: 2, by_status: { pending: 3 } });
  const newcomer = await api.request("GET", "/api/v1/queue-stats", { as: "eve" });
  expect(newcomer.json.data).toMatchObject({ waiting: 0, by_status: { pending: 0, sent: 0 } });
});
