import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestApi, type TestApi } from "../../../testing/product/test-api.ts";
import {
  bearerOf,
  consoleBase,
  createTestConsole,
  pagesOf,
} from "../../../testing/product/test-console.ts";

const own = { Origin: consoleBase };
const ada = { ...(await bearerOf("ada")), ...own };
const bob = { ...(await bearerOf("bob")), ...own };
const admin = { ...(await bearerOf("ops", "admin")), ...own };
const path = "/console/webhooks";

let api: TestApi;
let page: ReturnType<typeof createTestConsole>;
let receiver: ReturnType<typeof Bun.serve>;
const received: string[] = [];
let answer = { status: 200, body: "<i>taken</i>" };
beforeAll(async () => {
  receiver = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      received.push(await request.text());
      return new Response(answer.body, { status: answer.status });
    },
  });
  api = await startTestApi();
  page = createTestConsole(pagesOf(api));
});
afterAll(async () => {
  await receiver?.stop(true);
  await api?.close();
});

const html = async (at = path, as = ada) => await (await page.get(at, as)).text();
const make = (fields: Record<string, string | string[]> = {}, as = ada) =>
  page.post(path, { url: `${receiver.url}hook`, events: "email.*", tags: "", ...fields }, as);
const secretIn = (text: string) => /whsec_[\w+/=]+/.exec(text)?.[0] ?? "";
const pathIn = (text: string) => /\/console\/webhooks\/[0-9a-f-]{36}/.exec(text)?.[0] ?? "";

test("a webhook is made with its secret shown once, and seen by its owner and an admin alone", async () => {
  const made = await make({ events: ["email.sent", "email.failed"], tags: "invoice, vip" });
  expect([made.status, made.headers.get("Cache-Control")]).toEqual([200, "no-store"]);
  const shown = await made.text();
  const secret = secretIn(shown);
  expect(secret).toStartWith("whsec_");
  const at = pathIn(shown);
  expect(await html()).toContain("email.sent, email.failed · tagged invoice, vip");
  expect(await html(at)).not.toContain(secret);
  expect(await html(path, admin)).toContain(at);
  expect(await html(path, bob)).toContain("No webhooks yet");
  for (const name of ["", "/delete", "/rotate-secret"]) {
    expect((await page.get(`${at}${name}`, bob)).status).toBe(404);
  }
  for (const name of ["test", "disable", "delete", "rotate-secret"]) {
    expect((await page.post(`${at}/${name}`, {}, bob)).status).toBe(404);
  }
});

test("a test is sent at once, and what the receiver said is shown", async () => {
  const at = pathIn(await (await make()).text());
  expect((await page.post(`${at}/test`, {}, ada)).headers.get("Location")).toBe(at);
  expect(received.at(-1)).toContain('"webhook.test"');
  expect(await html(at)).toContain("&lt;i&gt;taken&lt;/i&gt;");
  answer = { status: 503, body: "later" };
  const flash = (await page.post(`${at}/test`, {}, ada)).headers.get("Set-Cookie") ?? "";
  expect(decodeURIComponent(flash)).toContain("The test was not taken: answered 503");
  expect(await html(`${at}?outcome=failed`)).toContain("<td>503</td>");
  expect(await html(`${at}?outcome=pending`)).toContain("No deliveries");
  // A test has no event that could be delivered again.
  expect(await html(at)).not.toContain("/replay");
  const [delivery] = /msg_test_[\w-]+/.exec(JSON.stringify(await deliveriesOf(at))) ?? [];
  const replayed = await page.post(`${at}/deliveries/${delivery}/replay`, {}, ada);
  expect(decodeURIComponent(replayed.headers.get("Set-Cookie") ?? "")).toContain("was a test");
});

test("a delivery is replayed under its id", async () => {
  const at = pathIn(await (await make()).text());
  const webhookId = at.split("/").at(-1) ?? "";
  const emailId = await api.schedule();
  const id = "msg_of_the_test";
  const item = { id, position: 1, type: "email.scheduled", emailId, sequence: 1 };
  const place = { firstInMs: 0, everyMs: 0, isLast: true, origin: null };
  const ours = { role: "user", sub: "ada" } as const;
  await api.deps.webhooks.replay({ webhookId, items: [item], ...place }, ours);
  expect(await html(at)).toContain(`${at}/deliveries/${id}/replay`);
  const replayed = await page.post(`${at}/deliveries/${id}/replay`, {}, ada);
  expect(replayed.headers.get("Location")).toBe(at);
  expect((await deliveriesOf(at))?.deliveries.map((one) => one.id)).toEqual([id]);
  expect((await page.post(`${at}/deliveries/msg_unknown/replay`, {}, ada)).status).toBe(404);
  expect((await page.post(`${at}/deliveries/msg_unknown/replay`, {}, bob)).status).toBe(404);
});

