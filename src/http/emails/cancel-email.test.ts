import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const cancel = (id: string, as = "ada") => api.request("DELETE", `/api/v1/cancel/${id}`, { as });

describe("200", () => {
  test("cancelled, and cancelled again", async () => {
    const id = await api.schedule({ scheduled_at: "2030-01-01T00:00:00Z" });
    for (const _ of [1, 2]) {
      const answer = await cancel(id);
      expect(answer.status).toBe(200);
      expect(answer.json as unknown).toEqual({ success: true, data: { id, status: "cancelled" } });
    }
  });

  test("DELETE /emails/{id} is another name of it", async () => {
    const id = await api.schedule({ scheduled_at: "2030-01-01T00:00:00Z" });
    const answer = await api.request("DELETE", `/api/v1/emails/${id}`);
    expect(answer.status).toBe(200);
    expect(answer.json as unknown).toEqual({ success: true, data: { id, status: "cancelled" } });
  });

  test("an admin cancels anybody's, and the journal names the admin", async () => {
    const id = await api.schedule({ scheduled_at: "2030-01-01T00:00:00Z" });
    const options = { as: "root", role: "admin" } as const;
    expect((await api.request("DELETE", `/api/v1/cancel/${id}`, options)).status).toBe(200);
    const { json } = await api.request("GET", `/api/v1/emails/${id}/events`);
    const events = json.data as unknown as Record<string, unknown>[];
    expect(events.at(-1)).toMatchObject({ action: "email.cancelled", actor: "root" });
  });
});

describe("409", () => {
  test("already sent", async () => {
    const id = await api.schedule();
    await api.deliver(id);
    const answer = await cancel(id);
    expect(answer).toMatchObject({ status: 409, json: { code: "already_sent" } });
    expect(answer.json.detail).toStartWith("It was sent already");
  });

  test("already failed", async () => {
    const id = await api.schedule();
    await api.deliver(id, noUserReply);
    expect(await cancel(id)).toMatchObject({ status: 409, json: { code: "already_failed" } });
  });
});

describe("404", () => {
  test("somebody else's, an unknown one, a malformed one; nothing changes", async () => {
    const id = await api.schedule({ scheduled_at: "2030-01-01T00:00:00Z" });
    expect((await cancel(id, "eve")).status).toBe(404);
    expect((await cancel(crypto.randomUUID())).status).toBe(404);
    expect((await cancel("x")).status).toBe(404);
    const { json } = await api.request("GET", `/api/v1/status/${id}`);
    expect(json.data).toMatchObject({ status: "pending" });
  });
});
