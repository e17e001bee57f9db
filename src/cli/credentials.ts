import { createApiKeyCheck, type FoundApiKey } from "../auth/api-key-check.ts";
import { type Authenticator, createAuthenticator } from "../auth/jwt.ts";
import { createPasswordSignIn, type PasswordSignIn } from "../auth/password-sign-in.ts";
import { createSigningKeys, type SigningKeys } from "../auth/signing-keys.ts";
import type { Config } from "../config.ts";
import { createOutgoing } from "../outgoing/create-outgoing.ts";
import { type ApiKeys, createApiKeys } from "../store/api-keys.ts";
import type { Database } from "../store/database.ts";
import {
  createDroppedSigningKeys,
  type DroppedSigningKeys,
} from "../store/dropped-signing-keys.ts";

/** A dropped key ends within it, on every process. */
const droppedKeptMs = 2_000;
const keySetDeadlineMs = 3_000;
const keySetBytesMax = 256 * 1024;

export interface Credentials {
  authenticator: Authenticator;
  apiKeys: ApiKeys;
  signingKeys: SigningKeys | undefined;
  /** For the console; undefined: no Supabase project's users come in. */
  passwords: PasswordSignIn | undefined;
  droppedSigningKeys: DroppedSigningKeys;
}

/** Everything by which a caller is known: tokens, API keys, and the keys that tokens are checked with. */
export function createCredentials(
  { jwt, supabaseAuth }: Pick<Config, "jwt" | "supabaseAuth">,
  { database, secret, now }: { database: Database; secret: string; now?: () => Date },
): Credentials {
  const { issuer, audience, jwksUrl } = jwt;
  const apiKeys = createApiKeys(database);
  const droppedSigningKeys = createDroppedSigningKeys(database);
  const signingKeys = jwksUrl === null ? undefined : createJwks(jwksUrl, droppedSigningKeys);
  const authenticator = createAuthenticator({
    secret,
    issuer,
    audience,
    signingKeys,
    ...(now === undefined ? {} : { now }),
    apiKeys: createApiKeyCheck({
      find: async (key) => toFound(await apiKeys.find(key)),
      noteUse: (ids) => apiKeys.noteUse(ids),
    }),
  });
  const passwords = supabaseAuth === null ? undefined : createPasswords(supabaseAuth);
  return { authenticator, apiKeys, signingKeys, passwords, droppedSigningKeys };
}

function toFound(known: Awaited<ReturnType<ApiKeys["find"]>>): FoundApiKey {
  return known.kind === "found" ? { kind: "found", ...known.key } : known;
}

function createPasswords(project: { url: string; anonKey: string }): PasswordSignIn {
  // The operator wrote this URL, as with the key set below.
  return createPasswordSignIn({ ...project, outgoing: createOutgoing({ allowPrivate: true }) });
}

function createJwks(url: string, dropped: DroppedSigningKeys): SigningKeys {
  // The operator wrote this URL: a Supabase in the same network is as good as one elsewhere.
  const outgoing = createOutgoing({ allowPrivate: true });
  return createSigningKeys({
    fetchKeySet: async () => {
      const { status, body } = await outgoing.request({
        method: "GET",
        url,
        headers: { Accept: "application/json, application/jwk-set+json" },
        deadlineMs: keySetDeadlineMs,
        answerBytesMax: keySetBytesMax,
      });
      if (status !== 200) throw new Error(`JWKS_URL answered ${status}`);
      return JSON.parse(body.toString());
    },
    droppedKids: keptFor(droppedKeptMs, async () => new Set((await dropped.list()).keys())),
  });
}

/** Asks again when the last answer is older; many questions at one moment are one. */
function keptFor<T>(ms: number, ask: () => Promise<T>): () => Promise<T> {
  let kept: { answer: Promise<T>; askedAt: number } | null = null;
  return () => {
    if (kept !== null && performance.now() - kept.askedAt < ms) return kept.answer;
    const asked = { answer: ask(), askedAt: performance.now() };
    kept = asked;
    // A failure is for whoever waits for it, and for nobody after.
    asked.answer.catch(() => {
      if (kept === asked) kept = null;
    });
    return asked.answer;
  };
}