async function deliveriesOf(at: string) {
  const asked = { limit: 10, cursor: null };
  const id = at.split("/").at(-1) ?? "";
  return await api.deps.webhooks.deliveries(id, asked, { role: "user", sub: "ada" });
}

test("it is disabled, enabled, given a new secret, and deleted after a question", async () => {
  const made = await (await make()).text();
  const at = pathIn(made);
  await page.post(`${at}/disable`, {}, ada);
  expect(await html(at)).toContain(`${at}/enable`);
  await page.post(`${at}/enable`, {}, ada);
  expect(await html(at)).toContain(`${at}/disable`);
  expect(await html(`${at}/rotate-secret`)).toContain("for 24 hours");
  const rotated = await (await page.post(`${at}/rotate-secret`, {}, ada)).text();
  expect([secretIn(rotated) !== "", secretIn(rotated) === secretIn(made)]).toEqual([true, false]);
  expect(rotated).toContain("The former secret signs too until");
  expect(await html(`${at}/delete`)).toContain("Delete this webhook?");
  expect((await page.post(`${at}/delete`, {}, ada)).headers.get("Location")).toBe(path);
  expect((await page.get(at, ada)).status).toBe(404);
});

describe("an edit", () => {
  const whole = () =>
    make({ events: ["email.sent"], tags: "invoice", description: "for the shop" });
  const save = (at: string, fields: Record<string, string | string[]>, as = ada) =>
    page.post(`${at}/edit`, fields, as);
  const as = { url: "http://127.0.0.1:9/other", events: ["email.*"], tags: "a b", enabled: "true" };

  test("changes what was changed, and leaves the rest", async () => {
    const at = pathIn(await (await whole()).text());
    const form = await html(`${at}/edit`);
    expect(form).toContain('value="for the shop"');
    expect(form).toMatch(/name="enabled" value="true" checked/);
    expect((await save(at, as)).headers.get("Location")).toBe(at);
    const shown = await html(at);
    expect(shown).toContain("http://127.0.0.1:9/other");
    expect(shown).toContain("tagged a, b");
    expect(shown).not.toContain("for the shop");
    const same = await save(at, { ...as, tags: "a, b" });
    expect(decodeURIComponent(same.headers.get("Set-Cookie") ?? "")).toContain("Nothing was");
    await save(at, { ...as, tags: "a, b", enabled: "" });
    expect(await html(at)).toContain(`${at}/enable`);
  });

  test("says what is wrong beside what was typed, and changes nothing", async () => {
    const at = pathIn(await (await whole()).text());
    for (const [fields, words] of [
      [{ ...as, url: "nowhere" }, "url: expected a URL"],
      [{ ...as, events: [] }, "events: expected"],
      [{ ...as, events: "system.*" }, "only a webhook with all_owners"],
      [{ ...as, tags: "x".repeat(65) }, "tags/0: expected a tag"],
    ] as const) {
      const refused = await save(at, fields as Record<string, string | string[]>);
      const text = await refused.text();
      expect([words, refused.status, text.includes(words)]).toEqual([words, 422, true]);
      expect(text).toContain(`value="${fields.url}"`);
    }
    expect(await html(at)).toContain("for the shop");
  });

  test("is its owner's and an admin's alone", async () => {
    const at = pathIn(await (await whole()).text());
    expect((await page.get(`${at}/edit`, bob)).status).toBe(404);
    expect((await save(at, as, bob)).status).toBe(404);
    expect((await save(at, as, { ...ada, Origin: "https://evil.example" })).status).toBe(403);
    expect((await save(at, as, admin)).status).toBe(303);
  });
});

test("what is wrong is said beside what was typed, and nothing is made", async () => {
  const count = async () => (await html()).split("<tr").length;
  const before = await count();
  const refusals = [
    [await make({ url: "nowhere" }), 422, "url: expected a URL"],
    [await make({ events: [] }), 422, "events: expected"],
    [await make({ events: "system.*" }), 422, "only a webhook with all_owners"],
    [await make({ all_owners: "true" }), 409, "Only an admin may make a webhook"],
    [await make({}, { ...ada, Origin: "https://evil.example" }), 403, "Nothing was done"],
  ] as const;
  for (const [response, status, words] of refusals) {
    const text = await response.text();
    expect([response.status, text.includes(words), secretIn(text)]).toEqual([status, true, ""]);
  }
  expect(await (await make({ url: "nowhere" })).text()).toContain('value="nowhere"');
  expect(await count()).toBe(before);
});
