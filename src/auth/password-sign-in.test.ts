import { afterAll, beforeAll, expect, test } from "bun:test";
import { createOutgoing } from "../outgoing/create-outgoing.ts";
import {
  type AuthUser,
  type SupabaseAuth,
  startSupabaseAuth,
} from "../testing/servers/supabase-auth.ts";
import { createAuthenticator } from "./jwt.ts";
import { createPasswordSignIn } from "./password-sign-in.ts";
import { createSigningKeys } from "./signing-keys.ts";

const anonKey = "sb_publishable_of_the_tests";
const outgoing = createOutgoing({ allowPrivate: true });
const users: Record<string, AuthUser> = {
  "olga@example.com": { sub: "u-olga", password: "right", appMetadata: { role: "admin" } },
  "eve@example.com": { sub: "u-eve", password: "right", userMetadata: { role: "admin" } },
  "new@example.com": { sub: "u-new", password: "right", isConfirmed: false },
  "two@example.com": {
    ...{ sub: "u-two", password: "right", appMetadata: { role: "admin" }, aal: "aal1" },
    ...{ factors: ["phone", "totp", "totp"], code: "123456" },
  },
  "sms@example.com": { sub: "u-sms", password: "right", factors: ["phone"] },
};

let project: SupabaseAuth;
let instead: Response | null = null;
beforeAll(async () => {
  project = await startSupabaseAuth({ users, anonKey, answer: () => instead?.clone() ?? null });
});
afterAll(() => project?.close());

const signIn = (email: string, password = "right", key = anonKey, code: string | null = null) =>
  createPasswordSignIn({ url: project.url, anonKey: key, outgoing })(email, password, code);

function authenticator() {
  const url = `${project.url}/auth/v1/.well-known/jwks.json`;
  const signingKeys = createSigningKeys({
    fetchKeySet: async () =>
      JSON.parse((await outgoing.request({ method: "GET", url })).body.toString()),
    droppedKids: async () => new Set(),
  });
  const settings = { secret: "of nobody in this test", issuer: null, audience: "authenticated" };
  return createAuthenticator({ ...settings, signingKeys });
}

test("the token that a password is exchanged for is one that the project's key set verifies", async () => {
  const { authenticate } = authenticator();
  const principalOf = async (email: string) => {
    const answer = await signIn(email);
    if (answer.kind !== "token") throw new Error(answer.kind);
    return await authenticate(`Bearer ${answer.token}`);
  };
  expect(await principalOf("olga@example.com")).toMatchObject({ ownerId: "u-olga", isAdmin: true });
  // Users write their user_metadata themselves.
  expect(await principalOf("eve@example.com")).toMatchObject({ ownerId: "u-eve", isAdmin: false });
});

test.each([
  ["olga@example.com", "wrong", "wrong"],
  ["nobody@example.com", "right", "wrong"],
  ["new@example.com", "right", "unconfirmed"],
  ["two@example.com", "right", "second_factor"],
  ["two@example.com", "wrong", "wrong"],
  ["sms@example.com", "right", "other_factor"],
])("%s with the password %p is %s", async (email, password, kind) => {
  expect(await signIn(email, password)).toEqual({ kind } as never);
});

test("an account with a second factor gets its token for a code of any of its apps, with aal2", async () => {
  const answer = await signIn("two@example.com", "right", anonKey, "123 456");
  if (answer.kind !== "token") throw new Error(answer.kind);
  const { authenticate } = authenticator();
  expect(await authenticate(`Bearer ${answer.token}`)).toMatchObject({
    ownerId: "u-two",
    isAdmin: true,
  });
  for (const code of ["654321", "12345", "letters", ""]) {
    expect(await signIn("two@example.com", "right", anonKey, code)).toEqual({ kind: "wrong_code" });
  }
  // A right code does not make up for a wrong password.
  expect((await signIn("two@example.com", "wrong", anonKey, "123456")).kind).toBe("wrong");
});

test("a wrong anon key is a fault of the installation, not of the visitor", async () => {
  const answer = await signIn("olga@example.com", "right", "another");
  expect(answer.kind).toBe("unavailable");
});

test.each([
  [
    "too many tries",
    Response.json({ error_code: "over_request_rate_limit" }, { status: 429 }),
    "too_many",
  ],
  ["a fault", new Response("oops", { status: 500 }), "unavailable"],
  ["a page instead of JSON", new Response("<html>"), "unavailable"],
  ["a redirect, which nobody follows", Response.redirect("/auth/v1/elsewhere", 307), "unavailable"],
  ["a success without a token", Response.json({}), "unavailable"],
])("%s lets nobody in", async (_, response, kind) => {
  instead = response;
  try {
    const before = project.requests.length;
    expect((await signIn("olga@example.com")).kind).toBe(kind as never);
    expect(project.requests.length).toBe(before + 1);
  } finally {
    instead = null;
  }
});

test("a project that cannot be reached is unavailable", async () => {
  const url = "http://127.0.0.1:1024";
  const signInThere = createPasswordSignIn({ url, anonKey, outgoing });
  const answer = await signInThere("a@b.example", "x", null);
  expect(answer.kind).toBe("unavailable");
});
