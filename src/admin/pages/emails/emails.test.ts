import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../../../testing/product/test-api.ts";
import {
  bearerOf,
  consoleBase,
  createTestConsole,
  pagesOf,
} from "../../../testing/product/test-console.ts";

const ada = await bearerOf("ada");
const bob = await bearerOf("bob");
const admin = await bearerOf("ops", "admin");
const own = { Origin: consoleBase };

let api: TestApi;
let page: ReturnType<typeof createTestConsole>;
beforeAll(async () => {
  api = await startTestApi();
  page = createTestConsole(pagesOf(api));
});
afterAll(() => api?.close());

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

async function html(path: string, as = ada): Promise<string> {
  const response = await page.get(path, as);
  expect([path, response.status]).toEqual([path, 200]);
  return await response.text();
}

/** Presses a button of ours. */
function press(path: string, fields: Record<string, string | string[]> = {}, as = ada) {
  return page.post(path, fields, { ...as, ...own });
}

async function statusOf(id: string): Promise<unknown> {
  return (await api.request("GET", `/api/v1/status/${id}`)).json.data.status;
}

const hostile = "Hello <script>alert(1)</script>";

describe("the list", () => {
  test("shows one's own emails, escaped; an admin everybody's with the owner", async () => {
    const id = await api.schedule({ subject: hostile, tags: ["list-a", "list-b", "list-c"] });
    const mine = await html("/console/emails");
    expect(mine).toContain("Hello &lt;script&gt;");
    expect(mine).not.toContain("<script>alert");
    expect(mine).toContain(`href="/console/emails/${id}"`);
    expect(mine).toContain("bob@example.com");
    expect(mine).toContain("list-b");
    expect(mine).toMatch(/title="list-c"[^>]*>\+1</);
    expect(mine).not.toContain('class="owner"');
    expect(await html("/console/emails", bob)).not.toContain("Hello");
    const all = await html("/console/emails", admin);
    expect(all).toContain('<td class="owner">ada</td>');
  });

  test("finds by what stands in the box, and says what cannot be searched", async () => {
    await api.schedule({
      subject: "Found one",
      tags: ["find me"],
      recipients: ["Carl@example.com"],
    });
    for (const text of [
      'tag:"find me"',
      "to:carl@example.com",
      "carl@example.com status:pending,sent",
    ]) {
      const found = await html(`/console/emails?q=${encodeURIComponent(text)}`);
      expect([text, found.includes("Found one")]).toEqual([text, true]);
    }
    const none = await html("/console/emails?q=tag:nowhere");
    expect(none).toContain("No email matches");
    const faulty = await html(
      `/console/emails?q=${encodeURIComponent("invoice status:gone from:x")}`,
    );
    expect(faulty).toContain("“invoice” was not searched for: subjects and texts are encrypted.");
    expect(faulty).toContain("status: expects one or more of pending, ");
    expect(faulty).toContain("There is no from: to search by.");
  });

  test("its part is the empty state where there is no row, so that nothing is loaded again", async () => {
    const part = async (query: string) => {
      const headers = { ...ada, "X-Requested-With": "console" };
      return await (await page.get(`/console/emails${query}`, headers)).text();
    };
    expect(await part("?q=tag:nowhere")).toStartWith('<div class="card empty" data-live');
    await api.schedule();
    expect(await part("")).toStartWith("<tbody data-live");
  });

  test("opens an email whose id is typed", async () => {
    const id = await api.schedule();
    const response = await page.get(`/console/emails?q=${id}`, ada);
    expect(response.headers.get("Location")).toBe(`/console/emails/${id}`);
  });

  test("goes on behind fifty, each shown once, also from an address that somebody changed", async () => {
    const subjects = Array.from({ length: 52 }, (_, index) => `Of many ${index}!`);
    for (const subject of subjects) await api.schedule({ subject, tags: ["many"] });
    const first = await html("/console/emails?q=tag:many");
    const next = /href="([^"]*)" rel="next"/.exec(first)?.[1]?.replaceAll("&amp;", "&") ?? "";
    const second = await html(next);
    const shown = (text: string) => subjects.filter((subject) => text.includes(subject));
    expect(shown(first).length).toBe(50);
    expect([...shown(first), ...shown(second)].toSorted()).toEqual(subjects.toSorted());
    expect(shown(await html(`${next.slice(0, -1)}z`)).length).toBe(50);
  });
});

