import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { createApiKey } from "../../auth/api-key.ts";
import { createApiKeyCheck } from "../../auth/api-key-check.ts";
import { createAuthenticator, issueToken } from "../../auth/jwt.ts";
import type { PasswordAnswer } from "../../auth/password-sign-in.ts";
import { AppError } from "../../errors.ts";
import { createLogger } from "../../log.ts";
import { createMemorySessions } from "../../testing/fixtures/memory-sessions.ts";
import { idlePages } from "../../testing/product/test-console.ts";
import { type ConsoleDeps, mountConsole } from "../console.tsx";
import { createSessions } from "./session.ts";
import { createSignInLinks } from "./sign-in-link.ts";

const base = "https://mailer.example";
const auth = { secret: "the secret of the tests", audience: "authenticated", issuer: null };
const token = await issueToken({ ...auth, sub: "ann", ttlSeconds: 60 });
const own = { Origin: base };

interface Settings {
  publicUrl?: string | null;
  isProduction?: boolean;
  trustProxy?: boolean;
  password?: PasswordAnswer;
  countFailure?: NonNullable<ConsoleDeps["countFailure"]>;
  /** How many networks requests come from, in turns. */
  networks?: number;
}

/** A console where any well-formed API key is an admin's. */
function startConsole({
  publicUrl = base,
  trustProxy = false,
  isProduction = false,
  password,
  countFailure = async () => null,
  networks = 1,
}: Settings = {}) {
  const app = new Hono();
  let asked = 0;
  const signInLinks = createSignInLinks();
  const memory = createMemorySessions();
  const counted = { bearers: 0 };
  const lines: Record<string, unknown>[] = [];
  const apiKeys = createApiKeyCheck({
    find: async () => ({
      kind: "found",
      id: "k",
      ownerId: "ann",
      scopes: ["admin"],
      expiresAt: null,
    }),
    noteUse: async () => {},
  });
  mountConsole(app, {
    authenticator: createAuthenticator({ ...auth, apiKeys }),
    sessions: createSessions({ secret: auth.secret, store: memory.store }),
    signInLinks,
    passwords: password && (async () => password),
    ...idlePages(),
    findTrouble: async () => null,
    findPause: () => null,
    publicUrl,
    isProduction,
    isBehindProxy: () => trustProxy,
    peerAddress: () => `192.0.2.${7 + (asked++ % networks)}`,
    countFailure,
    guesses: {
      assertMay: () => {},
      count: async () => {
        counted.bearers += 1;
        return null;
      },
    },
    log: createLogger({
      level: "info",
      stream: { write: (line) => lines.push(JSON.parse(line)) },
      isForPeople: false,
    }),
  });
  const post = async (
    path: string,
    fields: Record<string, string>,
    headers: Record<string, string> = own,
  ) =>
    await app.request(`${base}${path}`, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers,
    });
  const signIn = (shown: string) => post("/sign-in", { token: shown });
  const get = async (path: string, headers: Record<string, string> = {}) =>
    await app.request(`${base}${path}`, { headers });
  return { app, counted, lines, post, get, signIn, signInLinks, ...memory };
}

function cookieOf(response: Response): string {
  return response.headers.get("Set-Cookie")?.split(";")[0] ?? "";
}

test("the log says who signed in and from where, and by one word why somebody did not", async () => {
  const { app, lines, signIn, signInLinks, refused } = startConsole();
  await signIn(token);
  await signIn(`${token}x`);
  await app.request(signInLinks.create(base));
  await app.request(`${base}/sign-in?code=made-up`);
  const host = "192.0.2.7";
  expect(lines.map(({ time: _, ...line }) => line)).toEqual([
    { level: "info", event: "signed in", owner: "ann", host },
    { level: "warn", event: "sign-in refused", code: "token_refused", host },
    { level: "info", event: "signed in", owner: "taskforce-mailer:console", host },
    { level: "warn", event: "sign-in refused", code: "link_used_or_old", host },
  ]);
  expect(refused).toEqual([
    { reason: "token_refused", origin: host },
    { reason: "link_used_or_old", origin: host },
  ]);
});

