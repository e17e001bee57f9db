import { type Database, partClaims } from "./database.ts";

/** Whether this database is still where it was. */
export interface Origin {
  /**
   * Pauses all sending when it was restored or copied since the last look. To be called before this
   * process beats: until then the newest beat says up to when the database knows what was sent.
   */
  check(): Promise<{
    /** Found by this look. */
    isNew: boolean;
    /** Nobody has decided yet what becomes of what may have been sent already. */
    isPaused: boolean;
  }>;
}

export function createOrigin(database: Database, { region }: { region: string }): Origin {
  const { place = null } = database;
  return {
    async check() {
      const answer = await database.rpc(
        "check_origin",
        { place },
        partClaims("reconciler", region),
      );
      const { is_new: isNew, is_paused: isPaused } = answer as OriginJson;
      return { isNew, isPaused };
    },
  };
}

interface OriginJson {
  is_new: boolean;
  is_paused: boolean;
}
