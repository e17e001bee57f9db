/** What an API key may do; `admin` includes the other two. */
export const scopes = ["send", "read", "admin"] as const;
export type Scope = (typeof scopes)[number];

/** The caller, as a verified credential says. */
export interface Principal {
  /** Owner of what they schedule: the token's `sub`, 1 to 255 characters. */
  ownerId: string;
  isAdmin: boolean;
  /** `jwt`: bearer token of the API; `api_key`: `tfm_…`; `session`: cookie of the console. */
  credential: "jwt" | "api_key" | "session";
  /** The API key, when that is the credential. */
  key?: { id: string; scopes: readonly Scope[]; expiresAt: Date | null };
  /** Its token is an admin's by name, and was made with one factor where ADMIN_AAL wants two. */
  lacksSecondFactor?: true;
  /** An issuer of users says who this is, and may say otherwise tomorrow; else the operator does. */
  isOfIssuer?: true;
}

/** Parts of the program have names that begin so, and nobody else: neither reads the other's. */
const reservedPrefix = "taskforce-mailer:";

export function isReservedName(sub: string): boolean {
  return sub.startsWith(reservedPrefix);
}

/** NUL cannot be stored by PostgreSQL, and half a surrogate pair not be written as UTF-8. */
export function isOwnerId(sub: unknown): sub is string {
  if (typeof sub !== "string" || sub === "" || sub.length > 255) return false;
  return !sub.includes("\0") && sub.isWellFormed();
}

/**
 * What a route needs of whoever asks. `any`: no scope in particular. `send_and_read`: what acts and tells
 * of what there is, or says where it is told. `keys`: to make and revoke API keys, which a person may and
 * a key may not, lest a stolen one outlives its revocation; an admin's may.
 */
export type Right = "any" | "send" | "read" | "send_and_read" | "keys" | "admin";

/** The scope that is missing for it; null: may be done. A token of a user has all but `admin`. */
export function missingScope({ isAdmin, key }: Principal, right: Right): Scope | null {
  if (isAdmin || right === "any") return null;
  if (right === "admin") return "admin";
  if (key === undefined) return null;
  if (right === "keys") return "admin";
  const needed = right === "send_and_read" ? (["send", "read"] as const) : [right];
  return needed.find((scope) => !key.scopes.includes(scope)) ?? null;
}