test("an API key makes no session, which would outlive it, though it opens the page itself", async () => {
  const { get, signIn } = startConsole();
  const { key } = createApiKey();
  const refused = await signIn(key);
  expect([refused.status, refused.headers.get("Set-Cookie")]).toEqual([401, null]);
  expect((await get("/", { Authorization: `Bearer ${key}` })).status).toBe(200);
});

describe("the cookie", () => {
  test("over https is Secure and has the prefix by which no other host can set it", async () => {
    const made = (await startConsole().signIn(token)).headers.get("Set-Cookie") ?? "";
    expect(made).toMatch(/^__Host-tfm_session=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly/);
    expect(made).toMatch(/; Secure; SameSite=Strict$/);
    expect(made).not.toContain("Domain");
  });

  test("without the prefix counts for nothing over https", async () => {
    const { get, signIn } = startConsole();
    const cookie = cookieOf(await signIn(token));
    expect(await (await get("/", { Cookie: cookie })).text()).toContain("ann");
    const bare = cookie.replace("__Host-", "");
    expect(await (await get("/", { Cookie: bare })).text()).not.toContain("ann");
  });

  test("is Secure in production where nobody said how browsers come, but to this machine", async () => {
    const at = startConsole({ publicUrl: null, isProduction: true });
    const form = { method: "POST", body: new URLSearchParams({ token }) };
    for (const [url, isSecure] of [
      ["http://mailer.example", true],
      ["http://127.0.0.1:3000", false],
      ["http://localhost:3000", false],
    ] as const) {
      const signedIn = await at.app.request(`${url}/sign-in`, {
        ...form,
        headers: { Origin: url },
      });
      const made = signedIn.headers.get("Set-Cookie") ?? "";
      expect([url, made.startsWith("__Host-"), made.includes("; Secure;")]).toEqual([
        url,
        isSecure,
        isSecure,
      ]);
    }
  });

  test("is Secure behind a proxy that ends TLS if the proxy is trusted, and else is not", async () => {
    const headers = { ...own, "X-Forwarded-Proto": "https" };
    for (const trustProxy of [true, false]) {
      const { app } = startConsole({ publicUrl: null, trustProxy });
      const body = new URLSearchParams({ token });
      const init = { method: "POST", body, headers };
      const made = (await app.request("http://mailer.example/sign-in", init)).headers;
      expect(made.get("Set-Cookie")?.startsWith("__Host-") ?? null).toBe(trustProxy);
    }
  });
});

describe("a session", () => {
  test("is a new one at every sign-in, and the one before ends", async () => {
    const { get, post, signIn } = startConsole();
    const old = cookieOf(await signIn(token));
    const fresh = cookieOf(await post("/sign-in", { token }, { ...own, Cookie: old }));
    expect(fresh).not.toBe(old);
    expect(await (await get("/", { Cookie: old })).text()).not.toContain("ann");
    expect(await (await get("/", { Cookie: fresh })).text()).toContain("ann");
  });

  test("ends with signing out, also for whoever kept the cookie", async () => {
    const { get, post, signIn } = startConsole();
    const cookie = cookieOf(await signIn(token));
    const out = await post("/sign-out", {}, { ...own, Cookie: cookie });
    expect(out.headers.get("Set-Cookie")).toMatch(/^__Host-tfm_session=;.*Max-Age=0/);
    expect(await (await get("/", { Cookie: cookie })).text()).not.toContain("ann");
  });

  test("is kept alive by a person, and not by what a page asks for by itself", async () => {
    const { get, signIn, asked } = startConsole();
    const Cookie = cookieOf(await signIn(token));
    await get("/", { Cookie, "Sec-Fetch-Mode": "cors" });
    const another = cookieOf(await signIn(token));
    await get("/", { Cookie: another, "Sec-Fetch-Mode": "navigate" });
    expect(asked).toEqual([false, true]);
  });
});

