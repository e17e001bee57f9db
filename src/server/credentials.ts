import { createApiKeyCheck, type FoundApiKey } from "../auth/api-key-check.ts";
import { type Authenticator, createAuthenticator, type JwtSecrets } from "../auth/jwt.ts";
import {
  createPasswordSignIn,
  createTokenRefresh,
  type PasswordSignIn,
  type TokenRefresh,
} from "../auth/password-sign-in.ts";
import { createSigningKeys, type SigningKeys } from "../auth/signing-keys.ts";
import type { Config } from "../config.ts";
import { createOutgoing } from "../outgoing/create-outgoing.ts";
import { keptFor } from "../runtime/kept-for.ts";
import { type ApiKeys, createApiKeys } from "../store/api-keys.ts";
import type { Database } from "../store/database.ts";
import {
  createDroppedSigningKeys,
  type DroppedSigningKeys,
} from "../store/dropped-signing-keys.ts";
import { createEndings, type Endings, readEndedTokens } from "../store/endings.ts";

/** A dropped key ends within it, on every process. */
const droppedKeptMs = 2_000;
/** Tokens that were ended do not count within it, on every process. */
const endedKeptMs = 2_000;
/** While the database does not answer, what it said last counts so much longer. */
const staleMaxMs = 30_000;
const keySetDeadlineMs = 3_000;
const keySetBytesMax = 256 * 1024;

export interface Credentials {
  authenticator: Authenticator;
  apiKeys: ApiKeys;
  signingKeys: SigningKeys | undefined;
  /** For the console; undefined: no Supabase project's users come in. */
  passwords: PasswordSignIn | undefined;
  /** Of the same users' tokens. */
  refreshToken: TokenRefresh | undefined;
  droppedSigningKeys: DroppedSigningKeys;
  endings: Endings;
}

interface CredentialSettings {
  jwt: Omit<Config["jwt"], "secret" | "secretsOld">;
  supabaseAuth: Config["supabaseAuth"];
}

interface CredentialsDeps {
  database: Database;
  jwtSecrets: JwtSecrets;
  now?: () => Date;
}

/** Everything by which a caller is known: tokens, API keys, and the keys that tokens are checked with. */
export function createCredentials(
  { jwt, supabaseAuth }: CredentialSettings,
  { database, jwtSecrets, now }: CredentialsDeps,
): Credentials {
  const { issuer, audience, jwksUrl } = jwt;
  const apiKeys = createApiKeys(database);
  const droppedSigningKeys = createDroppedSigningKeys(database);
  const signingKeys = jwksUrl === null ? undefined : createJwks(jwksUrl, droppedSigningKeys);
  const keyCheck = createApiKeyCheck({
    find: async (key) => toFound(await apiKeys.find(key)),
    noteUse: (ids) => apiKeys.noteUse(ids),
  });
  const authenticator = createAuthenticator({
    secret: jwtSecrets.current,
    formerSecrets: jwtSecrets.former,
    issuer,
    audience,
    signingKeys,
    rules: jwt,
    tokensEndedAt: keptFor(endedKeptMs, () => readEndedTokens(database), staleMaxMs),
    ...(now === undefined ? {} : { now }),
    apiKeys: keyCheck,
    onNoAdmin: async (ownerId, issuedAt) => {
      if ((await apiKeys.endAdmins(ownerId, issuedAt)) > 0) keyCheck.forget();
    },
  });
  return {
    ...{ authenticator, signingKeys, droppedSigningKeys },
    apiKeys: {
      ...apiKeys,
      revoke: async (...asked) => {
        const key = await apiKeys.revoke(...asked);
        keyCheck.forget();
        return key;
      },
    },
    endings: createEndings(database),
    ...createPasswords(supabaseAuth),
  };
}

function toFound(known: Awaited<ReturnType<ApiKeys["find"]>>): FoundApiKey {
  return known.kind === "found" ? { kind: "found", ...known.key } : known;
}

function createPasswords(project: Config["supabaseAuth"]) {
  if (project === null) return { passwords: undefined, refreshToken: undefined };
  // The operator wrote this URL, as with the key set below.
  const options = { ...project, outgoing: createOutgoing({ allowPrivate: true }) };
  return { passwords: createPasswordSignIn(options), refreshToken: createTokenRefresh(options) };
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
