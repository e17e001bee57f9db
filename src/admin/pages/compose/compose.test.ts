import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../../../testing/product/test-api.ts";
import {
  bearerOf,
  consoleBase,
  createTestConsole,
  pagesOf,
} from "../../../testing/product/test-console.ts";

const ada = { ...(await bearerOf("ada")), Origin: consoleBase };

let api: TestApi;
let page: ReturnType<typeof createTestConsole>;
beforeAll(async () => {
  api = await startTestApi();
  page = createTestConsole(pagesOf(api));
});
afterAll(() => api?.close());

const typed = {
  ...{
    to: '"Bob, the first" <bob@example.com>; carol@example.com',
    subject: "By hand",
    text: "Hi",
  },
  ...{ tags: "a b", at: "2031-07-01T09:00", zone: "Europe/Berlin", key: "k1" },
};

const post = (path: string, fields: Record<string, string>) => page.post(path, fields, ada);
const emailOf = async (id: string) =>
  (await api.request<Record<string, unknown>>("GET", `/api/v1/emails/${id}`)).json.data;
const idIn = (response: Response) => response.headers.get("Location")?.split("/").at(-1) ?? "";

test("what is typed is scheduled once, however often the button is pressed", async () => {
  const first = await post("/console/compose", typed);
  const again = await post("/console/compose", typed);
  expect(idIn(first)).toBe(idIn(again));
  expect(await emailOf(idIn(first))).toMatchObject({
    scheduled_at: "2031-07-01T07:00:00.000Z",
    ...{ subject: "By hand", body: "Hi", tags: ["a", "b"] },
    recipients: [{ address: "bob@example.com" }, { address: "carol@example.com" }],
  });
});

test("what is wrong is said beside what was typed", async () => {
  const refused = await post("/console/compose", { ...typed, to: "nobody", key: "k2" });
  expect(refused.status).toBe(422);
  const html = await refused.text();
  expect(html).toContain("recipients/0: expected");
  expect(html).toContain('value="By hand"');
});

test("the preview is the dry run, in a document that runs nothing; nothing is stored", async () => {
  const html = "<h1>Hello</h1><script>alert(1)</script>";
  const before = (await api.request("GET", "/api/v1/scheduled-emails")).json.page;
  const shown = await post("/console/compose/preview", { ...typed, html, subject: "<b>" });
  expect(shown.headers.get("Content-Security-Policy")).toContain("sandbox");
  const text = await shown.text();
  expect(text).toContain("&lt;b&gt;");
  expect(text).toContain("<h1>Hello</h1>");
  expect(text).toContain("2031-07-01 07:00:00.000 UTC");
  const faulty = await post("/console/compose/preview", { ...typed, subject: "" });
  expect(await faulty.text()).toContain("subject: expected");
  expect((await api.request("GET", "/api/v1/scheduled-emails")).json.page).toEqual(before);
});

test("a test goes to one address alone, now", async () => {
  const sent = await post("/console/compose/test", { ...typed, test_to: "me@example.com" });
  const email = await emailOf(idIn(sent));
  expect(email).toMatchObject({ recipients: [{ address: "me@example.com" }], max_retries: 0 });
  expect(Date.parse(String(email.scheduled_at))).toBeLessThanOrEqual(Date.now());
});

test("a duplicate has the content and the attachments of the email it was made from", async () => {
  const file = { filename: "a.txt", contentType: "text/plain", content: "aGk=" };
  const id = await api.schedule({ attachments: [file], html_body: "<p>x</p>", tags: ["t"] });
  const form = await (await page.get(`/console/compose?copy=${id}`, ada)).text();
  expect(form).toMatch(/name="keep" value="0" checked[^>]*>\s*a\.txt/);
  expect(form).toContain("&lt;p&gt;x&lt;/p&gt;");
  const copied = await post("/console/compose", { ...typed, copy: id, key: "k3" });
  expect(await emailOf(idIn(copied))).toMatchObject({ attachments: [{ filename: "a.txt" }] });
});