describe("a post", () => {
  test.each([
    [{}, 403],
    [{ Origin: "https://evil.example" }, 403],
    [{ Origin: "https://mailer.example.evil.example" }, 403],
    [{ Origin: "http://mailer.example" }, 403],
    [{ Origin: "https://mailer.example:8443" }, 403],
    [{ Origin: "null" }, 403],
    [{ Origin: base, "Sec-Fetch-Site": "cross-site" }, 403],
    [{ Origin: base, "Sec-Fetch-Site": "same-site" }, 403],
    [{ Origin: base, "Sec-Fetch-Site": "none" }, 403],
    [{ "Sec-Fetch-Site": "same-origin" }, 403],
    [{ "X-Requested-With": "console" }, 403],
    [{ Origin: "https://evil.example", "X-Requested-With": "console" }, 403],
    [{ Origin: base }, 303],
    [{ Origin: base, "Sec-Fetch-Site": "same-origin" }, 303],
  ])("with the headers %j is %p", async (headers, status) => {
    const { post, signIn, get } = startConsole();
    const Cookie = cookieOf(await signIn(token));
    const sent = headers as Record<string, string>;
    expect((await post("/sign-in", { token }, sent)).status).toBe(status);
    expect((await post("/sign-out", {}, { ...sent, Cookie })).status).toBe(status);
    const isStillIn = (await (await get("/", { Cookie })).text()).includes("ann");
    expect(isStillIn).toBe(status === 403);
  });

  test("from http is our own where TLS may end in a proxy that does not tell", async () => {
    const { app } = startConsole({ publicUrl: null });
    const init = { method: "POST", body: new URLSearchParams({ token }), headers: own };
    expect((await app.request("http://mailer.example/sign-in", init)).status).toBe(303);
  });
});

describe("guessing", () => {
  test("is told to wait after ten tries from one network; what is right gets in at any time", async () => {
    const { lines, signIn, get, signInLinks, refused } = startConsole();
    const tries = await Promise.all(Array.from({ length: 15 }, () => signIn("wrong")));
    const statuses = tries.map(({ status }) => status).sort();
    expect(statuses).toEqual([...Array(10).fill(401), ...Array(5).fill(429)]);
    const late = await signIn("wrong");
    expect([late.status, late.headers.get("Set-Cookie")]).toEqual([429, null]);
    expect(Number(late.headers.get("Retry-After"))).toBeWithin(500, 601);
    expect((await get("/sign-in?code=made-up")).status).toBe(429);
    // A request over the limit fills neither the log nor the journal.
    expect([lines.length, refused.length]).toEqual([10, 10]);
    expect((await signIn(token)).status).toBe(303);
    const code = new URL(signInLinks.create(base)).search;
    const linked = await get(`/sign-in${code}`);
    expect([linked.status, linked.headers.get("Set-Cookie")]).toEqual([303, expect.any(String)]);
  });

  test("by the thousand, from everywhere, locks nobody out", async () => {
    const { get, signIn, signInLinks } = startConsole({ networks: 30 });
    for (let tries = 0; tries < 1_000; tries++) await signIn("wrong");
    expect((await signIn(token)).status).toBe(303);
    const code = new URL(signInLinks.create(base)).search;
    expect((await get(`/sign-in${code}`)).status).toBe(303);
  });

  test("is not what somebody does who signs in and out all day", async () => {
    const { signIn } = startConsole();
    for (let count = 0; count < 30; count++) expect((await signIn(token)).status).toBe(303);
  });
});

test("after too many refusals in the region the form asks to wait; a good token still gets in", async () => {
  let failures = 0;
  const countFailure = async () => {
    failures += 1;
    const told = { publicDetail: "Try again in 9 s.", retryAfterSeconds: 9 };
    return failures > 2 ? new AppError("rate_limited", told) : null;
  };
  const { get, lines, signIn } = startConsole({ countFailure });
  expect([(await signIn("x")).status, (await signIn("x")).status]).toEqual([401, 401]);
  const refused = await signIn("x");
  expect([refused.status, refused.headers.get("Retry-After")]).toEqual([429, "9"]);
  expect(await refused.text()).toContain("Try again in 9 s.");
  expect((await get("/sign-in?code=made-up")).status).toBe(429);
  expect(lines).toHaveLength(2);
  expect((await signIn(token)).status).toBe(303);
});

