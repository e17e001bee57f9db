/** Who is asking, as a verified credential says. */
export interface Principal {
  /** Owner of what they schedule: the token's `sub`, 1 to 255 characters. */
  ownerId: string;
  isAdmin: boolean;
  /** `jwt`: bearer token of the API; `session`: cookie of the console. */
  credential: "jwt" | "session";
}

/** NUL cannot be stored by PostgreSQL, and half a surrogate pair not be written as UTF-8. */
export function isOwnerId(sub: unknown): sub is string {
  if (typeof sub !== "string" || sub === "" || sub.length > 255) return false;
  return !sub.includes("\0") && sub.isWellFormed();
}
