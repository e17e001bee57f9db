import type { Claim } from "./attempts.ts";
import { type Database, partClaims } from "./database.ts";
import { type DueEmail, type Orphan, type OrphanJson, toOrphan } from "./presence.ts";

/** What the database says that one worker has claimed; for its self-audit. */
export interface HeldClaims {
  /**
   * Fenced claims, claims over a second old, and those of the `lost` emails, whose claim had no
   * answer.
   */
  list(lost: readonly string[]): Promise<(Claim & { isFenced: boolean })[]>;
  /**
   * Ends claims that nobody holds: what is not fenced is pending again and is to be queued here,
   * the rest is to be settled as uncertain. Claims that are not this worker's stay as they are.
   */
  end(claims: readonly Claim[]): Promise<{ returned: DueEmail[]; orphans: Orphan[] }>;
}

export function createHeldClaims(
  database: Database,
  { workerId, region }: { workerId: string; region: string },
): HeldClaims {
  const as = partClaims("worker", region);
  return {
    async list(lost) {
      const args = { worker_id: workerId, lost };
      const answer = (await database.rpc("list_claims", args, as)) as ListedJson[];
      return answer.map(({ id, token, is_fenced: isFenced }) => ({ id, token, isFenced }));
    },
    async end(claims) {
      const items = claims.map(({ id, token }) => ({ id, token }));
      const args = { worker_id: workerId, items };
      const { returned, orphans } = (await database.rpc("return_claims", args, as)) as EndedJson;
      return {
        returned: returned.map(({ id, wake, owner_id: ownerId, delay_ms: delayMs }) => ({
          id,
          wake,
          delayMs,
          ownerId,
        })),
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
  returned: { id: string; wake: number; owner_id: string; delay_ms: number }[];
  orphans: OrphanJson[];
}
