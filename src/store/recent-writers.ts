import { type Database, partClaims } from "./database.ts";
import { createGroupCommit } from "./group-commit.ts";

/** How far the primary's log had got at a moment, and whether the caller wrote shortly before it. */
export interface WriteMark {
  /** Everything that was answered before `askedAtMs` lies below it. */
  lsn: bigint;
  /** By `performance.now`. */
  askedAtMs: number;
  answeredAtMs: number;
  hasWritten: boolean;
  /** Of the primary's cluster; null: it does not say. */
  system: string | null;
}

/** The owner whose writes count; `everybody` for a reader who sees them all; null: nobody's. */
export type Reader = { ownerId: string } | "everybody" | null;

export interface RecentWriters {
  /** Asks the primary; whoever asks at the same time shares the call. */
  mark(reader: Reader): Promise<WriteMark>;
}

/**
 * A transaction that waits for a synchronous standby is answered long after its entry is dated: so
 * much later at most, since its call has a deadline of 4 s.
 */
const commitMarginMs = 5_000;

/** Writes that are older than `lagMaxMs` are on every replica that may answer. */
export function createRecentWriters(
  database: Pick<Database, "rpc">,
  { lagMaxMs }: { lagMaxMs: number },
): RecentWriters {
  const claims = partClaims("reader");
  const calls = createGroupCommit<Reader, WriteMark>({
    send: async (readers) => {
      const askedAtMs = performance.now();
      const owners = readers.flatMap((one) =>
        one === null || one === "everybody" ? [] : [one.ownerId],
      );
      const args = { owners: [...new Set(owners)], within_ms: lagMaxMs + commitMarginMs };
      const json = (await database.rpc("recent_writers", args, claims)) as MarkJson;
      const writers = new Set(json.writers);
      return readers.map((one) => ({
        lsn: parseLsn(json.lsn),
        askedAtMs,
        answeredAtMs: performance.now(),
        system: json.system,
        hasWritten:
          one === "everybody" ? json.is_anybody : one !== null && writers.has(one.ownerId),
      }));
    },
    patienceMs: 2,
  });
  return { mark: (reader) => calls.add(reader) };
}

interface MarkJson {
  lsn: string;
  writers: string[];
  is_anybody: boolean;
  system: string | null;
}

/** A place in PostgreSQL's log, `16/B374D848`: two numbers of 32 bits in hex. */
export function parseLsn(text: string): bigint {
  const [high, low] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

export function lsnText(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase();
}