describe("one email", () => {
  test("shows what it says and what became of it; blind copies too", async () => {
    const id = await api.schedule({
      subject: hostile,
      bcc: ["hidden@example.com"],
      html_body: "<b>bold</b><script>alert(2)</script>",
      scheduled_at: inAnHour(),
    });
    const shown = await html(`/console/emails/${id}`);
    expect(shown).toContain(`src="/console/emails/${id}/html"`);
    expect(shown).toContain('sandbox="allow-popups allow-popups-to-escape-sandbox"');
    expect(shown).toContain("hidden@example.com");
    expect(shown).not.toMatch(/<script>alert/);
    const headers = await html(`/console/emails/${id}?part=headers`);
    expect(headers).toContain("Message-ID");
    expect(await html(`/console/emails/${id}?part=source`)).toContain("MIME-Version: 1.0");
  });

  test("tells each attempt with the server's words", async () => {
    const id = await api.schedule({ max_retries: 0 });
    await api.deliver(id, noUserReply);
    const shown = await html(`/console/emails/${id}`);
    expect(shown).toContain("Attempt 1: refused");
    expect(shown).toContain("550 5.1.1 No such user");
    expect(shown).toContain("Replay…");
    expect(shown).not.toContain("Cancel…");
  });

  test("its HTML comes sandboxed, without scripts and outside requests unless asked", async () => {
    const remote = '<img src="https://example.com/a.png">';
    const id = await api.schedule({ html_body: remote, scheduled_at: inAnHour() });
    const policyOf = async (query: string) => {
      const response = await page.get(`/console/emails/${id}/html${query}`, ada);
      return response.headers.get("Content-Security-Policy") ?? "";
    };
    expect(await policyOf("")).toContain("sandbox allow-popups");
    expect(await policyOf("")).toContain("img-src data:;");
    expect(await policyOf("?remote=true")).toContain("img-src data: https: http:;");
    expect(await policyOf("?remote=true")).toContain("default-src 'none'");
    expect(await policyOf("?remote=true")).not.toContain("allow-scripts");
    expect(await html(`/console/emails/${id}`)).toContain("Remote images are blocked.");
  });

  test("images that it carries are shown within it", async () => {
    const png = {
      filename: "l.png",
      contentType: "image/png",
      content: "AQID",
      content_id: "logo",
    };
    const fields = { html_body: '<img src="cid:logo">', attachments: [png] };
    const id = await api.schedule({ ...fields, scheduled_at: inAnHour() });
    const response = await page.get(`/console/emails/${id}/html`, ada);
    expect(await response.text()).toContain('src="data:image/png;base64,AQID"');
  });

  test("its bytes and its attachments are saved, never shown", async () => {
    const evil = { filename: "evil.html", contentType: "text/html", content: btoa("<script>") };
    const id = await api.schedule({ attachments: [evil], scheduled_at: inAnHour() });
    const raw = await page.get(`/console/emails/${id}/raw`, ada);
    expect(await raw.text()).toContain("Subject: Hello");
    expect(raw.headers.get("Content-Disposition")).toContain(`filename="${id}.eml"`);
    const attachment = await page.get(`/console/emails/${id}/attachments/0`, ada);
    expect(attachment.headers.get("Content-Type")).toBe("application/octet-stream");
    expect(attachment.headers.get("Content-Disposition")).toStartWith("attachment;");
    for (const number of ["9", "length", "-1"]) {
      const none = await page.get(`/console/emails/${id}/attachments/${number}`, ada);
      expect(none.status).toBe(404);
    }
  });

  test("is not there for others, nor under an id that is none", async () => {
    const id = await api.schedule();
    for (const part of ["", "/raw", "/html", "/attachments/0"]) {
      expect((await page.get(`/console/emails/${id}${part}`, bob)).status).toBe(404);
    }
    for (const bad of ["..%2F..%2Fetc%2Fpasswd", "a.b", "%00"]) {
      expect((await page.get(`/console/emails/${bad}`, ada)).status).toBe(404);
    }
  });

  test("says that its content was destroyed, once it was", async () => {
    const id = await api.schedule({ subject: "Soon gone" });
    await api.deliver(id);
    expect((await press(`/console/emails/${id}/destroy`)).status).toBe(303);
    const shown = await html(`/console/emails/${id}`);
    expect(shown).toContain("Its content was destroyed, for good.");
    expect(shown).not.toContain("Soon gone");
  });
});

