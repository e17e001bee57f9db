import type { Claims, Database } from "./database.ts";

export interface ErasureRequest {
  /** Of the person's address, under each key that is in use. */
  addressIndexes: readonly string[];
  /** An admin's: only this owner's emails; null: everybody's. */
  ownerId: string | null;
  /** Counts, and destroys nothing. */
  isDryRun: boolean;
  /** The caller's network address, for the journal. */
  origin: string | null;
}

export interface ErasureReport {
  /** Emails whose content was destroyed, or would be. */
  erased: number;
  /** Emails to this person that may still be sent, and were left alone. */
  notFinished: number;
}

/** Destroys one person's data: the content of every email to an address. */
export type EraseRecipient = (request: ErasureRequest, as: Claims) => Promise<ErasureReport>;

/** In one transaction, which holds their locks. */
const erasedAtOnce = 200;

export function createEraseRecipient(database: Database): EraseRecipient {
  return async ({ addressIndexes, ownerId, isDryRun, origin }, as) => {
    const args = {
      ...{ address_index: addressIndexes, owner: ownerId, dry_run: isDryRun },
      ...{ origin, limit: erasedAtOnce },
    };
    const report = { erased: 0, notFinished: 0 };
    for (let after: unknown = null; ; ) {
      const answer = await database.rpc("erase_recipient", { ...args, after }, as);
      const step = answer as { erased: number; not_finished: number; after: unknown };
      report.erased += step.erased;
      report.notFinished += step.not_finished;
      if (step.after === null) return report;
      after = step.after;
    }
  };
}
