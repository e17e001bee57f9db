import { afterAll, beforeAll, expect, test } from "bun:test";
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
const path = "/console/keys";

let api: TestApi;
let page: ReturnType<typeof createTestConsole>;
beforeAll(async () => {
  api = await startTestApi();
  page = createTestConsole(pagesOf(api));
});
afterAll(() => api?.close());

const html = async (as: Record<string, string>) => await (await page.get(path, as)).text();
const make = (fields: Record<string, string | string[]>, as = ada) =>
  page.post(path, { name: "shop", scopes: ["send"], ends: "month", ...fields }, as);
const keyIn = (text: string) => /tfm_[0-9A-Za-z]{46}/.exec(text)?.[0] ?? "";
const idIn = (text: string) => /keys\/([0-9a-f-]{36})\/revoke/.exec(text)?.[1] ?? "";
const listAs = async (key: string) =>
  (
    await api.request("GET", "/api/v1/scheduled-emails", {
      headers: { authorization: `Bearer ${key}` },
    })
  ).status;

test("a key is shown once, works, is seen by its owner and an admin alone, and is revoked", async () => {
  const made = await make({ name: "<reports>", scopes: ["send", "read"] });
  expect([made.status, made.headers.get("Cache-Control")]).toEqual([200, "no-store"]);
  const shown = await made.text();
  const key = keyIn(shown);
  expect(shown).toContain("&lt;reports&gt;");
  expect(await listAs(key)).toBe(200);

  const listed = await html(ada);
  expect(listed).toContain(key.slice(0, 12));
  expect(listed).not.toContain(key);
  expect(await html(admin)).toContain("<td>ada</td>");
  expect(await html(bob)).toContain("No keys yet");

  const revoke = `${path}/${idIn(listed)}/revoke`;
  expect((await page.get(revoke, bob)).status).toBe(404);
  expect((await page.post(revoke, {}, bob)).status).toBe(404);
  expect(await (await page.get(revoke, ada)).text()).toContain("This can&#39;t be undone");
  expect((await page.post(revoke, {}, ada)).headers.get("Location")).toBe(path);
  expect(await html(ada)).toContain("revoked <time");
  // On every process within two seconds: asked of the database anew, as another process would.
  expect(
    (await api.deps.apiKeys.get(idIn(shown), { role: "user", sub: "ada" }))?.revokedAt,
  ).toEqual(expect.any(Date));
});

test("what is wrong is said beside what was typed, and nothing is made", async () => {
  const count = async () => (await html(ada)).split("<tr").length;
  const before = await count();
  const refusals = [
    [await make({ name: "" }), 422, "name: expected a name"],
    [await make({ scopes: [] }), 422, "scopes: expected"],
    [await make({ ends: "soon" }), 422, "expires_at: expected"],
    [await make({ scopes: ["admin"] }), 409, "Only an admin may make a key"],
  ] as const;
  for (const [response, status, words] of refusals) {
    const text = await response.text();
    expect([response.status, text.includes(words), keyIn(text)]).toEqual([status, true, ""]);
  }
  expect(await (await make({ name: "kept", scopes: [] })).text()).toContain('value="kept"');
  expect(await count()).toBe(before);
});

test("a key ends when it was chosen to", async () => {
  const { keys } = await (async () => {
    await make({ name: "m", ends: "month" }, admin);
    await make({ name: "n", ends: "never" }, admin);
    const asked = { limit: 2, offset: null, cursor: null };
    return await api.deps.apiKeys.list(asked, { role: "user", sub: "ops" });
  })();
  const days = keys.map(
    ({ expiresAt, createdAt }) =>
      expiresAt && Math.round((expiresAt.getTime() - createdAt.getTime()) / 86_400_000),
  );
  expect(days).toEqual([null, 30]);
});

test("neither a form of another site nor a key makes or revokes one", async () => {
  const foreign = await make({}, { ...ada, Origin: "https://evil.example" });
  expect([foreign.status, keyIn(await foreign.text())]).toEqual([403, ""]);
  const made = await (await make({ name: "thief", scopes: ["send", "read"] })).text();
  const { authenticate } = api.deps.authenticator;
  const verify = () => Promise.reject(new Error("unused"));
  const withKeys = createTestConsole({
    ...pagesOf(api),
    authenticator: { authenticate, verify },
  });
  const as = { Authorization: `Bearer ${keyIn(made)}`, ...own };
  const again = await withKeys.post(path, { name: "x", scopes: ["send"], ends: "year" }, as);
  expect(await again.text()).toContain("An API key may not make or revoke keys.");
  const revoked = await withKeys.post(`${path}/${idIn(made)}/revoke`, {}, as);
  expect(revoked.status).toBe(409);
});

test.each([
  { scopes: ["send", "read"], mayRead: true, mayAct: true },
  { scopes: ["send"], mayRead: false, mayAct: false },
  { scopes: ["read"], mayRead: true, mayAct: false },
])("a key of $scopes may do in the console what it may do at the API", async (one) => {
  const made = await (await make({ name: "narrow", scopes: [...one.scopes] })).text();
  const { authenticate } = api.deps.authenticator;
  const verify = () => Promise.reject(new Error("unused"));
  const withKeys = createTestConsole({ ...pagesOf(api), authenticator: { authenticate, verify } });
  const as = { Authorization: `Bearer ${keyIn(made)}`, ...own };
  for (const page of ["/", "/console/emails", "/console/dead-letters", "/console/audit", path]) {
    const { status } = await withKeys.get(page, as);
    expect({ page, isRefused: status === 403 }).toEqual({ page, isRefused: !one.mayRead });
  }
  const email = await api.schedule();
  const held = await withKeys.post(`/console/emails/${email}/hold`, {}, as);
  expect(held.status === 403).toBe(!one.mayAct);
});

test("a key that may send and not read hears nothing from any form, refused ones included", async () => {
  const sue = { ...(await bearerOf("sue")), ...own };
  const key = keyIn(await (await make({}, sue)).text());
  const body = { recipients: ["canary@example.com"], subject: "canary", body: "canary" };
  const later = { scheduled_at: "2040-01-01T00:00:00Z" };
  const id = await api.schedule({ ...body, ...later }, { as: "sue" });
  const { authenticate } = api.deps.authenticator;
  const verify = () => Promise.reject(new Error("unused"));
  const withKeys = createTestConsole({ ...pagesOf(api), authenticator: { authenticate, verify } });
  const as = { Authorization: `Bearer ${key}`, ...own };
  const forms = new Set(
    withKeys.app.routes.flatMap((one) =>
      one.method === "POST" && one.path.startsWith("/console/") ? [one.path] : [],
    ),
  );
  forms.delete("/console/theme");
  expect(forms.size).toBeGreaterThan(20);
  for (const form of forms) {
    const at = form.replace(":id", id).replace(":delivery", "msg_1");
    const answered = await withKeys.post(at, { copy: id, ids: id }, as);
    expect([form, answered.status]).toEqual([form, 403]);
    expect(await answered.text()).not.toContain("canary");
  }
});
