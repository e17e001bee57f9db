import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mailBody, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

const path = "/api/v1/schedule-mail/batch";
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

type Entry = {
  index: number;
  id?: string;
  error?: { code: string; detail: string; errors: { pointer: string }[] };
};

function post(body: unknown, headers: Record<string, string> = {}) {
  return api.request<Entry[]>("POST", path, { body, headers });
}

async function countEmails(): Promise<unknown> {
  return (await api.request("GET", "/api/v1/scheduled-emails?limit=1")).json.page?.total;
}

const faulty = mailBody({ subject: "" });

describe("201", () => {
  test("strict, which is the default: all are stored, in order", async () => {
    for (const mode of [undefined, "strict", null]) {
      const answer = await post({ emails: [mailBody(), mailBody({ subject: "Two" })], mode });
      expect(answer.status).toBe(201);
      expect(answer.json.data.map(({ index }) => index)).toEqual([0, 1]);
      const second = await api.request("GET", `/api/v1/status/${answer.json.data[1]?.id}`);
      expect(second.json.data).toMatchObject({ subject: "Two" });
    }
  });

  test("permissive: what is fit is stored, the rest is named by its index", async () => {
    const answer = await post({ emails: [faulty, mailBody(), 7], mode: "permissive" });
    expect(answer.status).toBe(201);
    expect(answer.json.data).toMatchObject([
      {
        index: 0,
        error: {
          code: "invalid_content",
          detail: expect.any(String),
          errors: [{ pointer: "/emails/0/subject" }],
        },
      },
      { index: 1, id: expect.any(String) },
      { index: 2, error: { code: "invalid_content", errors: [{ pointer: "/emails/2" }] } },
    ]);
  });

  test("permissive with nothing fit is still 201", async () => {
    const before = await countEmails();
    const answer = await post({ emails: [faulty], mode: "permissive" });
    expect(answer.status).toBe(201);
    expect(answer.json.data).toMatchObject([{ index: 0, error: { code: "invalid_content" } }]);
    expect(await countEmails()).toBe(before);
  });

  test("500 emails at once", async () => {
    const emails = Array.from({ length: 500 }, (_, index) => mailBody({ subject: `No ${index}` }));
    const answer = await post({ emails });
    expect(answer.status).toBe(201);
    expect(new Set(answer.json.data.map(({ id }) => id)).size).toBe(500);
  });

  test("a repeated request answers the same, refusals and all", async () => {
    const headers = { "idempotency-key": "batch-1" };
    const body = { emails: [faulty, mailBody()], mode: "permissive" };
    const first = await post(body, headers);
    const before = await countEmails();
    const again = await post(body, headers);
    expect(again.json).toEqual(first.json);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(await countEmails()).toBe(before);
  });
});

describe("an email that is too large once it is composed", () => {
  const large = mailBody({ body: "x".repeat(40_000) });
  let small: TestApi;
  beforeAll(async () => {
    small = await startTestApi({}, { messageBytesMax: 30_000 });
  });
  afterAll(() => small?.close());
  const batch = (body: unknown, key: string) =>
    small.request<Entry[]>("POST", path, { body, headers: { "idempotency-key": key } });
  async function countSmall() {
    return (await small.request("GET", "/api/v1/scheduled-emails?limit=1")).json.page?.total;
  }

  test("permissive: it is the refusal of its index, and the others are stored", async () => {
    const before = Number(await countSmall());
    const body = { emails: [mailBody(), faulty, large, mailBody()], mode: "permissive" };
    const answer = await batch(body, "large");
    expect(answer.status).toBe(201);
    expect(answer.json.data).toMatchObject([
      { index: 0, id: expect.any(String) },
      { index: 1, error: { code: "invalid_content", errors: [{ pointer: "/emails/1/subject" }] } },
      {
        index: 2,
        error: {
          code: "payload_too_large",
          detail: expect.stringContaining("MAX_MESSAGE_MB"),
          errors: [{ pointer: "/emails/2", detail: expect.stringContaining("at most 30000") }],
        },
      },
      { index: 3, id: expect.any(String) },
    ]);
    expect(await countSmall()).toBe(before + 2);
    const again = await batch(body, "large");
    expect(again.json).toEqual(answer.json);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
  });

  test("permissive with nothing else is 201, and nothing is stored", async () => {
    const before = await countSmall();
    const answer = await batch({ emails: [large, large], mode: "permissive" }, "none");
    expect(answer.status).toBe(201);
    expect(answer.json.data).toMatchObject([
      { index: 0, error: { code: "payload_too_large" } },
      { index: 1, error: { errors: [{ pointer: "/emails/1" }] } },
    ]);
    expect(await countSmall()).toBe(before);
  });

  test("strict: 413 that names it, and nothing is stored", async () => {
    const before = await countSmall();
    const answer = await batch({ emails: [mailBody(), large] }, "strict");
    expect(answer).toMatchObject({ status: 413, json: { code: "payload_too_large" } });
    expect(answer.json.errors?.map(({ pointer }) => pointer)).toEqual(["/emails/1"]);
    expect(await countSmall()).toBe(before);
  });
});

describe("422", () => {
  test("strict: one at fault, and nothing is stored; pointers lead into the list", async () => {
    const before = await countEmails();
    const answer = await post({ emails: [mailBody(), faulty, mailBody({ cc: ["x"] })] });
    expect(answer.status).toBe(422);
    expect(answer.json.errors?.map(({ pointer }) => pointer)).toEqual([
      "/emails/1/subject",
      "/emails/2/cc/0",
    ]);
    expect(await countEmails()).toBe(before);
  });

  test.each<[string, unknown, string]>([
    ["no emails", { emails: [] }, "/emails"],
    ["501 emails", { emails: Array.from({ length: 501 }, () => mailBody()) }, "/emails"],
    ["emails missing", {}, "/emails"],
    ["emails as an object", { emails: { 0: mailBody() } }, "/emails"],
    ["an unknown mode", { emails: [mailBody()], mode: "lenient" }, "/mode"],
    ["an unknown field", { emails: [mailBody()], from: "a@example.org" }, "/from"],
    ["a list", [mailBody()], ""],
  ])("%s", async (_, body, pointer) => {
    const answer = await post(body);
    expect(answer.status).toBe(422);
    expect(answer.json.errors?.map((fault) => fault.pointer)).toEqual([pointer]);
  });

  test("a field that is not supported yet, in strict", async () => {
    const asked = mailBody({ list_unsubscribe: "https://example.org/u" });
    const answer = await post({ emails: [asked, asked] });
    expect(answer).toMatchObject({ status: 422, json: { code: "not_supported_yet" } });
  });
});
