import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Hono } from "hono";
import { mountConsole } from "../admin/console.tsx";
import { createSignInLinks } from "../admin/session/sign-in-link.ts";
import { issueToken } from "../auth/jwt.ts";
import { makeApiKey } from "../http/credentials/create-api-key.ts";
import { createLogger } from "../log.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { idlePages } from "../testing/product/test-console.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import {
  type AuthUser,
  type SupabaseAuth,
  startSupabaseAuth,
} from "../testing/servers/supabase-auth.ts";
import { createConsoleSessions } from "./console-sessions.ts";
import { type Credentials, createCredentials } from "./credentials.ts";

setDefaultTimeout(60_000);

const base = "http://127.0.0.1:3000";
const anonKey = "sb_publishable_of_the_tests";

const users: Record<string, AuthUser> = {
  "olga@example.com": { sub: "u-olga", password: "right", appMetadata: { role: "admin" } },
  "eve@example.com": { sub: "u-eve", password: "right", userMetadata: { role: "admin" } },
};
let project: SupabaseAuth;
let app: Hono;
let url: string;
let credentials: Credentials;
let close: () => Promise<void>;
beforeAll(async () => {
  project = await startSupabaseAuth({ users, anonKey });
  ({ url } = await freshDatabase());
  const database = createPostgresDatabase({ url });
  close = () => database.close();
  const jwksUrl = `${project.url}/auth/v1/.well-known/jwks.json`;
  const config = {
    jwt: {
      ...{ issuer: null, audience: "authenticated", jwksUrl },
      ...{ adminAal: "aal2" as const, ownersAllowed: null },
    },
    supabaseAuth: { url: project.url, anonKey },
  };
  const jwtSecrets = { current: "the secret of the tests", former: [] };
  credentials = createCredentials(config, { database, jwtSecrets });
  app = new Hono();
  mountConsole(app, {
    ...credentials,
    sessions: createConsoleSessions({
      ...credentials,
      ...{ database, jwtSecrets },
    }),
    signInLinks: createSignInLinks(),
    ...idlePages(),
    findTrouble: async () => null,
    findPause: () => null,
    publicUrl: null,
    isBehindProxy: () => false,
    log: createLogger({ level: "silent" }),
  });
});
afterAll(async () => {
  await project?.close();
  await close?.();
});

async function signIn(email: string, password: string): Promise<Response> {
  const body = new URLSearchParams({ email, password });
  const headers = { Origin: base };
  return await app.request(`${base}/sign-in`, { method: "POST", body, headers });
}

async function pageOf(signedIn: Response): Promise<string> {
  const Cookie = signedIn.headers.get("Set-Cookie")?.split(";")[0] ?? "";
  return await (await app.request(`${base}/`, { headers: { Cookie } })).text();
}

test("a user of the project signs in with a password, and is an admin only by app_metadata", async () => {
  const olga = await signIn("olga@example.com", "right");
  expect(olga.status).toBe(303);
  expect(await pageOf(olga)).toContain("/admin/queues");
  const eve = await signIn("eve@example.com", "right");
  expect(eve.status).toBe(303);
  const page = await pageOf(eve);
  expect(page).toContain("u-eve");
  expect(page).not.toContain("/admin/queues");
});

test("a wrong password lets nobody in, and is nowhere in the answer", async () => {
  const refused = await signIn("olga@example.com", "wrong-password-42");
  expect([refused.status, refused.headers.get("Set-Cookie")]).toEqual([401, null]);
  expect(await refused.text()).not.toContain("wrong-password-42");
});

describe("a session of the console", () => {
  const account = (sub: string) => ({
    ...{ sub, password: "right", appMetadata: { role: "admin" } },
    // Ends within minutes, so that each look at the session has it renewed.
    tokenLasts: "1m",
  });
  const grants = () => project.requests.filter((path) => path.includes("refresh_token")).length;

  test("goes on after its token's end, by a refresh token that is used once", async () => {
    users["uta@example.com"] = account("u-uta");
    const uta = await signIn("uta@example.com", "right");
    const before = grants();
    expect(await pageOf(uta)).toContain("/admin/queues");
    expect(grants()).toBe(before + 1);
    expect(await pageOf(await signIn("uta@example.com", "right"))).toContain("u-uta");
  });

  test("loses what its user lost: the role, then the account", async () => {
    users["ute@example.com"] = account("u-ute");
    users["udo@example.com"] = account("u-udo");
    const [ute, udo] = [
      await signIn("ute@example.com", "right"),
      await signIn("udo@example.com", "right"),
    ];
    users["ute@example.com"] = { ...account("u-ute"), appMetadata: {} };
    delete users["udo@example.com"];
    expect(await pageOf(ute)).toContain("sees own emails");
    expect(await pageOf(udo)).toContain('name="token"');
  });
});

