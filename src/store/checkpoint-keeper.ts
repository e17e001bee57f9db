import type { JournalState } from "./audit.ts";
import { type Database, partClaims } from "./database.ts";

/** Keeps signed states of the journal beside it; `Audit` lists them. */
export interface CheckpointKeeper {
  /** Of everybody's chains, at one moment. */
  state(): Promise<JournalState>;
  /** False: there is one of that position. */
  keep(position: number, checkpoint: string): Promise<boolean>;
}

export function createCheckpointKeeper(
  database: Database,
  { region }: { region: string },
): CheckpointKeeper {
  const claims = partClaims("maintenance", region);
  return {
    async state() {
      return (await database.rpc("journal_state", { owner_id: null }, claims)) as JournalState;
    },
    async keep(position, checkpoint) {
      const args = { position, checkpoint };
      const answer = await database.rpc("keep_checkpoint", args, claims);
      return (answer as { is_kept: boolean }).is_kept;
    },
  };
}
