import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { createAuthenticator, issueToken } from "../auth/jwt.ts";
import { createLogger } from "../log.ts";
import { createMemorySessions } from "../testing/memory-sessions.ts";
import type { CapturedMail, CapturedMails } from "./captured-mails.ts";
import { mountConsole } from "./console.tsx";
import type { MailTrouble } from "./elsewhere-page.tsx";
import type { PauseNotice } from "./page.tsx";
import { createSessions } from "./session.ts";
import { createSignInLinks } from "./sign-in-link.ts";

const secret = "a secret of enough length";
const base = "http://127.0.0.1:3000";
const auth = { secret, issuer: null, audience: "authenticated" };
const adminToken = await issueToken({ ...auth, sub: "ops", role: "admin", ttlSeconds: 60 });
const userToken = await issueToken({ ...auth, sub: "ann", ttlSeconds: 60 });

const message = [
  "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>",
  "To: Bob <bob@example.com>",
  "Subject: Hello <script>alert(1)</script>",
  "MIME-Version: 1.0",
  'Content-Type: multipart/mixed; boundary="b"',
  "",
  "--b",
  'Content-Type: multipart/related; boundary="r"',
  "",
  "--r",
  "Content-Type: text/html; charset=utf-8",
  "",
  '<b>bold</b><script>alert(2)</script><img src="cid:logo@x">',
  "--r",
  "Content-Type: image/png",
  "Content-ID: <logo@x>",
  "Content-Disposition: inline; filename=logo.png",
  "Content-Transfer-Encoding: base64",
  "",
  "AQID",
  "--r--",
  "--b",
  'Content-Type: text/html; name="../evil.html"',
  'Content-Disposition: attachment; filename="../evil.html"',
  "",
  "<script>alert(3)</script>",
  "--b--",
  "",
].join("\r\n");

function capturedOf(raw: string): CapturedMails & { asked: string[] } {
  const capturedAt = new Date("2026-01-01T00:00:00Z");
  const mail: CapturedMail = {
    envelope: {
      from: "j@example.com",
      recipients: ["bob@example.com", "hidden@example.com"],
      captured_at: capturedAt.toISOString(),
    },
    message: Buffer.from(raw),
  };
  const asked: string[] = [];
  return {
    asked,
    list: async () => [
      {
        emailId: "e1",
        capturedAt,
        from: "Jürgen <j@example.com>",
        recipients: mail.envelope.recipients,
        subject: "Hello <script>alert(1)</script>",
        sizeBytes: raw.length,
      },
    ],
    read: async (id) => {
      asked.push(id);
      return id === "e1" ? mail : null;
    },
  };
}

interface Settings {
  captured?: CapturedMails | null;
  publicUrl?: string;
  trouble?: MailTrouble;
  pause?: PauseNotice;
}

function createConsole(settings: Settings = {}) {
  const app = new Hono();
  const signInLinks = createSignInLinks();
  mountConsole(app, {
    log: createLogger({ level: "silent" }),
    authenticator: createAuthenticator(auth),
    sessions: createSessions({ store: createMemorySessions().store }),
    signInLinks,
    captured: settings.captured === undefined ? capturedOf(message) : settings.captured,
    transportName: "smtp.example.com:587",
    findTrouble: async () => settings.trouble ?? null,
    findPause: () => settings.pause ?? null,
    publicUrl: settings.publicUrl ?? null,
    isBehindProxy: () => false,
    program: "DATA_DIR=/d /opt/mailer",
  });
  const get = (path: string, headers: Record<string, string> = {}) =>
    app.request(`${base}${path}`, { headers });
  const post = (path: string, fields: Record<string, string>, headers: Record<string, string>) =>
    app.request(`${base}${path}`, { method: "POST", body: new URLSearchParams(fields), headers });
  const asAdmin = (path: string) => get(path, { Authorization: `Bearer ${adminToken}` });
  return { app, get, post, asAdmin, signInLinks };
}

