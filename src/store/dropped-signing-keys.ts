import { type Claims, type Database, partClaims } from "./database.ts";

/** Keys of JWKS_URL that an admin no longer trusts, on every process. */
export interface DroppedSigningKeys {
  /** By key id. */
  list(): Promise<ReadonlyMap<string, Date>>;
  /** Once and for good. `origin`: the admin's network address. */
  drop(kid: string, as: Claims, origin: string | null): Promise<void>;
}

export function createDroppedSigningKeys(database: Database): DroppedSigningKeys {
  const claims = partClaims("authenticator");
  return {
    async list() {
      const answer = await database.rpc("dropped_signing_keys", {}, claims);
      const rows = answer as { kid: string; dropped_at: string }[];
      return new Map(rows.map(({ kid, dropped_at }) => [kid, new Date(dropped_at)]));
    },
    async drop(kid, as, origin) {
      await database.rpc("drop_signing_key", { kid, origin }, as);
    },
  };
}
