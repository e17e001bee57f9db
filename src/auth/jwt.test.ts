import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { isAppError } from "../errors.ts";
import { createAuthenticator, issueToken } from "./jwt.ts";

const secret = "sixteen letters.";
const audience = "authenticated";
const nowMs = Date.UTC(2026, 0, 1);
const nowSeconds = nowMs / 1000;
const settings = { secret, issuer: null, audience, now: () => new Date(nowMs) };
const authenticator = createAuthenticator(settings);
const goodClaims = { sub: "ann", aud: audience, iat: nowSeconds, exp: nowSeconds + 60 };

function base64(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString(
    "base64url",
  );
}

/** Signs by hand, so that the tests do not lean on the library they test. */
function tokenOf(
  claims: unknown,
  header: object = { alg: "HS256" },
  hash = "sha256",
  key = secret,
) {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${createHmac(hash, key).update(text).digest("base64url")}`;
}

function authenticate(token: string, by = authenticator) {
  return by.authenticate(`Bearer ${token}`);
}

async function expectRefused(attempt: Promise<unknown>): Promise<void> {
  const error: unknown = await attempt.then(
    () => "accepted",
    (reason: unknown) => reason,
  );
  if (!isAppError(error, "unauthorized")) throw error;
  expect(error.publicDetail).toMatch(/^(The bearer token |Send the header)/);
}

async function detailOf(attempt: Promise<unknown>): Promise<string> {
  const error: unknown = await attempt.catch((reason: unknown) => reason);
  if (!isAppError(error, "unauthorized")) throw error;
  return error.publicDetail;
}

describe("without JWT_SECRET", () => {
  test("no token signed with a secret counts, not even with an empty one", async () => {
    for (const none of [null, ""]) {
      const keySetAlone = createAuthenticator({ ...settings, secret: none });
      for (const key of [secret, "", "null", "undefined"]) {
        await expectRefused(
          authenticate(tokenOf(goodClaims, { alg: "HS256" }, "sha256", key), keySetAlone),
        );
      }
      await expectRefused(authenticate(tokenOf(goodClaims, { alg: "none" }), keySetAlone));
    }
  });
});

describe("former secrets", () => {
  const formerSecrets = ["the one before..", "the one before that", ""];
  const rotated = createAuthenticator({ ...settings, formerSecrets });
  const by = (key: string, claims: object = {}, header: object = { alg: "HS256" }) =>
    tokenOf({ ...goodClaims, ...claims }, header, "sha256", key);

  test("tokens of each still count, by the rules of the current one, and say which signed them", async () => {
    for (const key of [secret, ...formerSecrets.slice(0, 2)]) {
      const { principal, secretKey, signingKey } = await rotated.verify(by(key, { role: "admin" }));
      expect(principal).toMatchObject({ ownerId: "ann", isAdmin: true });
      expect([secretKey?.export().toString(), signingKey]).toEqual([key, null]);
      expect(await authenticate(by(key, { n: 1 }), rotated)).toMatchObject({ isAdmin: false });
    }
  });

  test("no other secret counts, nor an empty one, nor another algorithm", async () => {
    for (const key of ["", "another secret..", "the one before"]) {
      await expectRefused(authenticate(by(key), rotated));
    }
    for (const [alg, hash] of [
      ["HS512", "sha512"],
      ["HS384", "sha384"],
    ] as const) {
      const token = tokenOf(goodClaims, { alg }, hash, formerSecrets[0]);
      await expectRefused(authenticate(token, rotated));
    }
    for (const alg of ["none", "RS256", "ES256"]) {
      await expectRefused(authenticate(by(formerSecrets[0] ?? "", {}, { alg }), rotated));
    }
  });

  test("the claims of their tokens decide as they do of the current one's", async () => {
    const faults = [
      [{ exp: nowSeconds - 6 }, "has expired"],
      [{ aud: "other" }, "has the wrong audience"],
      [{ role: "anon" }, "is not valid"],
    ] as const;
    for (const [claims, words] of faults) {
      const token = by("the one before..", claims);
      expect(await detailOf(authenticate(token, rotated))).toContain(words);
    }
  });

  test("taken out, they count no more", async () => {
    const after = createAuthenticator({ ...settings, formerSecrets: formerSecrets.slice(1) });
    await expectRefused(authenticate(by("the one before.."), after));
  });

  test("count where a key set has taken the place of the secret", async () => {
    const keySetAlone = createAuthenticator({ ...settings, secret: null, formerSecrets: [secret] });
    await authenticate(tokenOf(goodClaims), keySetAlone);
    await expectRefused(authenticate(by(""), keySetAlone));
  });
});

describe("accepted", () => {
  test("a token without a role is a user, its sub the owner", async () => {
    expect(await authenticate(tokenOf(goodClaims))).toEqual({
      ownerId: "ann",
      isAdmin: false,
      credential: "jwt",
    });
  });

  test.each([
    [{ role: "admin" }, true],
    [{ app_metadata: { role: "admin" } }, true],
    [{ role: "authenticated" }, false],
    [{ role: ["admin"] }, false],
    [{ role: "Admin" }, false],
    [{ user_metadata: { role: "admin" } }, false],
    [{ app_metadata: "admin" }, false],
    [{ app_metadata: null }, false],
  ])("%j: admin is %p", async (claims, isAdmin) => {
    expect((await authenticate(tokenOf({ ...goodClaims, ...claims }))).isAdmin).toBe(isAdmin);
  });

  test("an audience among several, and clocks that differ by five seconds", async () => {
    await authenticate(tokenOf({ ...goodClaims, aud: ["other", audience] }));
    await authenticate(tokenOf({ ...goodClaims, exp: nowSeconds - 4 }));
    await authenticate(tokenOf({ ...goodClaims, nbf: nowSeconds + 4 }));
  });

  test("a sub of 255 characters of any script", async () => {
    const sub = "ü".repeat(255);
    expect((await authenticate(tokenOf({ ...goodClaims, sub }))).ownerId).toBe(sub);
  });

  test("what issueToken makes, for users and admins, with an issuer", async () => {
    const issued = { secret, audience, issuer: "us", ttlSeconds: 60, now: new Date(nowMs) };
    const strict = createAuthenticator({ ...settings, issuer: "us" });
    const user = await issueToken({ ...issued, sub: "ann" });
    const admin = await issueToken({ ...issued, sub: "ops", role: "admin" });
    expect(await authenticate(user, strict)).toMatchObject({ ownerId: "ann", isAdmin: false });
    expect(await authenticate(admin, strict)).toMatchObject({ ownerId: "ops", isAdmin: true });
  });

  test("the scheme in any letter case", async () => {
    await authenticator.authenticate(`bearer ${tokenOf(goodClaims)}`);
  });
});

describe("refused", () => {
  const { sub: _sub, ...noSub } = goodClaims;
  const { aud: _aud, ...noAud } = goodClaims;
  const { exp: _exp, ...noExp } = goodClaims;
  const { iat: _iat, ...noIat } = goodClaims;
  const [header, payload, signature] = tokenOf(goodClaims).split(".");
  const changed = base64({ ...goodClaims, sub: "bob" });

  test.each([
    ["alg none", `${base64({ alg: "none" })}.${payload}.`],
    ["alg none with the signature", `${base64({ alg: "none" })}.${payload}.${signature}`],
    ["alg None", tokenOf(goodClaims, { alg: "None" })],
    ["HS512 with the right secret", tokenOf(goodClaims, { alg: "HS512" }, "sha512")],
    ["HS384 with the right secret", tokenOf(goodClaims, { alg: "HS384" }, "sha384")],
    ["RS256 in the header", tokenOf(goodClaims, { alg: "RS256" })],
    ["no alg", tokenOf(goodClaims, { typ: "JWT" })],
    ["an unknown critical header", tokenOf(goodClaims, { alg: "HS256", crit: ["x"], x: 1 })],
    ["an unencoded payload", tokenOf(goodClaims, { alg: "HS256", b64: false, crit: ["b64"] })],
    [
      "a key of its own",
      tokenOf(goodClaims, { alg: "HS256", jwk: { kty: "oct", k: "YQ" } }, "sha256", "a"),
    ],
    ["another secret", tokenOf(goodClaims, { alg: "HS256" }, "sha256", "another secret..")],
    ["the empty secret", tokenOf(goodClaims, { alg: "HS256" }, "sha256", "")],
    ["a changed payload", `${header}.${changed}.${signature}`],
    ["a cut signature", `${header}.${payload}.${signature?.slice(0, -4)}`],
    ["no signature", `${header}.${payload}.`],
    ["two parts", `${header}.${payload}`],
    ["five parts", `${header}.${payload}.${signature}.a.b`],
    ["no JSON", tokenOf("not json")],
    ["an array", tokenOf([goodClaims])],
    ["no exp", tokenOf(noExp)],
    ["no iat", tokenOf(noIat)],
    ["no sub", tokenOf(noSub)],
    ["no aud", tokenOf(noAud)],
    ["exp as text", tokenOf({ ...goodClaims, exp: "9999999999" })],
    ["iat as text", tokenOf({ ...goodClaims, iat: "1" })],
    ["expired", tokenOf({ ...goodClaims, exp: nowSeconds - 6 })],
    ["not valid yet", tokenOf({ ...goodClaims, nbf: nowSeconds + 6 })],
    ["another audience", tokenOf({ ...goodClaims, aud: "other" })],
    ["an audience array without ours", tokenOf({ ...goodClaims, aud: ["a", "authenticate"] })],
    ["an empty audience array", tokenOf({ ...goodClaims, aud: [] })],
    ["an empty sub", tokenOf({ ...goodClaims, sub: "" })],
    ["a sub of 256 characters", tokenOf({ ...goodClaims, sub: "a".repeat(256) })],
    ["a sub with NUL", tokenOf({ ...goodClaims, sub: "a\0b" })],
    ["a sub with half a character", tokenOf({ ...goodClaims, sub: "\ud800" })],
    ["a number as sub", tokenOf({ ...goodClaims, sub: 7 })],
    ["the role anon", tokenOf({ ...goodClaims, role: "anon" })],
  ])("%s", async (_, token) => {
    await expectRefused(authenticate(token));
  });

  test.each([
    undefined,
    "",
    "Bearer",
    "Bearer ",
    "Basic YTpi",
    "Bearer a b",
    `Bearer ${"a".repeat(9000)}`,
  ])("the header %j", async (authorization) => {
    await expectRefused(authenticator.authenticate(authorization));
  });

  const past = { ...goodClaims, exp: nowSeconds - 6 };
  test.each([
    ["has expired", past],
    ["is not yet valid", { ...goodClaims, nbf: nowSeconds + 6 }],
    ["is not yet valid", { ...goodClaims, iat: nowSeconds + 6, exp: nowSeconds + 60 }],
    ["has the wrong audience", { ...goodClaims, aud: "other" }],
  ])("is told that the token %s", async (words, claims) => {
    expect(await detailOf(authenticate(tokenOf(claims)))).toContain(words);
  });

  test.each([
    [
      "an expired token that was signed with another secret",
      tokenOf(past, undefined, "sha256", "x"),
    ],
    ["one without aud", tokenOf(noAud)],
    ["one whose exp is text", tokenOf({ ...goodClaims, exp: "1" })],
  ])("%s is told nothing but that it is not valid", async (_, token) => {
    expect(await detailOf(authenticate(token))).toBe("The bearer token is not valid.");
  });

  test("a wrong or missing issuer, when one is asked for", async () => {
    const strict = createAuthenticator({ ...settings, issuer: "us" });
    await expectRefused(authenticate(tokenOf(goodClaims), strict));
    await expectRefused(authenticate(tokenOf({ ...goodClaims, iss: "them" }), strict));
  });
});

describe("verified tokens", () => {
  test("are remembered until they expire and no longer", async () => {
    let clock = nowMs;
    const aging = createAuthenticator({ ...settings, now: () => new Date(clock) });
    const token = tokenOf(goodClaims);
    const first = await authenticate(token, aging);
    clock += 59_000;
    expect(await authenticate(token, aging)).toBe(first);
    clock += 7_000;
    await expectRefused(authenticate(token, aging));
  });

  test("nobody can turn a remembered principal into an admin", async () => {
    const principal = await authenticate(tokenOf(goodClaims));
    expect(() => {
      principal.isAdmin = true;
    }).toThrow();
  });

  test("stay within a bound", async () => {
    const small = createAuthenticator(settings);
    const first = await authenticate(tokenOf(goodClaims), small);
    for (let number = 0; number < 10_000; number++) {
      await authenticate(tokenOf({ ...goodClaims, number }), small);
    }
    expect(await authenticate(tokenOf(goodClaims), small)).not.toBe(first);
  });
});

describe("tokens that were ended", () => {
  const ended = new Map<string, Date>();
  const ending = createAuthenticator({ ...settings, tokensEndedAt: async () => ended });

  test("do not count, remembered or not; those of a later second and of others do", async () => {
    const token = tokenOf(goodClaims);
    await authenticate(token, ending);
    ended.set("ann", new Date(nowMs + 1_000));
    await expectRefused(authenticate(token, ending));
    expect(await detailOf(authenticate(tokenOf({ ...goodClaims, n: 1 }), ending))).toContain(
      "was ended",
    );
    await authenticate(tokenOf({ ...goodClaims, iat: nowSeconds + 1 }), ending);
    await authenticate(tokenOf({ ...goodClaims, sub: "bob" }), ending);
    await expectRefused(ending.verify(token));
  });

  test("a list that cannot be had refuses nobody by mistake, and lets nobody in", async () => {
    const blind = createAuthenticator({
      ...settings,
      tokensEndedAt: () => Promise.reject(new Error("gone")),
    });
    await expect(authenticate(tokenOf(goodClaims), blind)).rejects.toThrow("gone");
  });
});
