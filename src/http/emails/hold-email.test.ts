import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { claimedOne } from "../../testing/fixtures/claim-one.ts";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const later = "2030-01-01T00:00:00Z";

function post(id: string, verb: "hold" | "release", body?: unknown, as = "ada") {
  const path = `/api/v1/emails/${id}/${verb}`;
  return api.request("POST", path, body === undefined ? { as } : { body, as });
}

const read = async (id: string) => (await api.request("GET", `/api/v1/emails/${id}`)).json.data;

async function entries(id: string) {
  const { json } = await api.request("GET", `/api/v1/emails/${id}/events`);
  return (json.data as unknown as { action: string; detail: object }[]).map(
    ({ action, detail }) => ({ action, detail }),
  );
}

async function held(fields: Record<string, unknown> = {}): Promise<string> {
  const id = await api.schedule({ scheduled_at: later, ...fields });
  expect((await post(id, "hold")).status).toBe(200);
  return id;
}

describe("POST /emails/{id}/hold", () => {
  test("200: it waits for a person, also when it did before; no worker gets it", async () => {
    const id = await api.schedule();
    for (const _ of [1, 2]) {
      const answer = await post(id, "hold");
      expect(answer.status).toBe(200);
      expect(answer.json.data).toMatchObject({ id, status: "held", next_attempt_at: null });
    }
    await api.delivery.run(id);
    expect(await read(id)).toMatchObject({ status: "held", version: 2, attempts: [] });
    expect((await entries(id)).slice(1)).toEqual([
      { action: "email.held", detail: { status: "held", reason: "by_person" } },
    ]);
    const { json } = await api.request<{ id: string }[]>("GET", "/api/v1/dead-letters");
    expect(json.data.map((email) => email.id)).toContain(id);
  });

  test("a held email can be cancelled", async () => {
    const id = await held();
    expect((await api.request("DELETE", `/api/v1/cancel/${id}`)).status).toBe(200);
  });

  test("409 for what is past holding", async () => {
    const sent = await api.schedule();
    await api.deliver(sent);
    const failed = await api.schedule();
    await api.deliver(failed, noUserReply);
    const cancelled = await held();
    await api.request("DELETE", `/api/v1/cancel/${cancelled}`);
    const claimed = await api.schedule();
    const { attempts } = api.delivery.deps;
    const { token } = await claimedOne(api.database, attempts, claimed);
    await attempts.fence(claimed, token, new Date());
    for (const [id, code] of [
      [sent, "already_sent"],
      [failed, "already_failed"],
      [cancelled, "already_cancelled"],
      [claimed, "in_flight"],
    ] as const) {
      expect(await post(id, "hold")).toMatchObject({ status: 409, json: { code } });
    }
  });

  test("404 for somebody else's and unknown ones; 422 for a body that says more", async () => {
    const id = await api.schedule({ scheduled_at: later });
    expect((await post(id, "hold", undefined, "eve")).status).toBe(404);
    expect((await post(crypto.randomUUID(), "hold")).status).toBe(404);
    expect((await post("x", "hold")).status).toBe(404);
    expect((await post(id, "hold", { until: later })).status).toBe(422);
    expect(await read(id)).toMatchObject({ status: "pending", version: 1 });
  });
});

describe("POST /emails/{id}/release", () => {
  test("200: without a time it keeps its own", async () => {
    const id = await held();
    const answer = await post(id, "release");
    expect(answer.json.data).toMatchObject({
      status: "pending",
      scheduled_at: "2030-01-01T00:00:00.000Z",
      next_attempt_at: "2030-01-01T00:00:00.000Z",
    });
    expect(api.delivery.told.at(-1)?.delayMs).toBeGreaterThan(60_000);
    expect((await entries(id)).at(-1)).toMatchObject({
      action: "email.released",
      detail: { status: "pending", from: "held" },
    });
  });

  test("one whose time has passed is due now, and is sent", async () => {
    const id = await api.schedule();
    await post(id, "hold");
    expect((await post(id, "release", {})).status).toBe(200);
    await api.deliver(id);
    expect(await read(id)).toMatchObject({ status: "sent" });
  });

  test("a time means that time", async () => {
    const then = await held();
    const answer = await post(then, "release", { scheduled_at: "2031-01-01T00:00:00Z" });
    expect(answer.json.data).toMatchObject({
      scheduled_at: "2031-01-01T00:00:00.000Z",
      next_attempt_at: "2031-01-01T00:00:00.000Z",
    });
  });

  test("too late and held: a person's word lifts the end that has passed, and it is sent", async () => {
    const id = await api.delivery.accept({ expiresAt: new Date(1), onLate: "hold" });
    await api.delivery.run(id);
    expect(await read(id)).toMatchObject({ status: "held", attempts: [] });
    expect((await post(id, "release")).status).toBe(200);
    expect(await read(id)).toMatchObject({ status: "pending", expires_at: null });
    await api.deliver(id);
    expect(await read(id)).toMatchObject({ status: "sent" });
  });

  test("max_lateness counts anew from the time of the release", async () => {
    const id = await held({ max_lateness: 60, on_late: "hold" });
    await post(id, "release", { scheduled_at: "2031-01-01T00:00:00Z" });
    expect(await read(id)).toMatchObject({
      expires_at: "2031-01-01T00:01:00.000Z",
      max_lateness: 60,
    });
  });

  test("an end that is still to come stays", async () => {
    const id = await held({ expires_at: "2032-01-01T00:00:00Z", on_late: "hold" });
    await post(id, "release");
    expect(await read(id)).toMatchObject({ expires_at: "2032-01-01T00:00:00.000Z" });
  });

  test("409 for what is not held", async () => {
    const id = await api.schedule({ scheduled_at: later });
    expect(await post(id, "release")).toMatchObject({ status: 409, json: { code: "not_held" } });
  });

  test("404 for somebody else's; 422 for a time that is past or a field unknown", async () => {
    const id = await held();
    expect((await post(id, "release", {}, "eve")).status).toBe(404);
    expect((await post(crypto.randomUUID(), "release")).status).toBe(404);
    for (const body of [{ scheduled_at: "2020-01-01T00:00:00Z" }, { subject: "x" }, []]) {
      expect((await post(id, "release", body)).status).toBe(422);
    }
    expect(await read(id)).toMatchObject({ status: "held" });
  });
});
