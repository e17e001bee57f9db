import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Hono } from "hono";
import { mountConsole } from "../admin/console.tsx";
import { createSessions } from "../admin/session.ts";
import { createSignInLinks } from "../admin/sign-in-link.ts";
import { createLogger } from "../log.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { createSessionStore } from "../store/sessions.ts";
import { freshDatabase } from "../testing/fresh-database.ts";
import { type SupabaseAuth, startSupabaseAuth } from "../testing/supabase-auth.ts";
import { createCredentials } from "./credentials.ts";

setDefaultTimeout(60_000);

const base = "http://127.0.0.1:3000";
const anonKey = "sb_publishable_of_the_tests";

let project: SupabaseAuth;
let app: Hono;
let close: () => Promise<void>;
beforeAll(async () => {
  const users = {
    "olga@example.com": { sub: "u-olga", password: "right", appMetadata: { role: "admin" } },
    "eve@example.com": { sub: "u-eve", password: "right", userMetadata: { role: "admin" } },
  };
  project = await startSupabaseAuth({ users, anonKey });
  const database = createPostgresDatabase({ url: (await freshDatabase()).url });
  close = () => database.close();
  const jwksUrl = `${project.url}/auth/v1/.well-known/jwks.json`;
  const config = {
    jwt: { secret: null, issuer: null, audience: "authenticated", jwksUrl },
    supabaseAuth: { url: project.url, anonKey },
  };
  const credentials = createCredentials(config, { database, secret: "the secret of the tests" });
  app = new Hono();
  mountConsole(app, {
    ...credentials,
    sessions: createSessions({ store: createSessionStore(database) }),
    signInLinks: createSignInLinks(),
    captured: { list: async () => [], read: async () => null },
    transportName: "",
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
  expect(await pageOf(olga)).toContain("Captured mails");
  const eve = await signIn("eve@example.com", "right");
  expect(eve.status).toBe(303);
  const page = await pageOf(eve);
  expect(page).toContain("u-eve");
  expect(page).toContain("only admins see them");
  expect(page).not.toContain("/admin/queues");
});

test("a wrong password lets nobody in, and is nowhere in the answer", async () => {
  const refused = await signIn("olga@example.com", "wrong-password-42");
  expect([refused.status, refused.headers.get("Set-Cookie")]).toEqual([401, null]);
  expect(await refused.text()).not.toContain("wrong-password-42");
});