describe("with a password", () => {
  const fields = { email: " ann@example.com", password: "right" };

  test("the page asks for it only where a project is set", async () => {
    expect(await (await startConsole().get("/")).text()).not.toContain('name="email"');
    const { get } = startConsole({ password: { kind: "wrong" } });
    expect(await (await get("/")).text()).toContain('name="email"');
  });

  test("the token that the project answers is checked like any other", async () => {
    const right = startConsole({ password: { kind: "token", refreshToken: "next", token } });
    const response = await right.post("/sign-in", fields);
    expect(response.status).toBe(303);
    expect([...right.started.values()]).toMatchObject([{ ownerId: "ann", via: "password" }]);

    const forged = startConsole({
      password: { kind: "token", refreshToken: "next", token: `${token}x` },
    });
    const refused = await forged.post("/sign-in", fields);
    expect([refused.status, refused.headers.get("Set-Cookie")]).toEqual([503, null]);
  });

  test.each([
    [{ kind: "wrong" }, 401, "E-mail or password is wrong", "password_refused"],
    [{ kind: "unconfirmed" }, 401, "not confirmed", "email_unconfirmed"],
    [{ kind: "second_factor" }, 401, "second factor", "second_factor"],
    [{ kind: "wrong_code" }, 401, "is wrong, or too old", "second_factor_refused"],
    [{ kind: "other_factor" }, 401, "Use a token", "second_factor_unknown"],
    [{ kind: "too_many" }, 429, "fewer tries", "too_many_passwords"],
    [{ kind: "unavailable", cause: new Error("x") }, 503, "does not answer", "auth_unavailable"],
  ] as [PasswordAnswer, number, string, string][])(
    "%j is said, and lets nobody in",
    async (password, status, words, code) => {
      const { post, refused, started } = startConsole({ password });
      const response = await post("/sign-in", fields);
      expect(response.status).toBe(status);
      expect(await response.text()).toContain(words);
      expect(refused.map(({ reason }) => reason)).toEqual([code]);
      expect(started.size).toBe(0);
    },
  );

  test("the code of a second factor is asked for once the password is right, and its guesses wait", async () => {
    const asking = startConsole({ password: { kind: "second_factor" } });
    expect(await (await asking.get("/")).text()).not.toContain('name="code"');
    for (let tries = 0; tries < 12; tries++) {
      const page = await (await asking.post("/sign-in", fields)).text();
      expect(page).toContain('name="code"');
      expect(page).toContain('value="ann@example.com"');
    }
    const { post } = startConsole({ password: { kind: "wrong_code" } });
    const guess = { ...fields, code: "123456" };
    for (let tries = 0; tries < 10; tries++)
      expect((await post("/sign-in", guess)).status).toBe(401);
    expect((await post("/sign-in", guess)).status).toBe(429);
  });

  test("guesses at one account wait; another account, and a token, still get in", async () => {
    const { post, signIn } = startConsole({ password: { kind: "wrong" } });
    for (let tries = 0; tries < 10; tries++)
      expect((await post("/sign-in", fields)).status).toBe(401);
    expect((await post("/sign-in", { ...fields, email: "ANN@example.com " })).status).toBe(429);
    expect((await post("/sign-in", { ...fields, email: "bob@example.com" })).status).toBe(401);
    expect((await signIn(token)).status).toBe(303);
  });

  test("without a project an e-mail and a password are not even read", async () => {
    const { post, started } = startConsole();
    expect((await post("/sign-in", fields)).status).toBe(401);
    expect(started.size).toBe(0);
  });
});

test("a bearer that is refused is counted with those of the API, on every page", async () => {
  const { app, counted } = startConsole();
  const headers = { Authorization: `Bearer ${token}x` };
  for (const path of ["/", "/sign-in"]) await app.request(`${base}${path}`, { headers });
  expect(counted.bearers).toBe(2);
  await app.request(`${base}/`, { headers: { Authorization: `Bearer ${token}` } });
  expect(counted.bearers).toBe(2);
});
