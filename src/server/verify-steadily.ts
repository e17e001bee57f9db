import { brokenWords } from "../journal/broken-words.ts";
import { verifyPart } from "../journal/verify-part.ts";
import type { Logger } from "../log.ts";
import type { ChainParts } from "../store/chain-parts.ts";
import type { MaintenanceResult } from "../store/maintenance.ts";

/** Entries of one call: about a third of a megabyte. */
const partSize = 500;
/**
 * Bounds a run, which so costs the same however long the journal is: 50,000 entries, which are 7.2
 * million a day.
 */
const partsMax = 100;

export interface VerifySteadilyDeps {
  chainParts: ChainParts;
  log: Logger;
  /** Between two parts: renews the lease, and lets others at the database. */
  pause: () => Promise<void>;
  /** Default: as above. */
  limits?: { partSize: number; partsMax: number };
}

/**
 * Verifies the next part of the journal, and after its end begins anew, so that over time all of it is
 * verified again and again. A broken entry is told in the log by every run until it is sound again: the
 * verification stays before it.
 */
export async function verifySteadily(deps: VerifySteadilyDeps): Promise<MaintenanceResult> {
  const { chainParts, log, pause } = deps;
  const limits = deps.limits ?? { partSize, partsMax };
  const result = { entries: 0, position: 0, broken: 0 };
  let after: number | null = null;
  for (let parts = 0; parts < limits.partsMax; parts++) {
    const part = await chainParts.read(after, limits.partSize);
    const verdict = await verifyPart(part, limits.partSize);
    result.entries += verdict.checked;
    if (!verdict.ok) {
      const { ownerId: owner, ...at } = verdict.broken;
      log.error("the journal does not verify", {
        ...{ component: "verification", reason: brokenWords(verdict.broken) },
        hint: "run `taskforce-mailer audit verify`, and compare with a backup of before",
      });
      await chainParts.note(part.after, { owner, ...at });
      return { ...result, position: part.after, broken: 1 };
    }
    result.position = verdict.position;
    after = verdict.position;
    if (part.entries.length < limits.partSize) {
      await chainParts.note(0, null);
      return result;
    }
    await pause();
  }
  await chainParts.note(result.position, null);
  return result;
}
