import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../testing/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

function replay(id: string, body?: unknown, as = "ada") {
  const path = `/api/v1/dead-letters/${id}/replay`;
  return api.request("POST", path, body === undefined ? { as } : { body, as });
}

async function deadLetter(): Promise<string> {
  const id = await api.schedule();
  await api.deliver(id, noUserReply);
  return id;
}

describe("200", () => {
  test("without a body it is due now, queued, and can be sent under its record", async () => {
    const id = await deadLetter();
    const answer = await replay(id);
    expect(answer.status).toBe(200);
    expect(answer.json.data).toMatchObject({ id, status: "pending", attempts: [{ number: 1 }] });
    expect(api.delivery.queued.at(-1)).toMatchObject({ id, delayMs: 0 });
    await api.deliver(id);
    const { json } = await api.request("GET", `/api/v1/status/${id}`);
    expect(json.data).toMatchObject({ status: "sent", attempts: [{ number: 1 }, { number: 2 }] });
  });

  test("at another time, which beyond the horizon is not queued yet", async () => {
    const id = await deadLetter();
    const queued = api.delivery.queued.length;
    const answer = await replay(id, { scheduled_at: "2030-01-01T00:00:00Z" });
    expect(answer.json.data).toMatchObject({
      status: "pending",
      scheduled_at: "2030-01-01T00:00:00.000Z",
      next_attempt_at: "2030-01-01T00:00:00.000Z",
    });
    expect(api.delivery.queued).toHaveLength(queued);
  });

  test.each([[{}], [{ scheduled_at: null }]])("%j means now", async (body) => {
    expect((await replay(await deadLetter(), body)).status).toBe(200);
  });
});

describe("refused", () => {
  test("409 for what is no dead letter", async () => {
    const pending = await api.schedule();
    expect(await replay(pending)).toMatchObject({
      status: 409,
      json: { code: "not_a_dead_letter" },
    });
    const twice = await deadLetter();
    expect((await replay(twice)).status).toBe(200);
    expect((await replay(twice)).status).toBe(409);
  });

  test("404 for somebody else's and unknown ones", async () => {
    const id = await deadLetter();
    expect((await replay(id, {}, "eve")).status).toBe(404);
    expect((await replay(crypto.randomUUID())).status).toBe(404);
    expect((await replay("x")).status).toBe(404);
  });

  test.each<[unknown, string, string]>([
    [{ scheduled_at: "2020-01-01T00:00:00Z" }, "invalid_content", "/scheduled_at"],
    [{ scheduled_at: "soon" }, "invalid_content", "/scheduled_at"],
    [{ scheduledAt: null }, "invalid_content", "/scheduledAt"],
    [{ subject: "New" }, "not_supported_yet", "/subject"],
    [[], "invalid_content", ""],
  ])("422 for %j, and nothing changes", async (body, code, pointer) => {
    const id = await deadLetter();
    const answer = await replay(id, body);
    expect(answer).toMatchObject({ status: 422, json: { code, errors: [{ pointer }] } });
    const { json } = await api.request("GET", `/api/v1/status/${id}`);
    expect(json.data).toMatchObject({ status: "failed" });
  });
});