describe("what is done to one", () => {
  test("cancel, hold, release, send now: each leads back and says so", async () => {
    const id = await api.schedule({ scheduled_at: inAnHour() });
    const steps = [
      ["hold", "held"],
      ["release", "pending"],
      ["send-now", "pending"],
      ["cancel", "cancelled"],
    ] as const;
    for (const [action, status] of steps) {
      const response = await press(`/console/emails/${id}/${action}`);
      expect([action, response.headers.get("Location")]).toEqual([action, `/console/emails/${id}`]);
      expect(response.headers.get("Set-Cookie")).toContain("tfm_flash=");
      expect([action, await statusOf(id)]).toEqual([action, status]);
    }
  });

  test("a time in a zone is the instant it means there", async () => {
    const id = await api.schedule({ scheduled_at: inAnHour() });
    const fields = { at: "2031-07-01T09:00", zone: "Europe/Berlin", version: "1" };
    expect((await press(`/console/emails/${id}/reschedule`, fields)).status).toBe(303);
    const { scheduled_at: at } = (await api.request("GET", `/api/v1/status/${id}`)).json.data;
    expect(at).toBe("2031-07-01T07:00:00.000Z");
  });

  test("a time that is past or none is refused in the words of the API", async () => {
    const id = await api.schedule({ scheduled_at: inAnHour() });
    for (const at of ["2020-01-01T00:00", "tomorrow"]) {
      const refused = await press(`/console/emails/${id}/reschedule`, { at, zone: "UTC" });
      expect(refused.status).toBe(422);
      expect(await refused.text()).toContain("scheduled_at: expected");
    }
  });

  test("what somebody else has changed meanwhile is said, and nothing is done", async () => {
    const id = await api.schedule({ scheduled_at: inAnHour() });
    const fields = { at: "2031-07-01T09:00", zone: "UTC", version: "7" };
    const refused = await press(`/console/emails/${id}/reschedule`, fields);
    expect(refused.status).toBe(409);
    expect(await refused.text()).toContain("the email was changed meanwhile");
  });

  test("what is too late is said in words", async () => {
    const id = await api.schedule();
    await api.deliver(id);
    const refused = await press(`/console/emails/${id}/cancel`);
    expect(refused.status).toBe(409);
    expect(await refused.text()).toContain("It was sent already");
  });

  test("a dead letter is replayed", async () => {
    const id = await api.schedule({ max_retries: 0 });
    await api.deliver(id, noUserReply);
    expect((await press(`/console/emails/${id}/replay`)).status).toBe(303);
    expect(await statusOf(id)).toBe("pending");
  });

  test("a dead letter is dismissed with a reason, once, and can be replayed all the same", async () => {
    const id = await api.schedule({ max_retries: 0 });
    const early = await press(`/console/emails/${id}/dismiss`, { reason: "x" });
    expect(early.status).toBe(409);
    await api.deliver(id, noUserReply);
    const badly = await press(`/console/emails/${id}/dismiss`, { reason: "two\nlines" });
    expect([badly.status, (await badly.text()).includes("on one line")]).toEqual([422, true]);
    expect(await html(`/console/emails/${id}`)).toContain("Dismiss…");
    expect((await press(`/console/emails/${id}/dismiss`, { reason: "asked them" })).status).toBe(
      303,
    );
    const shown = await html(`/console/emails/${id}`);
    expect(shown).toContain("asked them");
    expect(shown).not.toContain("Dismiss…");
    expect(shown).toContain("Edit and replay");
    expect(await html("/console/emails?q=status:failed")).toContain(id);
    const again = await press(`/console/emails/${id}/dismiss`);
    expect(decodeURIComponent(again.headers.get("Set-Cookie") ?? "")).toContain("dismissed before");
    expect((await press(`/console/emails/${id}/dismiss`, {}, bob)).status).toBe(404);
    expect((await press(`/console/emails/${id}/replay`)).status).toBe(303);
  });

  test("nothing is done for another site, nor for somebody else", async () => {
    const id = await api.schedule({ scheduled_at: inAnHour() });
    const path = `/console/emails/${id}/cancel`;
    const foreign = await page.post(path, {}, { ...ada, Origin: "https://evil.example" });
    expect(foreign.status).toBe(403);
    expect((await press(path, {}, bob)).status).toBe(404);
    expect((await page.post(path, {}, own)).status).toBe(401);
    expect(await statusOf(id)).toBe("pending");
  });
});
