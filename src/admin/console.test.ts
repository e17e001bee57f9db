import { describe, expect, test } from "bun:test";
import {
  consoleBase as base,
  bearerOf,
  createTestConsole,
} from "../testing/product/test-console.ts";
import { createSignInLinks } from "./session/sign-in-link.ts";

const admin = await bearerOf("ops", "admin");
const adminToken = (admin.Authorization ?? "").slice("Bearer ".length);
const own = { Origin: base };
const id = "01a22c50-0aec-718d-a6a4-5b97dff184b2";

function cookieOf(response: Response): string {
  return response.headers.get("Set-Cookie")?.split(";")[0] ?? "";
}

describe("strangers", () => {
  test("see the sign-in page at /", async () => {
    const response = await createTestConsole().get("/");
    expect(response.status).toBe(200);
    const html = await response.text();
    expect(html).toContain("Open the one-time link");
    expect(html).toContain("DATA_DIR=/d /opt/mailer token --sub you --role admin");
  });

  test.each(["", `/${id}`, `/${id}/raw`, `/${id}/html`, `/${id}/attachments/0`])(
    "get 401 at /console/emails%s",
    async (path) => {
      const response = await createTestConsole().get(`/console/emails${path}`);
      expect(response.status).toBe(401);
      expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
    },
  );

  test("with a bad bearer get 401 at /, also beside a good session", async () => {
    const { get, post } = createTestConsole();
    const cookie = cookieOf(await post("/sign-in", { token: adminToken }, own));
    expect((await get("/", { Authorization: "Bearer x", Cookie: cookie })).status).toBe(401);
  });

  test("coming from another site are asked to reload once, since strict cookies stay behind", async () => {
    const { get } = createTestConsole();
    const reload = 'http-equiv="refresh"';
    for (const path of ["/", "/console/emails"]) {
      const foreign = await get(path, { "Sec-Fetch-Site": "cross-site" });
      expect(await foreign.text()).toContain(reload);
      expect(await (await get(path, { "Sec-Fetch-Site": "same-origin" })).text()).not.toContain(
        reload,
      );
    }
  });
});

describe("the one-time link", () => {
  test("signs an admin in, with a cookie scripts and other sites cannot use", async () => {
    const { app, get, signInLinks } = createTestConsole();
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
    const page = await get("/console/emails", { Cookie: cookieOf(response) });
    expect(await page.text()).toContain("<h1>Emails</h1>");
  });

  test("works once; a preview by HEAD does not use it up", async () => {
    const { app, signInLinks } = createTestConsole();
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
    const { get, post } = createTestConsole();
    const { Authorization: ann = "" } = await bearerOf("ann");
    const user = await post("/sign-in", { token: ` ${ann.slice("Bearer ".length)}\n` }, own);
    expect(user.status).toBe(303);
    const page = await (await get("/console/emails", { Cookie: cookieOf(user) })).text();
    expect(page).toContain("ann");
    expect(page).not.toContain("/admin/queues");
    const asAdmin = await post("/sign-in", { token: adminToken }, own);
    const adminPage = await get("/console/emails", { Cookie: cookieOf(asAdmin) });
    expect(await adminPage.text()).toContain("/admin/queues");
  });

  test("leads back to the page that was asked for", async () => {
    const { get, post } = createTestConsole();
    const path = "/console/emails?q=status%3Afailed";
    const asked = await (await get(path)).text();
    expect(asked).toContain(`name="next" value="${path}"`);
    const wrong = await post("/sign-in", { token: "nonsense", next: path }, own);
    expect(await wrong.text()).toContain(`name="next" value="${path}"`);
    const response = await post("/sign-in", { token: adminToken, next: path }, own);
    expect(response.headers.get("Location")).toBe(path);
  });

  test.each(["//evil.example", "https://evil.example/", "/\\evil.example", "/sign-out", "/a b"])(
    "leads nowhere else: %s",
    async (next) => {
      const response = await createTestConsole().post("/sign-in", { token: adminToken, next }, own);
      expect(response.headers.get("Location")).toBe("/");
    },
  );

  test("a bad token is 401 and makes none", async () => {
    const response = await createTestConsole().post("/sign-in", { token: "nonsense" }, own);
    expect(response.status).toBe(401);
    expect(response.headers.get("Set-Cookie")).toBeNull();
    expect(await response.text()).toContain("not valid");
  });

  test("a form too large is refused", async () => {
    const response = await createTestConsole().post("/sign-in", { token: "a".repeat(20_000) }, own);
    expect(response.status).toBe(413);
  });
});

describe("the frame", () => {
  test("says on every page why no mail gets out, as long as none does", async () => {
    const words = "the SMTP server refuses our login (SMTP 535)";
    const refused = createTestConsole({ findTrouble: async () => ({ isStopped: true, words }) });
    for (const path of ["/console/emails", `/console/emails/${id}`]) {
      const html = await (await refused.get(path, admin)).text();
      expect(html).toContain(`<strong>No mail is leaving:</strong> ${words}.`);
    }
    expect(await (await refused.get("/")).text()).not.toContain("535");
    const well = await createTestConsole().get("/console/emails", admin);
    expect(await well.text()).not.toContain("No mail is leaving");
  });

  test("says on every page that sending is paused; strangers do not learn it", async () => {
    const words = "sending of the region ams is paused by olga (a flood)";
    const paused = createTestConsole({ findPause: () => ({ isStopped: true, words }) });
    for (const path of ["/console/emails", `/console/emails/${id}`]) {
      const html = await (await paused.get(path, admin)).text();
      expect([path, html.includes(`<strong>Paused:</strong> ${words}.`)]).toEqual([path, true]);
    }
    expect(await (await paused.get("/")).text()).not.toContain("olga");
  });

  test("keeps the theme that somebody has chosen", async () => {
    const { get, post } = createTestConsole();
    const referer = { Referer: `${base}/console/emails?q=tag%3Aa` };
    const chosen = await post(
      "/console/theme",
      { theme: "dark" },
      { ...admin, ...own, ...referer },
    );
    expect(chosen.headers.get("Location")).toBe("/console/emails?q=tag%3Aa");
    const page = await get("/console/emails", { ...admin, Cookie: cookieOf(chosen) });
    expect(await page.text()).toContain('<html lang="en" data-theme="dark">');
    const foreign = await post(
      "/console/theme",
      { theme: "dark" },
      { ...admin, Origin: "http://x" },
    );
    expect(foreign.status).toBe(403);
  });

  test("leads old addresses of captured mails to the emails", async () => {
    const { get } = createTestConsole();
    expect((await get(`/captured/${id}`)).headers.get("Location")).toBe(`/console/emails/${id}`);
    expect((await get("/captured")).headers.get("Location")).toBe("/console/emails");
  });
});

describe("pages and files", () => {
  test("every file a page names is there, with its type, and is not sent twice", async () => {
    const { get } = createTestConsole();
    const html = await (await get("/console/emails", admin)).text();
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

  test("a first view takes less than 100 kB, compressed", async () => {
    const { get } = createTestConsole();
    const paths = ["/console/emails", "/assets/style.css", "/assets/console.css"];
    let bytes = 0;
    for (const path of [...paths, "/assets/console.js", "/favicon.svg"]) {
      bytes += Bun.gzipSync(await (await get(path, admin)).bytes()).length;
    }
    expect(bytes).toBeLessThan(100_000);
  });

  test("nothing is inline, foreign, framed or kept", async () => {
    const { get } = createTestConsole();
    for (const path of ["/console/emails", `/console/emails/${id}`]) {
      const response = await get(path, admin);
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