describe("files", () => {
  const pdf = new File(["%PDF"], "terms ü.pdf", { type: "application/pdf" });
  const postForm = (path: string, fields: Record<string, string | File | string[]>) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      for (const one of [value].flat()) form.append(name, one);
    }
    const init = { method: "POST", body: form, headers: ada };
    return page.app.request(`${consoleBase}${path}`, init);
  };
  const namesOf = async (id: string) =>
    ((await emailOf(id)).attachments as { filename: string }[]).map(({ filename }) => filename);
  const made = () => {
    const files = ["a.txt", "b.txt"].map((filename) => ({
      ...{ filename, contentType: "text/plain", content: "aGk=" },
    }));
    return api.schedule({ attachments: files, scheduled_at: "2031-01-01T00:00:00Z" });
  };

  test("that were chosen go along, under their names; an empty field is none", async () => {
    const sent = await postForm("/console/compose", { ...typed, key: "f1", files: pdf });
    const id = idIn(sent);
    expect(await emailOf(id)).toMatchObject({
      attachments: [{ filename: "terms ü.pdf", content_type: "application/pdf", size_bytes: 4 }],
    });
    const got = await page.get(`/console/emails/${id}/attachments/0`, ada);
    expect(await got.text()).toBe("%PDF");
    const none = new File([], "", { type: "application/octet-stream" });
    const plain = await postForm("/console/compose", { ...typed, key: "f2", files: none });
    expect((await emailOf(idIn(plain))).attachments).toEqual([]);
  });

  test("of the email that is copied stay unless they are unticked, and new ones come after", async () => {
    const copy = await made();
    const kept = { copy, asks_keep: "true", keep: "1", files: pdf };
    const sent = await postForm("/console/compose", { ...typed, ...kept, key: "f3" });
    expect(await namesOf(idIn(sent))).toEqual(["b.txt", "terms ü.pdf"]);
  });

  test("are changed by an edit, and left alone by one that does not touch them", async () => {
    const id = await made();
    const path = `/console/emails/${id}/edit`;
    const same = { ...typed, asks_keep: "true", keep: ["0", "1"], version: "1" };
    expect((await postForm(path, same)).status).toBe(303);
    expect(await namesOf(id)).toEqual(["a.txt", "b.txt"]);
    const fewer = { ...same, keep: "0", version: "2", files: pdf };
    expect((await postForm(path, fewer)).status).toBe(303);
    expect(await namesOf(id)).toEqual(["a.txt", "terms ü.pdf"]);
    expect((await postForm(path, { ...fewer, keep: [], version: "3" })).status).toBe(303);
    expect(await namesOf(id)).toEqual(["terms ü.pdf"]);
  });

  test("are asked for again when something else was wrong", async () => {
    const refused = await postForm("/console/compose", { ...typed, to: "nobody", files: pdf });
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain("Choose the files again.");
    const many = Array.from({ length: 21 }, (_, n) => new File(["x"], `${n}.txt`));
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...typed, key: "f4" })) form.append(name, value);
    for (const file of many) form.append("files", file);
    const init = { method: "POST", body: form, headers: ada };
    const tooMany = await page.app.request(`${consoleBase}/console/compose`, init);
    expect(await tooMany.text()).toContain("attachments: expected");
  });
});

describe("a dead letter", () => {
  const recipients = ["gone@example.com"];
  const dead = async (fields = {}) => {
    const id = await api.schedule({ recipients, max_retries: 0, ...fields });
    await api.deliver(id, noUserReply);
    return id;
  };

  test("is sent again as it was edited, now, and to the address that was put right", async () => {
    const id = await dead({ subject: "Wrong address" });
    const path = `/console/emails/${id}/edit`;
    const form = await (await page.get(`${path}?replay=true`, ada)).text();
    expect(form).toContain("Edit and replay");
    expect(form).toContain('name="replay" value="true"');
    expect(form).toContain('name="at" value=""');
    const version = /name="version" value="(\d+)"/.exec(form)?.[1] ?? "";
    const fields = { ...typed, to: "here@example.com", subject: "Right", at: "", replay: "true" };
    expect((await post(path, { ...fields, version: "99" })).status).toBe(409);
    const sent = await post(path, { ...fields, version });
    expect(decodeURIComponent(sent.headers.get("Set-Cookie") ?? "")).toContain("as edited");
    const email = await emailOf(id);
    expect(email).toMatchObject({
      ...{ subject: "Right", status: "pending" },
      recipients: [{ address: "here@example.com", status: "pending" }],
    });
  });

  test("that is not edited is sent again as it is", async () => {
    const id = await dead();
    const path = `/console/emails/${id}/edit`;
    const form = await (await page.get(`${path}?replay=true`, ada)).text();
    const value = (name: string) => new RegExp(`name="${name}" value="([^"]*)"`).exec(form)?.[1];
    const fields = { to: "gone@example.com", subject: "Hello", text: "A few words." };
    const same = { ...typed, ...fields, tags: "", at: "", version: value("version") ?? "" };
    const sent = await post(path, { ...same, replay: "true" });
    expect(decodeURIComponent(sent.headers.get("Set-Cookie") ?? "")).not.toContain("as edited");
    expect(await emailOf(id)).toMatchObject({ subject: "Hello", status: "pending" });
  });

  test("a replay of what is none is refused in words", async () => {
    const id = await api.schedule({ scheduled_at: "2031-01-01T00:00:00Z" });
    const path = `/console/emails/${id}/edit`;
    expect(await (await page.get(`${path}?replay=true`, ada)).text()).not.toContain("and replay");
    const refused = await post(path, { ...typed, version: "1", replay: "true" });
    expect(refused.status).toBe(409);
    expect(await emailOf(id)).toMatchObject({ version: 1 });
  });
});

test("an email that waits is edited, unless somebody was quicker", async () => {
  const recipients = ["Bob B <bob@example.com>"];
  const id = await api.schedule({
    ...{ recipients, scheduled_at: "2031-01-01T00:00:00Z", html_body: "<p>x</p>" },
  });
  const path = `/console/emails/${id}/edit`;
  const form = await (await page.get(path, ada)).text();
  expect(form).toContain('value="2031-01-01T00:00"');
  expect(form).toContain("Bob B &lt;bob@example.com&gt;");
  const fields = { ...typed, subject: "Changed", version: "1" };
  expect((await post(path, fields)).status).toBe(303);
  expect(await emailOf(id)).toMatchObject({ subject: "Changed", html_body: null, version: 2 });
  const late = await post(path, { ...fields, subject: "Too late" });
  expect(late.status).toBe(409);
  expect(await late.text()).toContain('value="Too late"');
});