function cookieOf(response: Response): string {
  return response.headers.get("Set-Cookie")?.split(";")[0] ?? "";
}

const own = { Origin: base };

describe("strangers", () => {
  test("see the sign-in page at /, and no mail", async () => {
    const response = await createConsole().get("/");
    expect(response.status).toBe(200);
    const html = await response.text();
    expect(html).toContain("Open the one-time link");
    expect(html).not.toContain("Hello");
  });

  test.each(["/captured", "/captured/e1", "/captured/e1/raw", "/captured/e1/html"])(
    "get 401 at %s",
    async (path) => {
      const captured = capturedOf(message);
      const response = await createConsole({ captured }).get(path);
      expect(response.status).toBe(401);
      expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
      expect(captured.asked).toEqual([]);
    },
  );

  test("with a bad bearer get 401 at /, also beside a good session", async () => {
    const { get, post } = createConsole();
    const cookie = cookieOf(await post("/sign-in", { token: adminToken }, own));
    expect((await get("/", { Authorization: "Bearer x", Cookie: cookie })).status).toBe(401);
  });

  test("coming from another site are asked to reload once, since strict cookies stay behind", async () => {
    const { get } = createConsole();
    const reload = 'http-equiv="refresh"';
    expect(await (await get("/", { "Sec-Fetch-Site": "cross-site" })).text()).toContain(reload);
    expect(await (await get("/", { "Sec-Fetch-Site": "same-origin" })).text()).not.toContain(
      reload,
    );
  });
});

describe("the one-time link", () => {
  test("signs an admin in, with a cookie scripts and other sites cannot use", async () => {
    const { app, get, signInLinks } = createConsole();
    const link = signInLinks.create(`${base}/`);
    expect(link).toMatch(/^http:\/\/127\.0\.0\.1:3000\/sign-in\?code=[\w-]{32}$/);
    const response = await app.request(link);
    expect(response.status).toBe(303);
    expect(response.headers.get("Location")).toBe("/");
    const setCookie = response.headers.get("Set-Cookie") ?? "";
    for (const part of ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"]) {
      expect(setCookie).toContain(part);
    }
    expect(setCookie).not.toContain("Secure");
    const page = await get("/", { Cookie: cookieOf(response) });
    expect(await page.text()).toContain("Captured mails");
  });

  test("works once; a preview by HEAD does not use it up", async () => {
    const { app, signInLinks } = createConsole();
    const link = signInLinks.create(base);
    expect((await app.request(link, { method: "HEAD" })).headers.get("Set-Cookie")).toBeNull();
    expect((await app.request(link)).status).toBe(303);
    const second = await app.request(link);
    expect(second.status).toBe(401);
    expect(second.headers.get("Set-Cookie")).toBeNull();
  });

  test("ends after 24 hours; a guess does nothing", () => {
    let now = Date.UTC(2026, 0, 1);
    const links = createSignInLinks({ now: () => new Date(now) });
    const code = new URL(links.create(base)).searchParams.get("code") ?? "";
    expect(links.redeem("guess")).toBe(false);
    now += 24 * 3_600_000;
    expect(links.redeem(code)).toBe(false);
  });
});

describe("signing in with a token", () => {
  test("makes a session of the same principal, an admin or not", async () => {
    const { get, post } = createConsole();
    const user = await post("/sign-in", { token: ` ${userToken}\n` }, own);
    expect(user.status).toBe(303);
    const page = await (await get("/", { Cookie: cookieOf(user) })).text();
    expect(page).toContain("ann");
    expect(page).not.toContain("Hello &lt;");
    const admin = await post("/sign-in", { token: adminToken }, own);
    expect(await (await get("/", { Cookie: cookieOf(admin) })).text()).toContain("Hello &lt;");
  });

  test("a bad token is 401 and makes none", async () => {
    const response = await createConsole().post("/sign-in", { token: "nonsense" }, own);
    expect(response.status).toBe(401);
    expect(response.headers.get("Set-Cookie")).toBeNull();
    expect(await response.text()).toContain("not valid");
  });

  test("a form too large is refused", async () => {
    const response = await createConsole().post("/sign-in", { token: "a".repeat(20_000) }, own);
    expect(response.status).toBe(413);
  });
});

