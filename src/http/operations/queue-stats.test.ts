import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

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
    sending_paused: [],
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

test("names what is paused: to everybody a region, an owner to that owner and to admins", async () => {
  const pausing = async (path: string, body: object) =>
    (await api.request("POST", `/api/v1/${path}`, { as: "root", role: "admin", body })).status;
  await pausing("pause", { reason: "wrong template" });
  await pausing("pause", { owner: "bob", reason: "a flood" });
  const region = {
    ...{ kind: "region", name: "local", reason: "wrong template", paused_by: "root" },
    paused_at: expect.any(String),
  };
  const owner = { ...region, kind: "owner", name: "bob", reason: "a flood" };
  const seenBy = async (as: string, role?: "admin") => {
    const { json } = await api.request("GET", "/api/v1/queue-stats", { as, ...(role && { role }) });
    return json.data.sending_paused;
  };
  expect(await seenBy("ada")).toEqual([region]);
  expect(await seenBy("bob")).toEqual([region, owner]);
  expect(await seenBy("root", "admin")).toEqual([region, owner]);
  await pausing("resume", {});
  await pausing("resume", { owner: "bob" });
  expect(await seenBy("bob")).toEqual([]);
});
