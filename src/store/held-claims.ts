import type { Claim } from "./attempts.ts";
import { type Database, partClaims } from "./database.ts";
import { type Orphan, type OrphanJson, toOrphan } from "./presence.ts";

/** What the database says that one worker has claimed; for its self-audit. */
export interface HeldClaims {
  /**
   * Fenced claims, claims over a second old, and those of the `lost` emails, whose claim had no
   * answer; all claims, when a claim of any emails had none.
   */
  list(lost: readonly string[] | "all"): Promise<(Claim & { isFenced: boolean })[]>;
  /**
   * Ends claims that nobody holds: what is not fenced is pending again, the rest is to be settled as uncertain. Claims that are not this worker's stay as they are.
   */
  end(claims: readonly Claim[]): Promise<{ returned: number; orphans: Orphan[] }>;
}

export function createHeldClaims(
  database: Database,
  { workerId, region }: { workerId: string; region: string },
): HeldClaims {
  const as = partClaims("worker", region);
  return {
    async list(lost) {
      const isAll = lost === "all";
      const args = { worker_id: workerId, lost: isAll ? [] : lost, is_all: isAll };
      const answer = (await database.rpc("list_claims", args, as)) as ListedJson[];
      return answer.map(({ id, token, is_fenced: isFenced }) => ({ id, token, isFenced }));
    },
    async end(claims) {
      const items = claims.map(({ id, token }) => ({ id, token }));
      const args = { worker_id: workerId, items };
      const { returned, orphans } = (await database.rpc("return_claims", args, as)) as EndedJson;
      return {
        returned: returned.length,
        orphans: orphans.map(toOrphan),
      };
    },
  };
}

interface ListedJson {
  id: string;
  token: number;
  is_fenced: boolean;
}

interface EndedJson {
  returned: unknown[];
  orphans: OrphanJson[];
}