describe("admins", () => {
  test("see the list, escaped, also as a fragment", async () => {
    const { asAdmin } = createConsole();
    for (const path of ["/", "/captured"]) {
      const html = await (await asAdmin(path)).text();
      expect(html).toContain("Hello &lt;script&gt;");
      expect(html).not.toContain("<script>alert");
      expect(html).toContain('href="/captured/e1"');
      expect(html).toContain("Jürgen &lt;j@example.com&gt;");
    }
    expect(await (await asAdmin("/captured")).text()).not.toContain("<html");
  });

  test("see how to schedule one while there is none", async () => {
    const none: CapturedMails = { list: async () => [], read: async () => null };
    const html = await (await createConsole({ captured: none }).asAdmin("/")).text();
    expect(html).toContain("No mail yet");
    expect(html).toContain(`curl ${base}/api/v1/schedule-mail`);
  });

  test("see this program called as it can be called here", async () => {
    const html = await (await createConsole({ captured: null }).asAdmin("/")).text();
    expect(html).toContain("$(DATA_DIR=/d /opt/mailer token --sub you)");
  });

  test("see where mails go when none are captured", async () => {
    const { asAdmin } = createConsole({ captured: null });
    expect(await (await asAdmin("/")).text()).toContain("smtp.example.com:587");
    expect((await asAdmin("/captured/e1")).status).toBe(404);
  });

  test("see why no mail gets out, as long as none does", async () => {
    const html = await (await createConsole({ captured: null }).asAdmin("/")).text();
    expect(html).not.toContain("No mail gets out");
    const words = "the next hop refuses our login (SMTP 535)";
    const trouble = { isStopped: true, words };
    const refused = createConsole({ captured: null, trouble });
    expect(await (await refused.asAdmin("/")).text()).toContain(
      `<strong>No mail gets out:</strong> ${words}.`,
    );
    expect(await (await refused.get("/")).text()).not.toContain("535");
  });

  test("see on every page that sending is paused, and strangers do not", async () => {
    const words = "sending of the region ams is paused by olga (a flood)";
    const pause = { isStopped: true, words };
    const capturing = createConsole({ pause });
    for (const path of ["/", "/captured/e1", "/captured/e1?part=headers"]) {
      const html = await (await capturing.asAdmin(path)).text();
      expect([path, html.includes(`<strong>Paused:</strong> ${words}.`)]).toEqual([path, true]);
    }
    const sending = createConsole({ captured: null, pause });
    const html = await (await sending.asAdmin("/")).text();
    expect(html).toContain(`<strong>Paused:</strong> ${words}.`);
    expect(html).toContain("<h1>Mails wait</h1>");
    for (const each of [capturing, sending]) {
      expect(await (await each.get("/")).text()).not.toContain("olga");
    }
    const others = createConsole({ captured: null, pause: { isStopped: false, words } });
    expect(await (await others.asAdmin("/")).text()).toContain("<h1>Mails are sent</h1>");
  });

  test("open a mail: HTML first, in a frame without scripts; blind copies show", async () => {
    const html = await (await createConsole().asAdmin("/captured/e1")).text();
    expect(html).toContain('src="/captured/e1/html"');
    expect(html).toContain('sandbox="allow-popups allow-popups-to-escape-sandbox"');
    expect(html).toContain("hidden@example.com");
    expect(html).toContain("Jürgen");
    expect(html).not.toMatch(/alert\([23]\)/);
  });

  test("read its headers, escaped", async () => {
    const html = await (await createConsole().asAdmin("/captured/e1?part=headers")).text();
    expect(html).toContain("From: =?utf-8?q?J=C3=BCrgen?= &lt;j@example.com&gt;");
    expect(html).not.toContain("<script>alert");
  });

  test("its HTML comes sandboxed, without scripts and outside requests, images inline", async () => {
    const response = await createConsole().asAdmin("/captured/e1/html");
    const policy = response.headers.get("Content-Security-Policy") ?? "";
    expect(policy).toContain("sandbox allow-popups");
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("allow-scripts");
    expect(await response.text()).toContain('src="data:image/png;base64,AQID"');
  });

  test("download the exact bytes, and attachments only as files", async () => {
    const { asAdmin } = createConsole();
    const raw = await asAdmin("/captured/e1/raw");
    expect(await raw.text()).toBe(message);
    expect(raw.headers.get("Content-Disposition")).toContain('filename="e1.eml"');
    const attachment = await asAdmin("/captured/e1/attachments/1");
    expect(attachment.headers.get("Content-Type")).toBe("application/octet-stream");
    expect(attachment.headers.get("Content-Disposition")).toStartWith("attachment;");
    expect(attachment.headers.get("Content-Disposition")).not.toContain("/");
    expect((await asAdmin("/captured/e1/attachments/9")).status).toBe(404);
    expect((await asAdmin("/captured/e1/attachments/length")).status).toBe(404);
  });

  test("an unknown or malformed id is 404 and never reaches the folder", async () => {
    const captured = capturedOf(message);
    const { asAdmin } = createConsole({ captured });
    for (const id of ["..%2F..%2Fetc%2Fpasswd", "a.b", "%00", "e2"]) {
      expect((await asAdmin(`/captured/${id}`)).status).toBe(404);
    }
    expect(captured.asked).toEqual(["e2"]);
  });

  test("a message that cannot be read as mail can still be opened and downloaded", async () => {
    const { asAdmin } = createConsole({ captured: capturedOf("\0\0\xff no mail at all") });
    expect((await asAdmin("/captured/e1")).status).toBe(200);
    expect((await asAdmin("/captured/e1/raw")).status).toBe(200);
  });
});

