import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { simpleParser } from "mailparser";
import { claimedOne } from "../../testing/fixtures/claim-one.ts";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

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
  test("without a body it is due now, and can be sent under its record", async () => {
    const id = await deadLetter();
    const answer = await replay(id);
    expect(answer.status).toBe(200);
    expect(answer.json.data).toMatchObject({ id, status: "pending", attempts: [{ number: 1 }] });
    expect(api.delivery.told.at(-1)).toEqual({ delayMs: 0 });
    await api.deliver(id);
    const { json } = await api.request("GET", `/api/v1/status/${id}`);
    expect(json.data).toMatchObject({ status: "sent", attempts: [{ number: 1 }, { number: 2 }] });
  });

  test("at another time", async () => {
    const id = await deadLetter();
    const answer = await replay(id, { scheduled_at: "2030-01-01T00:00:00Z" });
    expect(answer.json.data).toMatchObject({
      status: "pending",
      scheduled_at: "2030-01-01T00:00:00.000Z",
      next_attempt_at: "2030-01-01T00:00:00.000Z",
    });
    expect(await api.delivery.run(id)).toEqual({ kind: "not_claimed" });
  });

  test("nothing said means now", async () => {
    expect((await replay(await deadLetter(), {})).status).toBe(200);
  });
});

describe("200, edited", () => {
  const read = async (id: string) => (await api.request("GET", `/api/v1/emails/${id}`)).json.data;
  const raw = async (id: string) =>
    simpleParser((await api.request("GET", `/api/v1/emails/${id}/raw`)).text);

  /** The next hop refuses the second recipient. */
  async function partlySent(fields: Record<string, unknown> = {}): Promise<string> {
    const id = await api.schedule({ recipients: ["a@example.com", "b@example.com"], ...fields });
    const { attempts } = api.delivery.deps;
    const { token, recipients } = await claimedOne(api.database, attempts, id);
    await attempts.fence(id, token, new Date());
    await attempts.settle({
      id,
      token,
      transport: "smtp.example.net:25",
      outcome: "partial",
      nextState: "partially_sent",
      retryInMs: null,
      smtpCode: 250,
      enhancedCode: null,
      reply: null,
      recipients: recipients.map(({ position }) => ({
        position,
        status: position === 1 ? "bounced" : "sent",
        smtpCode: position === 1 ? 550 : 250,
        enhancedCode: null,
        reply: null,
      })),
    });
    return id;
  }

  test("content and a mistyped address are mended, under the same Message-ID and record", async () => {
    const id = await deadLetter();
    const before = await raw(id);
    const answer = await replay(id, { recipients: ["bob@new.example"], subject: "Again" });
    expect(answer.status).toBe(200);
    expect(answer.json.data).toMatchObject({
      status: "pending",
      subject: "Again",
      version: 2,
      attempts: [{ number: 1, reply: noUserReply.text }],
      recipients: [{ address: "bob@new.example", status: "pending", reply: null }],
    });
    expect((await raw(id)).messageId).toBe(before.messageId);
    await api.deliver(id);
    expect(await read(id)).toMatchObject({ status: "sent", attempts: [{}, { outcome: "sent" }] });
    const { json } = await api.request("GET", `/api/v1/emails/${id}/events`);
    const entries = json.data as unknown as Record<string, unknown>[];
    expect(entries.find(({ action }) => action === "email.replayed")).toMatchObject({
      detail: { from: "failed", fields: ["recipients", "subject"] },
    });
    expect(json.data).not.toMatchObject([{ detail: { subject: "Again" } }]);
    expect(JSON.stringify(entries)).not.toContain("Again");
    expect(JSON.stringify(entries)).not.toContain("bob@new.example");
  });

  test.each([[["a@example.com", "c@example.com"]], [["c@example.com"]]])(
    "who has got it never gets it again, named or not: %j",
    async (recipients) => {
      const id = await partlySent();
      expect((await replay(id, { recipients })).status).toBe(200);
      const claimed = await claimedOne(api.database, api.delivery.deps.attempts, id);
      expect(claimed).toMatchObject({ recipients: [{ position: 2 }] });
      expect(await read(id)).toMatchObject({
        recipients: [
          { address: "a@example.com", status: "sent", smtp_code: 250 },
          { address: "c@example.com", status: "pending", smtp_code: null },
        ],
      });
      expect((await raw(id)).to).toMatchObject({ text: "a@example.com, c@example.com" });
    },
  );

  test("nobody left to send to is refused, and nothing changes", async () => {
    const id = await partlySent();
    const before = await read(id);
    const answer = await replay(id, { recipients: ["a@example.com"], subject: "x" });
    expect(answer).toMatchObject({ status: 422, json: { code: "invalid_content" } });
    expect(await read(id)).toEqual(before);
  });

  test("one that is held is released, at once or at the time that is named", async () => {
    for (const body of [undefined, { scheduled_at: "2031-01-01T00:00:00Z", tags: ["t"] }]) {
      const id = await api.schedule({ scheduled_at: "2030-01-01T00:00:00Z" });
      await api.request("POST", `/api/v1/emails/${id}/hold`);
      expect((await replay(id, body)).json.data).toMatchObject({ status: "pending" });
      const { json } = await api.request("GET", `/api/v1/emails/${id}/events`);
      expect((json.data as unknown as object[]).at(-1)).toMatchObject({ action: "email.released" });
    }
  });

  test("412 when If-Match names another version", async () => {
    const id = await deadLetter();
    const path = `/api/v1/dead-letters/${id}/replay`;
    const answer = await api.request("POST", path, { headers: { "if-match": '"9"' } });
    expect(answer.status).toBe(412);
  });
});

describe("an uncertain one", () => {
  async function uncertain(): Promise<{ id: string; date: Date }> {
    const id = await api.schedule({ on_uncertain: "hold" });
    const { attempts } = api.delivery.deps;
    const { token } = await claimedOne(api.database, attempts, id);
    const date = new Date("2026-11-24T03:00:00Z");
    await attempts.fence(id, token, date);
    await attempts.settle({
      id,
      token,
      transport: "smtp.example.net:25",
      outcome: "uncertain",
      nextState: "uncertain",
      retryInMs: null,
      smtpCode: null,
      enhancedCode: null,
      reply: null,
      recipients: [],
    });
    return { id, date };
  }
  const claimAgain = (id: string) => claimedOne(api.database, api.delivery.deps.attempts, id);

  test("is replayed with the same bytes, its Date included", async () => {
    const { id, date } = await uncertain();
    expect((await replay(id, { tags: ["policy only"] })).status).toBe(200);
    expect(await claimAgain(id)).toMatchObject({ messageDate: date });
  });

  test("gets a new Date once its content is edited", async () => {
    const { id } = await uncertain();
    expect((await replay(id, { body: "Other." })).status).toBe(200);
    expect(await claimAgain(id)).toMatchObject({ messageDate: null });
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
    [{ subject: "" }, "invalid_content", "/subject"],
    [{ region: "ams" }, "not_supported_yet", "/region"],
    [{ recipients: [] }, "invalid_content", "/recipients"],
    [{ expires_at: "2020-01-01T00:00:00Z" }, "invalid_content", "/expires_at"],
    [[], "invalid_content", ""],
  ])("422 for %j, and nothing changes", async (body, code, pointer) => {
    const id = await deadLetter();
    const answer = await replay(id, body);
    expect(answer).toMatchObject({ status: 422, json: { code, errors: [{ pointer }] } });
    const { json } = await api.request("GET", `/api/v1/status/${id}`);
    expect(json.data).toMatchObject({ status: "failed" });
  });
});
