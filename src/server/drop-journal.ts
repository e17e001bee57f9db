import { openCheckpoint } from "../journal/stored-checkpoints.ts";
import type { Logger } from "../log.ts";
import type { JournalDropStep, Maintenance, MaintenanceResult } from "../store/maintenance.ts";

/** Steps of one run: 100,000 entries, which are 14 million a day. */
const stepsMax = 200;

export interface DropJournalDeps {
  maintenance: Pick<Maintenance, "dropJournal">;
  /** null: what was announced before is finished, and nothing more. */
  days: number | null;
  log: Logger;
  /** Between two steps: renews the lease, and lets others at the database. */
  pause: () => Promise<void>;
  /** Of the run. Default: as above. */
  steps?: number;
}

/**
 * Shortens the journal up to a stored checkpoint whose signature is sound, in short transactions. A run
 * that was cut off goes on where it was.
 */
export async function dropJournal(deps: DropJournalDeps): Promise<MaintenanceResult> {
  const { maintenance, days, pause, steps = stepsMax } = deps;
  const result = { dropped: 0, position: 0, held_by_email: 0, refused: 0 };
  let to: number | null = null;
  for (let done = 0; done < steps; done++) {
    const step = await maintenance.dropJournal({ days, to });
    result.dropped += step.dropped;
    result.position = step.position;
    result.held_by_email = Number(step.isHeld);
    const why = step.refused ?? faultOf(step);
    if (why !== null) {
      if (why !== "gone") tellRefused(why, step.candidate?.position ?? to ?? step.dropTo, deps);
      return { ...result, refused: 1 };
    }
    to = step.candidate?.position ?? null;
    if (to === null && !step.isWaiting && step.position === step.dropTo) break;
    await pause();
  }
  return result;
}

/** Somebody may have written it over, and then it vouches for nothing. */
function faultOf({ candidate }: JournalDropStep): "signature" | null {
  return candidate !== null && openCheckpoint(candidate) === null ? "signature" : null;
}

const words: Record<string, string> = {
  broken: "it does not verify",
  state: "it is not what the checkpoint says that it was",
  signature: "the checkpoint was changed after it was signed",
};

function tellRefused(why: string, position: number, { log }: DropJournalDeps): void {
  log.error("the journal is not shortened", {
    component: "journal",
    reason: `${words[why] ?? why} (position ${position})`,
    hint: "run `taskforce-mailer audit verify`, and compare with a backup of before",
  });
}