describe("an admin's API key", () => {
  const admin = { sub: "u-ada", password: "right", appMetadata: { role: "admin" } };
  const none = { origin: null };

  async function tokenOf(email: string): Promise<string> {
    const answer = await credentials.passwords?.(email, "right", null);
    if (answer?.kind !== "token") throw new Error(answer?.kind);
    return answer.token;
  }
  const bearer = (text: string) => credentials.authenticator.authenticate(`Bearer ${text}`);

  /** With the scopes, by whoever the token is of; made two minutes ago. */
  async function keyOf(token: string, scopes: string[]): Promise<string> {
    const principal = await bearer(token);
    const claims = { role: "admin", sub: principal.ownerId } as const;
    const { key } = await makeApiKey(
      credentials,
      { name: "n", scopes },
      { ...none, principal, claims },
    );
    await runOnce(url, "update mailer.api_keys set created_at = created_at - interval '2 minutes'");
    return key;
  }

  test("ends with those it made when its owner comes with a token that lacks the role", async () => {
    users["ada@example.com"] = admin;
    const key = await keyOf(await tokenOf("ada@example.com"), ["admin"]);
    const sending = await keyOf(await tokenOf("ada@example.com"), ["send"]);
    const principal = await bearer(key);
    expect(principal.isAdmin).toBe(true);
    const claims = { role: "admin", sub: "u-ada" } as const;
    const child = await makeApiKey(
      credentials,
      { name: "child", scopes: ["send"] },
      { ...none, principal, claims },
    );
    // Another token with the role, and one of an owner who never had it, end nothing.
    await bearer(await tokenOf("ada@example.com"));
    await bearer(await tokenOf("eve@example.com"));
    expect((await bearer(key)).isAdmin).toBe(true);

    users["ada@example.com"] = { ...admin, appMetadata: {} };
    expect((await bearer(await tokenOf("ada@example.com"))).isAdmin).toBe(false);
    for (const ended of [key, child.key]) {
      await expect(bearer(ended)).rejects.toMatchObject({ code: "unauthorized" });
    }
    expect((await bearer(sending)).ownerId).toBe("u-ada");
    const told = await runOnce(
      url,
      "select detail ->> 'reason' as reason, actor from mailer.journal where action = 'key.revoked'",
    );
    expect(told).toEqual(
      Array(2).fill({ reason: "role_lost", actor: "taskforce-mailer:authenticator" }),
    );
  });

  test("stays with one factor, and where the operator's own word made it", async () => {
    users["one@example.com"] = { ...admin, sub: "u-one", aal: "aal2" };
    const key = await keyOf(await tokenOf("one@example.com"), ["admin"]);
    users["one@example.com"] = { ...admin, sub: "u-one", aal: "aal1" };
    expect((await bearer(await tokenOf("one@example.com"))).isAdmin).toBe(false);
    expect((await bearer(key)).isAdmin).toBe(true);

    const made = { role: "admin" as const, secret: "the secret of the tests" };
    const token = await issueToken({
      ...{ ...made, sub: "u-eve", ttlSeconds: 60, audience: "authenticated", issuer: null },
      now: new Date(),
    });
    const operators = await keyOf(token, ["admin"]);
    await bearer(await tokenOf("eve@example.com"));
    expect((await bearer(operators)).isAdmin).toBe(true);
  });
});

describe("a second factor", () => {
  test("is wanted of an admin at the form, too, and named", async () => {
    const olga = { sub: "u-olga", password: "right", appMetadata: { role: "admin" } };
    users["one@example.com"] = { ...olga, aal: "aal1" };
    const refused = await signIn("one@example.com", "right");
    expect([refused.status, refused.headers.get("Set-Cookie")]).toEqual([401, null]);
    expect(await refused.text()).toContain("ADMIN_AAL=any");
    users["two@example.com"] = { ...olga, aal: "aal2" };
    expect((await signIn("two@example.com", "right")).status).toBe(303);
  });
});
