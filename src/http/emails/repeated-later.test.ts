import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mailBody, startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { type DirectSql, directSql } from "../../testing/servers/direct-sql.ts";

setDefaultTimeout(60_000);

const hourMs = 3_600_000;
const known = { now: new Date(), regions: ["eu-1"] };
let api: TestApi;
let sql: DirectSql;
beforeAll(async () => {
  api = await startTestApi({ now: () => known.now, knownRegions: () => known.regions });
  sql = await directSql(api.database);
});
afterAll(async () => {
  await sql?.close();
  await api?.close();
});

/** In 30 hours, as `scheduled_at`, and as `local_time` of UTC. */
const scheduledAt = new Date(Date.now() + 30 * hourMs).toISOString();
const local = { local_time: scheduledAt.slice(0, 19), timezone: "UTC" };
const single = "/api/v1/schedule-mail";
const batch = "/api/v1/schedule-mail/batch";
const resent = { from: "a@example.org", to: "b@example.com", subject: "x", text: "y" };
const permissive = { "x-batch-validation": "permissive" };
const faulty = mailBody({ subject: "" });

type Request = [path: string, body: unknown, headers?: Record<string, string>];
const requests: Record<string, Request> = {
  "an instant": [single, mailBody({ scheduled_at: scheduledAt })],
  "a local time": [single, mailBody(local)],
  "a region that is unknown by now": [single, mailBody({ region: "eu-1" })],
  "one email to each": [
    single,
    mailBody({ ...local, individual: true, recipients: ["a@b.example", "c@d.example"] }),
  ],
  "a strict batch": [batch, { emails: [mailBody(local), mailBody()] }],
  "a permissive batch": [batch, { emails: [faulty, mailBody(local)], mode: "permissive" }],
  "Resend's email": ["/emails", { ...resent, scheduled_at: scheduledAt }],
  "Resend's batch": ["/emails/batch", [{ ...resent, scheduled_at: scheduledAt }]],
  "Resend's permissive batch": [
    "/emails/batch",
    [{}, { ...resent, scheduled_at: scheduledAt }],
    permissive,
  ],
};

async function post([path, body, headers]: Request, key: string) {
  return api.request("POST", path, { body, headers: { ...headers, "idempotency-key": key } });
}

async function countEmails(): Promise<unknown> {
  return (await api.request("GET", "/api/v1/scheduled-emails?limit=1")).json.page?.total;
}

test("a key that is kept answers as before, whatever is past or was changed since", async () => {
  const firsts = await Promise.all(
    Object.entries(requests).map(async ([name, request]) => {
      return { name, request, first: await post(request, name.replaceAll(" ", "-")) };
    }),
  );
  const stored = await countEmails();
  known.now = new Date(Date.now() + 31 * hourMs);
  known.regions = [];
  for (const { name, request, first } of firsts) {
    const again = await post(request, name.replaceAll(" ", "-"));
    expect([name, first.status < 300, again.status]).toEqual([name, true, first.status]);
    expect(JSON.parse(again.text)).toEqual(JSON.parse(first.text));
    expect(again.headers.get("idempotent-replayed")).toBe("true");
  }
  const [path, body] = requests["an instant"] ?? [];
  const other: Request = [String(path), { ...(body as object), subject: "Other" }];
  expect((await post(other, "an-instant")).status).toBe(422);
  expect(await countEmails()).toBe(stored);
});

test("a key that is kept no more lets the body be judged by now, and stores nothing of it", async () => {
  known.now = new Date();
  const request: Request = [single, mailBody({ scheduled_at: scheduledAt })];
  expect((await post(request, "gone")).status).toBe(201);
  await sql.query("delete from mailer.idempotency_keys where key = 'gone'");
  known.now = new Date(Date.now() + 31 * hourMs);
  const stored = await countEmails();
  expect((await post(request, "gone")).status).toBe(422);
  expect(await countEmails()).toBe(stored);
});
