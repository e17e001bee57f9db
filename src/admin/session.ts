import { createHmac, createSecretKey } from "node:crypto";
import type { Principal } from "../auth/principal.ts";
import { principalOf, signClaims, verifyClaims } from "../auth/token-claims.ts";

export const sessionSecondsMax = 12 * 3600;
const audience = "taskforce-mailer:session";

export interface SessionOptions {
  /** JWT_SECRET; sessions are signed with a key derived from it. */
  secret: string;
  now?: () => Date;
}

export interface Sessions {
  /** The value of a cookie that stands for this principal for 12 hours. */
  create(principal: Principal): Promise<string>;
  /** null: no session, or none that counts any more. */
  read(cookie: string | undefined): Promise<Principal | null>;
}

/**
 * A session is no bearer token and a bearer token no session: they differ in key and audience,
 * whatever JWT_AUDIENCE says.
 */
export function createSessions({ secret, now = () => new Date() }: SessionOptions): Sessions {
  const key = createSecretKey(createHmac("sha256", secret).update(audience).digest());
  return {
    create: async ({ ownerId, isAdmin }) => {
      const who = isAdmin ? { sub: ownerId, role: "admin" as const } : { sub: ownerId };
      const times = { ttlSeconds: sessionSecondsMax, now: now() };
      return await signClaims({ ...who, ...times, key, audience, issuer: null });
    },
    read: async (cookie) => {
      if (cookie === undefined || cookie === "") return null;
      try {
        const claims = await verifyClaims(cookie, {
          key,
          algorithm: "HS256",
          audience,
          issuer: null,
          now: now(),
        });
        return principalOf(claims, "session", { isOurs: true });
      } catch {
        // Expired or foreign: the visitor is a stranger, which is no fault.
        return null;
      }
    },
  };
}
