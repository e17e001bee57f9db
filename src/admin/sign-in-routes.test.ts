import { expect, test } from "bun:test";
import { Hono } from "hono";
import { createApiKey } from "../auth/api-key.ts";
import { createApiKeyCheck } from "../auth/api-key-check.ts";
import { createAuthenticator, issueToken } from "../auth/jwt.ts";
import { AppError } from "../errors.ts";
import { createLogger } from "../log.ts";
import { type ConsoleDeps, mountConsole } from "./console.tsx";
import { createSessions } from "./session.ts";
import { createSignInLinks } from "./sign-in-link.ts";

const base = "http://mailer.example";
const auth = { secret: "the secret of the tests", audience: "authenticated", issuer: null };

/** A console where any well-formed API key is an admin's. */
function startConsole(more: Partial<ConsoleDeps> = {}) {
  const app = new Hono();
  const signInLinks = createSignInLinks();
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
    sessions: createSessions(auth),
    signInLinks,
    captured: null,
    transportName: "smtp.example.com:587",
    transportTrouble: () => null,
    publicUrl: base,
    isBehindProxy: () => false,
    peerAddress: () => "192.0.2.7",
    log: createLogger({
      level: "info",
      stream: { write: (line) => lines.push(JSON.parse(line)) },
      isForPeople: false,
    }),
    ...more,
  });
  const signIn = async (token: string) =>
    await app.request(`${base}/sign-in`, {
      method: "POST",
      body: new URLSearchParams({ token }),
      headers: { Origin: base },
    });
  return { app, lines, signIn, signInLinks };
}

test("the log says who signed in and from where, and by one word why somebody did not", async () => {
  const { app, lines, signIn, signInLinks } = startConsole();
  const token = await issueToken({ ...auth, sub: "ann", ttlSeconds: 60 });
  await signIn(token);
  await signIn(`${token}x`);
  await app.request(signInLinks.create(base));
  await app.request(`${base}/sign-in?code=made-up`);
  const host = "192.0.2.7";
  expect(lines.map(({ time: _, ...line }) => line)).toEqual([
    { level: "info", event: "signed in", owner: "ann", host },
    { level: "warn", event: "sign-in refused", code: "token_refused", host },
    { level: "info", event: "signed in", owner: "console", host },
    { level: "warn", event: "sign-in refused", code: "link_used_or_old", host },
  ]);
});

test("an API key makes no session, which would outlive it, though it opens the page itself", async () => {
  const { app, signIn } = startConsole();
  const { key } = createApiKey();
  const refused = await signIn(key);
  expect([refused.status, refused.headers.get("Set-Cookie")]).toEqual([401, null]);
  const headers = { Authorization: `Bearer ${key}` };
  expect((await app.request(`${base}/`, { headers })).status).toBe(200);
});

test("after too many tries from one address the form asks to wait; a good token still gets in", async () => {
  let failures = 0;
  const countFailure = async () => {
    failures += 1;
    const told = { publicDetail: "Try again in 9 s.", retryAfterSeconds: 9 };
    return failures > 2 ? new AppError("rate_limited", told) : null;
  };
  const { app, lines, signIn } = startConsole({ countFailure });
  expect([(await signIn("x")).status, (await signIn("x")).status]).toEqual([401, 401]);
  const refused = await signIn("x");
  expect([refused.status, refused.headers.get("Retry-After")]).toEqual([429, "9"]);
  expect(await refused.text()).toContain("Try again in 9 s.");
  expect((await app.request(`${base}/sign-in?code=made-up`)).status).toBe(429);
  expect(lines.at(-1)).toMatchObject({ code: "rate_limited" });
  expect((await signIn(await issueToken({ ...auth, sub: "ann", ttlSeconds: 60 }))).status).toBe(
    303,
  );
});
