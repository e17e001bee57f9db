import { type Claims, type Database, partClaims } from "./database.ts";

/** What happened in a length of time. */
export interface MinuteFigures {
  /** Emails stored for their callers. */
  accepted: number;
  /** Attempts by outcome. */
  sent: number;
  partial: number;
  deferred: number;
  bounced: number;
  uncertain: number;
  /** First attempts by lateness: one number for each bound, and one for what was later. */
  lateness: number[];
}

export interface Minute extends MinuteFigures {
  /** Its beginning, by the database's clock. */
  minute: Date;
}

export interface MinutesQuery {
  from: Date;
  to: Date;
  /** At least 60. */
  stepSeconds: number;
}

export interface MinuteSum extends MinuteFigures {
  /** Steps since `from`. */
  slot: number;
}

/** The figures of all processes, minute by minute, for 30 days. */
export interface Minutes {
  /** Totals of this process so far; written again they replace what they were. */
  record(minutes: readonly Minute[]): Promise<void>;
  /** Sums over all processes; steps in which nothing happened are left out. For admins. */
  read(query: MinutesQuery, as: Claims): Promise<MinuteSum[]>;
}

/** Upper bounds of the lateness that is counted together, in ms; as the metric has them. */
export const latenessBoundsMs: readonly number[] = [
  100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000,
  14_400_000,
];

export function createMinutes(
  database: Database,
  { workerId, region }: { workerId: string; region: string },
): Minutes {
  return {
    async record(minutes) {
      const args = { worker_id: workerId, region, minutes };
      await database.rpc("record_minutes", args, partClaims("reconciler", region));
    },
    async read({ from, to, stepSeconds }, as) {
      const args = { from, to, step_seconds: stepSeconds };
      return (await database.rpc("read_minutes", args, as)) as MinuteSum[];
    },
  };
}
