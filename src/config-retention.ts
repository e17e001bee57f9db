import type { Faults } from "./config-faults.ts";
import type { VariableValues } from "./config-variables.ts";

/** In days; null: kept for ever. */
export interface Retention {
  /** After an email has ended: its content. */
  readonly contentDays: number | null;
  /** After an email has ended: its record. */
  readonly recordDays: number | null;
  /** Entries of the journal. Not less than `recordDays`, which is then set. */
  readonly journalDays: number | null;
}

export function retentionOf(values: VariableValues, faults: Faults): Retention {
  checkJournalDays(values, faults);
  return {
    contentDays: values.RETENTION_DAYS,
    recordDays: values.RETENTION_METADATA_DAYS,
    journalDays: values.RETENTION_JOURNAL_DAYS,
  };
}

/** Entries of an email are read as long as it has a record. */
function checkJournalDays(values: VariableValues, faults: Faults): void {
  const { RETENTION_JOURNAL_DAYS: journalDays, RETENTION_METADATA_DAYS: recordDays } = values;
  if (journalDays === null || faults.has("RETENTION_METADATA_DAYS")) return;
  const reason = "no entry of an e-mail goes before its record does";
  if (recordDays === null) {
    faults.add("RETENTION_JOURNAL_DAYS", `RETENTION_METADATA_DAYS beside it: ${reason}`);
  } else if (journalDays < recordDays) {
    const least = `at least the days of RETENTION_METADATA_DAYS (${recordDays})`;
    faults.add("RETENTION_JOURNAL_DAYS", `${least}: ${reason}`);
  }
}
