import { beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from "jose";
import { isAppError } from "../errors.ts";
import { createAuthenticator } from "./jwt.ts";
import { createSigningKeys } from "./signing-keys.ts";

const secret = "sixteen letters.";
const startMs = Date.UTC(2026, 0, 1);

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;
let ec: Pair;
let rsa: Pair;
let other: Pair;
beforeAll(async () => {
  ec = await generateKeyPair("ES256", { extractable: true });
  rsa = await generateKeyPair("RS256", { extractable: true });
  other = await generateKeyPair("ES256", { extractable: true });
}, 60_000);

async function jwkOf(pair: Pair, more: JWK): Promise<JWK> {
  return { ...(await exportJWK(pair.publicKey)), ...more } as JWK;
}

/** An issuer whose key set, and a clock, that the test moves. */
async function startIssuer() {
  const issuer = {
    keys: [await jwkOf(ec, { kid: "ec", use: "sig" }), await jwkOf(rsa, { kid: "rsa" })] as unknown,
    isDown: false,
    asked: 0,
    dropped: new Set<string>(),
    ms: 0,
  };
  const signingKeys = createSigningKeys({
    fetchKeySet: async () => {
      issuer.asked++;
      if (issuer.isDown) throw new Error("down");
      return { keys: issuer.keys };
    },
    droppedKids: async () => issuer.dropped,
    now: () => issuer.ms,
  });
  const authenticator = createAuthenticator({
    secret,
    issuer: null,
    audience: "authenticated",
    signingKeys,
    now: () => new Date(startMs + issuer.ms),
  });
  const reasonFor = async (token: string): Promise<string> => {
    try {
      await authenticator.authenticate(`Bearer ${token}`);
      return "accepted";
    } catch (error) {
      if (!isAppError(error)) throw error;
      return error.reason ?? error.code;
    }
  };
  return Object.assign(issuer, { authenticator, signingKeys, reasonFor });
}

function tokenBy(pair: Pair, header: object, claims: object = {}): Promise<string> {
  const alg = pair === rsa ? "RS256" : "ES256";
  const iat = startMs / 1000;
  const payload = { sub: "ann", aud: "authenticated", iat, exp: iat + 86_400, ...claims };
  return new SignJWT(payload).setProtectedHeader({ alg, ...header }).sign(pair.privateKey);
}

function hmacToken(header: object, key: string | Buffer): string {
  const iat = startMs / 1000;
  const payload = { sub: "ann", aud: "authenticated", iat, exp: iat + 3600 };
  const [head, body] = [header, payload].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  const text = `${head}.${body}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}

describe("accepted", () => {
  test("a token of either algorithm, and one signed with the secret beside them", async () => {
    const issuer = await startIssuer();
    expect(await issuer.reasonFor(await tokenBy(ec, { kid: "ec" }))).toBe("accepted");
    expect(await issuer.reasonFor(await tokenBy(rsa, { kid: "rsa" }))).toBe("accepted");
    expect(await issuer.reasonFor(hmacToken({ alg: "HS256" }, secret))).toBe("accepted");
    expect(issuer.asked).toBe(1);
  });

  test("as an admin by app_metadata alone: the issuer's own role means something else", async () => {
    const { authenticator } = await startIssuer();
    const isAdmin = async (claims: object) => {
      const token = await tokenBy(ec, { kid: "ec" }, claims);
      return (await authenticator.authenticate(`Bearer ${token}`)).isAdmin;
    };
    expect(await isAdmin({ role: "admin" })).toBe(false);
    expect(await isAdmin({ user_metadata: { role: "admin" } })).toBe(false);
    expect(await isAdmin({ app_metadata: { role: "admin" } })).toBe(true);
  });
});

describe("refused", () => {
  test("HS256 with a public key as the secret, in any of its spellings", async () => {
    const issuer = await startIssuer();
    const spellings = [
      await exportSPKI(ec.publicKey),
      await exportSPKI(rsa.publicKey),
      JSON.stringify(await exportJWK(ec.publicKey)),
      Buffer.from((await exportJWK(rsa.publicKey)).n ?? "", "base64url"),
      "",
    ];
    for (const key of spellings) {
      for (const kid of ["ec", "rsa"]) {
        expect(await issuer.reasonFor(hmacToken({ alg: "HS256", kid }, key))).toBe("signature");
      }
    }
  });

  test("the secret's signature under the name of a public algorithm, and none at all", async () => {
    const issuer = await startIssuer();
    for (const [alg, kid] of [
      ["ES256", "ec"],
      ["RS256", "rsa"],
    ]) {
      expect(await issuer.reasonFor(hmacToken({ alg, kid }, secret))).toBe("signature");
    }
    const [, body] = hmacToken({}, secret).split(".");
    const head = Buffer.from(JSON.stringify({ alg: "none", kid: "ec" })).toString("base64url");
    expect(await issuer.reasonFor(`${head}.${body}.`)).toBe("algorithm");
  });

  test("one key under the algorithm of another", async () => {
    const issuer = await startIssuer();
    expect(await issuer.reasonFor(await tokenBy(ec, { kid: "rsa" }))).toBe("algorithm");
    expect(await issuer.reasonFor(await tokenBy(rsa, { kid: "ec" }))).toBe("algorithm");
  });

  test("another key under a known kid, and a key that the token brings itself", async () => {
    const issuer = await startIssuer();
    const jwk = await exportJWK(other.publicKey);
    const headers = [
      { kid: "ec" },
      { kid: "ec", jwk },
      { kid: "ec", jku: "https://evil.example/jwks" },
      { kid: "ec", x5u: "https://evil.example/x5" },
    ];
    for (const header of headers) {
      expect(await issuer.reasonFor(await tokenBy(other, header))).toBe("signature");
    }
    const crit = await tokenBy(ec, { kid: "ec" });
    const [, body, signature] = crit.split(".");
    const head = { alg: "ES256", kid: "ec", crit: ["exp"], exp: 1 };
    const forged = `${Buffer.from(JSON.stringify(head)).toString("base64url")}.${body}.${signature}`;
    expect(await issuer.reasonFor(forged)).toBe("malformed");
    expect(issuer.asked).toBe(1);
  });

  test("a kid that is none, missing, or a way out of where keys are kept", async () => {
    const issuer = await startIssuer();
    const kids = ["", "../../dev/null", "' or 1=1 --", "__proto__", "constructor", "https://x.y"];
    for (const kid of kids) {
      expect(await issuer.reasonFor(await tokenBy(ec, { kid }))).toBe("signing_key");
    }
    expect(await issuer.reasonFor(await tokenBy(ec, {}))).toBe("signing_key");
    // One question when it starts, and none for each made-up kid.
    expect(issuer.asked).toBe(1);
  });

  test("any public algorithm where there is no JWKS_URL", async () => {
    const plain = createAuthenticator({ secret, issuer: null, audience: "authenticated" });
    const attempt = plain.authenticate(`Bearer ${await tokenBy(ec, { kid: "ec" })}`);
    await expect(attempt).rejects.toMatchObject({ code: "unauthorized", reason: "algorithm" });
  });

  test("a token issued in the future", async () => {
    const issuer = await startIssuer();
    const iat = startMs / 1000;
    const claims = (seconds: number) => ({ iat: iat + seconds });
    expect(await issuer.reasonFor(await tokenBy(ec, { kid: "ec" }, claims(6)))).toBe("claim_iat");
    expect(await issuer.reasonFor(await tokenBy(ec, { kid: "ec" }, claims(4)))).toBe("accepted");
  });
});

describe("keys that are not for us", () => {
  test("private, symmetric, for encryption, of other curves or without a kid are passed over", async () => {
    const issuer = await startIssuer();
    const p384 = await generateKeyPair("ES384", { extractable: true });
    issuer.keys = [
      await exportJWK(ec.privateKey).then((jwk) => ({ ...jwk, kid: "private" })),
      { kty: "oct", k: Buffer.from(secret).toString("base64url"), kid: "oct", alg: "HS256" },
      await jwkOf(ec, { kid: "enc", use: "enc" }),
      await jwkOf(ec, { kid: "ops", key_ops: ["encrypt"] }),
      await jwkOf(rsa, { kid: "pss", alg: "PS256" }),
      await jwkOf(p384, { kid: "p384" }),
      await jwkOf(ec, {}),
      { kty: "EC", crv: "P-256", x: "no", y: "point", kid: "broken" },
      null,
      "key",
      await jwkOf(ec, { kid: "good" }),
      await jwkOf(other, { kid: "good" }),
    ];
    expect((await issuer.signingKeys.list()).map(({ kid }) => kid)).toEqual(["good"]);
    expect(await issuer.reasonFor(await tokenBy(ec, { kid: "good" }))).toBe("accepted");
    expect(await issuer.reasonFor(await tokenBy(other, { kid: "good" }))).toBe("signature");
  });

  test.each([undefined, "keys", {}])("an answer of %j is no key set", async (keys) => {
    const issuer = await startIssuer();
    issuer.keys = keys;
    expect(await issuer.reasonFor(await tokenBy(ec, { kid: "ec" }))).toBe(
      "signing_keys_unavailable",
    );
  });
});

describe("rotation", () => {
  test("a new key is fetched when a token first names it, at most once in ten seconds", async () => {
    const issuer = await startIssuer();
    expect(await issuer.reasonFor(await tokenBy(ec, { kid: "ec" }))).toBe("accepted");
    issuer.keys = [await jwkOf(ec, { kid: "ec" }), await jwkOf(other, { kid: "new" })];
    const token = await tokenBy(other, { kid: "new" });
    issuer.ms = 9_999;
    expect(await issuer.reasonFor(token)).toBe("signing_key");
    issuer.ms = 10_000;
    expect(await issuer.reasonFor(token)).toBe("accepted");
    expect(issuer.asked).toBe(2);
  });

  test("a key taken out of the set ends within a minute, verified tokens included", async () => {
    const issuer = await startIssuer();
    const token = await tokenBy(ec, { kid: "ec" });
    expect(await issuer.reasonFor(token)).toBe("accepted");
    issuer.keys = [await jwkOf(rsa, { kid: "rsa" })];
    issuer.ms = 59_999;
    expect(await issuer.reasonFor(token)).toBe("accepted");
    issuer.ms = 60_000;
    expect(await issuer.reasonFor(token)).toBe("signing_key");
  });

  test("another key under the same kid ends the tokens of the first", async () => {
    const issuer = await startIssuer();
    const token = await tokenBy(ec, { kid: "ec" });
    expect(await issuer.reasonFor(token)).toBe("accepted");
    issuer.keys = [await jwkOf(other, { kid: "ec" })];
    issuer.ms = 60_000;
    expect(await issuer.reasonFor(token)).toBe("signature");
  });

  test("a dropped key ends at once, whatever the set says", async () => {
    const issuer = await startIssuer();
    const token = await tokenBy(ec, { kid: "ec" });
    expect(await issuer.reasonFor(token)).toBe("accepted");
    issuer.dropped.add("ec");
    expect(await issuer.reasonFor(token)).toBe("signing_key");
    expect(await issuer.reasonFor(await tokenBy(rsa, { kid: "rsa" }))).toBe("accepted");
  });

  test("an issuer that is down is borne for ten minutes; then nobody is let in, and 503 says why", async () => {
    const issuer = await startIssuer();
    const token = await tokenBy(ec, { kid: "ec" });
    expect(await issuer.reasonFor(token)).toBe("accepted");
    issuer.isDown = true;
    issuer.ms = 599_999;
    expect(await issuer.reasonFor(token)).toBe("accepted");
    issuer.ms = 609_999;
    expect(await issuer.reasonFor(token)).toBe("signing_keys_unavailable");
    expect(await issuer.reasonFor(hmacToken({ alg: "HS256" }, secret))).toBe("accepted");
    issuer.isDown = false;
    issuer.ms = 619_999;
    expect(await issuer.reasonFor(token)).toBe("accepted");
  });

  test("many tokens at one moment ask once", async () => {
    const issuer = await startIssuer();
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, jti) => tokenBy(ec, { kid: "ec" }, { jti: `${jti}` })),
    );
    const all = await Promise.all(tokens.map((token) => issuer.reasonFor(token)));
    expect(new Set(all)).toEqual(new Set(["accepted"]));
    expect(issuer.asked).toBe(1);
  });
});
