import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createApp } from "../http/app.ts";
import { mailBody, startTestApi, type TestApi } from "../testing/product/test-api.ts";
import { type Client, createClient } from "./client.ts";
import { MailerError } from "./mailer-error.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let mailer: Client;
beforeAll(async () => {
  api = await startTestApi();
  const app = createApp(api.deps);
  const body = { name: "client", scopes: ["send", "read"] };
  const made = await api.request<{ key: string }>("POST", "/api/v1/api-keys", { body });
  mailer = createClient({
    url: "http://localhost/",
    token: () => made.json.data.key,
    fetch: async (url, init) => await app.request(url, init),
  });
});
afterAll(() => api?.close());

describe("against the API", () => {
  test("an email is accepted, read, changed, and cancelled", async () => {
    const { data } = await mailer.scheduleMail({
      body: mailBody({ scheduled_at: "2030-01-04T09:00:00Z" }) as never,
    });
    if (!("id" in data)) throw new Error("a dry run");
    const path = { id: data.id };
    const changed = await mailer.updateEmail({ path, ifMatch: '"1"', body: { subject: "Later" } });
    expect(changed.data.version).toBe(2);
    expect((await mailer.getEmail({ path })).data.subject).toBe("Later");
    expect((await mailer.cancelEmail({ path })).data.status).toBe("cancelled");
    const raw = await mailer.getRawMessage({ path });
    expect(new TextDecoder().decode(raw)).toContain("Subject: Later");
  });

  test("each walks through every page, and asks for no more than it is asked", async () => {
    const metadata = { walk: "yes" };
    const ids: string[] = [];
    for (let n = 0; n < 7; n++) ids.unshift(await api.schedule({ metadata }));
    const seen: string[] = [];
    const query = { limit: 3, metadata } as const;
    for await (const email of mailer.each("listEmails", { query })) seen.push(email.id);
    expect(seen).toEqual(ids);
    for await (const email of mailer.each("listEmails", { query })) {
      expect(email.id).toBe(ids[0] ?? "");
      break;
    }
  });

  test("a failure is one class with the code and every faulty place", async () => {
    const call = mailer.scheduleMail({ body: { ...mailBody(), schedule_at: "x" } as never });
    const error = await call.then(
      () => null,
      (failure: unknown) => failure,
    );
    expect(error).toBeInstanceOf(MailerError);
    expect(error).toMatchObject({
      code: "invalid_content",
      status: 422,
      errors: [{ pointer: "/schedule_at" }],
      requestId: expect.any(String),
    });
    expect((error as MailerError).message).toContain("/schedule_at: ");
    const path = { id: crypto.randomUUID() };
    await expect(mailer.getStatus({ path })).rejects.toMatchObject({
      code: "not_found",
      status: 404,
    });
    await expect(mailer.getStatus({ path: { id: "" } })).rejects.toThrow("getStatus needs path.id");
  });
});

const problem = (code: string, status: number, headers = {}) =>
  Response.json({ code, detail: "words" }, { status, headers });

/** A client whose server answers these, one after the other; `asked` has what it was asked. */
function scripted(...answers: (Response | Error)[]) {
  const asked: { method: string; key: string | null; url: string }[] = [];
  const client = createClient({
    url: "http://mail.test",
    fetch: async (url, init) => {
      const key = new Headers(init.headers).get("idempotency-key");
      asked.push({ method: init.method ?? "", key, url });
      const answer = answers.shift() ?? Response.json({ success: true, data: {} });
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return { client, asked };
}

describe("what is repeated", () => {
  test("a POST that honours keys, with the same key, when the answer was lost", async () => {
    const { client, asked } = scripted(
      new TypeError("reset"),
      problem("database_unavailable", 503, { "retry-after": "0" }),
    );
    await client.scheduleMail({ body: { subject: "x" } });
    expect(asked.length).toBe(3);
    expect(new Set(asked.map(({ key }) => key)).size).toBe(1);
    expect(asked[0]?.key).toMatch(/^[0-9a-f]{32}$/);
  });

  test("the caller's own key is used, and each call has another one without", async () => {
    const { client, asked } = scripted();
    await client.scheduleMail({ body: { subject: "x" }, idempotencyKey: "mine" });
    await client.scheduleMail({ body: { subject: "x" } });
    await client.scheduleMail({ body: { subject: "x" } });
    expect(asked[0]?.key).toBe("mine");
    expect(new Set(asked.map(({ key }) => key)).size).toBe(3);
  });

  test("whatever it is, when the server says that nothing was done", async () => {
    const full = problem("rate_limited", 429, { "retry-after": "0" });
    const { client, asked } = scripted(full);
    await client.createStreamToken();
    expect(asked.map(({ key }) => key)).toEqual([null, null]);
  });

  test("a proxy's 502 to a GET", async () => {
    const { client, asked } = scripted(new Response("<h1>Bad gateway</h1>", { status: 502 }));
    await client.getQueueStats();
    expect(asked.length).toBe(2);
  });
});

describe("what is not repeated", () => {
  test("a POST without a key whose answer was lost: it may have been done", async () => {
    const { client, asked } = scripted(new TypeError("reset"));
    const call = client.createStreamToken();
    await expect(call).rejects.toMatchObject({ code: "no_answer", status: null });
    expect(asked.length).toBe(1);
  });

  test("a quota that is used up, and a fault of the request", async () => {
    for (const [code, status] of [
      ["quota_exceeded", 429],
      ["invalid_content", 422],
    ] as const) {
      const { client, asked } = scripted(problem(code, status, { "retry-after": "0" }));
      await expect(client.scheduleMail({ body: { subject: "x" } })).rejects.toMatchObject({ code });
      expect(asked.length).toBe(1);
    }
  });

  test("more often than retriesMax", async () => {
    const answers = Array.from({ length: 9 }, () =>
      problem("overloaded", 503, { "retry-after": "0" }),
    );
    const { client, asked } = scripted(...answers);
    await expect(client.getHealth()).rejects.toMatchObject({ code: "overloaded" });
    expect(asked.length).toBe(5);
  });

  test("after the caller has given up", async () => {
    const { client, asked } = scripted(new TypeError("reset"), new TypeError("reset"));
    const signal = AbortSignal.abort();
    await expect(client.getHealth({ signal })).rejects.toThrow();
    expect(asked.length).toBe(1);
  });
});
