import { createSessions, type Sessions } from "../admin/session/session.ts";
import type { Renewal } from "../admin/session/session-renewal.ts";
import type { Authenticator, JwtSecrets } from "../auth/jwt.ts";
import type { TokenRefresh } from "../auth/password-sign-in.ts";
import type { SigningKeys } from "../auth/signing-keys.ts";
import { isAppError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { createSessionStore } from "../store/sessions.ts";

export interface ConsoleSessionsDeps {
  database: Database;
  jwtSecrets: JwtSecrets;
  authenticator: Pick<Authenticator, "verify">;
  signingKeys: SigningKeys | undefined;
  refreshToken: TokenRefresh | undefined;
}

/** Sessions that end with what they rest on: a secret, a signing key, a user's token. */
export function createConsoleSessions(deps: ConsoleSessionsDeps): Sessions {
  const { database, jwtSecrets, authenticator, signingKeys, refreshToken } = deps;
  return createSessions({
    store: createSessionStore(database),
    secret: jwtSecrets.current ?? "",
    formerSecrets: jwtSecrets.former,
    isTrusted: async ({ kid, thumbprint }) =>
      (await signingKeys?.find(kid))?.thumbprint === thumbprint,
    renew: async (shown): Promise<Renewal> => {
      const answer = (await refreshToken?.(shown)) ?? { kind: "refused" };
      if (answer.kind !== "token") return { kind: answer.kind };
      // The same check as at the sign-in: its signature, times, audience, and who is an admin.
      const token = await authenticator.verify(answer.token).catch((error: unknown) => {
        if (isAppError(error, "unauthorized") || isAppError(error, "forbidden")) return null;
        throw error;
      });
      if (token === null) return { kind: "refused" };
      const { principal, signingKey, secretKey, expiresAt } = token;
      const next = { expiresAt: new Date(expiresAt), refreshToken: answer.refreshToken };
      return { kind: "renewed", principal, signingKey, secretKey, ...next };
    },
  });
}
