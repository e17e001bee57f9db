import { deadLetterStates } from "../store/figures.ts";
import { type Finding, failed, ok, type Patient, type SeenFigures, warning } from "./finding.ts";

const oldestDueMsMax = 60_000;
const sealLagMsMax = 10_000;

/** Whether the key fits, and what lies about in the database. */
export function checkWork(patient: Patient, seen: SeenFigures): Finding[] {
  return [checkKey(patient, seen), checkDue(seen), checkDeadLetters(seen), checkJournal(seen)];
}

function checkKey({ key }: Patient, { figures }: SeenFigures): Finding {
  if (figures.keyFingerprint === null) return ok("encryption key", "the database has none yet");
  if (figures.keyFingerprint === key?.fingerprint) {
    return ok("encryption key", "is the one this database is used with");
  }
  if (key?.oldFingerprints.includes(figures.keyFingerprint)) {
    return warning(
      "encryption key",
      "is new to this database, which knows the former one in ENCRYPTION_KEYS_OLD",
      "Start every server with it, then run `taskforce-mailer keys rotate`.",
    );
  }
  return failed(
    "encryption key",
    "is not the one this database is used with",
    "Set ENCRYPTION_KEY (or restore secrets.json in DATA_DIR) to that one; if you replaced it, " +
      "put the former into ENCRYPTION_KEYS_OLD.",
  );
}

function checkDue({ figures }: SeenFigures): Finding {
  const { due, oldestDueMs, workersAlive, workersDied } = figures;
  const died = workersDied === 0 ? "" : `, ${count(workersDied, "process")} died within a day`;
  const saw =
    `${count(workersAlive, "process")} that ${workersAlive === 1 ? "sends" : "send"}${died}; ` +
    (due === 0
      ? "nothing is due"
      : `${count(due, "email")} due, the oldest for ${Math.round(oldestDueMs / 1000)} s`);
  if (due > 0 && workersAlive === 0) {
    return failed("work", saw, "Start the server (ROLE all or worker): nobody sends.");
  }
  if (workersAlive === 0) {
    return warning("work", saw, "Start the server (ROLE all or worker): nobody sends.");
  }
  if (oldestDueMs > oldestDueMsMax) {
    const advice =
      "See the finding on smtp, and /health; `taskforce-mailer doctor --fix` returns what dead " +
      "processes had claimed.";
    return warning("work", saw, advice);
  }
  return ok("work", saw);
}

function checkDeadLetters({ figures }: SeenFigures): Finding {
  const found = deadLetterStates.filter((state) => figures.byStatus[state] > 0);
  if (found.length === 0) return ok("dead letters", "none");
  const saw = found.map((state) => `${figures.byStatus[state]} ${state}`).join(", ");
  const advice = "Look at GET /api/v1/dead-letters: replay or dismiss each.";
  return warning("dead letters", saw, advice);
}

function checkJournal({ figures }: SeenFigures): Finding {
  const { unsealed, oldestUnsealedMs, journalBrokenSince } = figures;
  if (journalBrokenSince !== null) {
    return failed(
      "journal",
      `does not verify, found at ${journalBrokenSince.toISOString()}`,
      "Run `taskforce-mailer audit verify`: it names the entry. See /docs/runbook.",
    );
  }
  const seconds = Math.round(oldestUnsealedMs / 1000);
  const entries = unsealed === 1 ? "1 entry" : `${unsealed} entries`;
  const saw = unsealed === 0 ? "all is sealed" : `${entries} unsealed, the oldest for ${seconds} s`;
  if (oldestUnsealedMs <= sealLagMsMax) return ok("journal", saw);
  const advice = "A running server seals it; see its log for `sealer`.";
  return warning("journal", saw, advice);
}

function count(n: number, noun: string): string {
  const plural = noun.endsWith("s") ? `${noun}es` : `${noun}s`;
  return `${n} ${n === 1 ? noun : plural}`;
}