test("users who are no admins get 403 for captured mails", async () => {
  const { get } = createConsole();
  const headers = { Authorization: `Bearer ${userToken}` };
  for (const path of ["/captured", "/captured/e1", "/captured/e1/raw"]) {
    expect((await get(path, headers)).status).toBe(403);
  }
  expect(await (await get("/", headers)).text()).not.toContain("Hello &lt;");
});

describe("pages and files", () => {
  test("every file a page names is there, with its type, and is not sent twice", async () => {
    const { get, asAdmin } = createConsole();
    const html = await (await asAdmin("/")).text();
    const named = [...html.matchAll(/(?:src|href)="(\/[^"]*\.\w+)"/g)].map(
      (match) => match[1] ?? "",
    );
    expect(named.length).toBeGreaterThan(3);
    for (const path of [...named, "/favicon.ico"]) {
      const response = await get(path);
      expect([path, response.status]).toEqual([path, 200]);
      expect(response.headers.get("Content-Type")).toMatch(/css|javascript|svg/);
      expect((await response.text()).length).toBeGreaterThan(100);
      const again = await get(path, { "If-None-Match": response.headers.get("ETag") ?? "" });
      expect(again.status).toBe(304);
    }
  });

  test("nothing is inline, foreign, framed or kept", async () => {
    const { asAdmin } = createConsole();
    for (const path of ["/", "/captured/e1", "/captured/none"]) {
      const response = await asAdmin(path);
      const policy = response.headers.get("Content-Security-Policy");
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain("unsafe");
      expect(response.headers.get("Cache-Control")).toBe("no-store");
      const html = await response.text();
      expect(html).not.toMatch(/<script(?! src="\/)|<style| style=| on\w+="/);
      expect(html).not.toMatch(/(src|href)="(https?:)?\/\//);
    }
  });
});
