import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  noUserReply,
  okReply,
  startTestApi,
  type TestApi,
} from "../../testing/product/test-api.ts";
import { until } from "../../testing/servers/child-server.ts";

setDefaultTimeout(60_000);

const path = "/api/v1/test-email";
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

/** Asks, and delivers what was accepted while the request waits. */
async function send(reply = okReply, headers: Record<string, string> = {}) {
  const before = api.delivery.told.length;
  const asked: number[] = [];
  const server = { timeout: (_: Request, seconds: number) => void asked.push(seconds) };
  const answer = api.request(
    "POST",
    path,
    { body: { to: "bob@example.com" }, headers },
    { server },
  );
  await until("the email is accepted", () => api.delivery.told.length > before);
  const newest = await api.request<{ id: string }[]>("GET", "/api/v1/scheduled-emails?limit=1");
  await api.deliver(newest.json.data[0]?.id ?? "", reply);
  return { answer: await answer, asked };
}

describe("200", () => {
  test("answers when it was sent, and asks the server not to reset it meanwhile", async () => {
    const { answer, asked } = await send();
    expect(answer.status).toBe(200);
    expect(answer.json.data).toEqual({
      id: expect.any(String),
      status: "sent",
      smtp_code: 250,
      reply: "OK queued",
      transport: "smtp.example.net:25",
      duration_ms: expect.any(Number),
      advice: "The SMTP server accepted the message.",
    });
    expect(asked).toEqual([0]);
    const { json } = await api.request("GET", `/api/v1/emails/${answer.json.data.id}`);
    expect(json.data).toMatchObject({
      max_retries: 0,
      subject: "Test email from Taskforce Mailer",
    });
  });

  test("a refusal is an answer too, with advice", async () => {
    const { answer } = await send(noUserReply);
    expect(answer.json.data).toMatchObject({
      status: "failed",
      smtp_code: 550,
      reply: "No such user",
      advice: expect.stringContaining("address does not exist"),
    });
  });

  test("there are no retries, and none is promised", async () => {
    for (const reply of [
      { code: 451, enhanced: "4.2.0", text: "later" },
      { code: 450, enhanced: "4.2.0", text: "Greylisted, see postgrey" },
    ]) {
      const { answer } = await send(reply);
      expect(answer.json.data).toMatchObject({ status: "failed", smtp_code: reply.code });
      expect(answer.json.data.advice).toContain("Send it again in a few minutes");
    }
  });

  test("a transport that is down is told at once, with the next hop's reply", async () => {
    const detail = "the SMTP server refuses our login (535 5.7.8 at AUTH: bad credentials)";
    const components = { transport: { status: "degraded", detail } };
    const { health } = api.deps;
    api.deps.health = async () => ({ status: "degraded", accepting: true, components });
    const answer = await api.request("POST", path, { body: { to: "bob@example.com" } });
    api.deps.health = health;
    expect(answer.json.data).toMatchObject({ status: "pending", smtp_code: null });
    expect(answer.json.data.advice).toContain(detail);
    expect(answer.json.data.duration_ms).toBeLessThan(10_000);
  });

  test("the same key again sends nothing", async () => {
    const headers = { "idempotency-key": "test-1" };
    const first = await send(okReply, headers);
    const told = api.delivery.told.length;
    const again = await api.request("POST", path, { body: { to: "bob@example.com" }, headers });
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(again.json.data.id).toBe(first.answer.json.data.id);
    expect(api.delivery.told).toHaveLength(told);
  });
});

test.each([[{}], [{ to: null }], [{ to: "x" }], [{ to: ["a@example.com"] }]])(
  "422 at /to for %j",
  async (body) => {
    const answer = await api.request("POST", path, { body });
    expect(answer).toMatchObject({ status: 422, json: { errors: [{ pointer: "/to" }] } });
  },
);
