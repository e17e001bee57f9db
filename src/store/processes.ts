import type { Claims, Database } from "./database.ts";
import type { ProcessState } from "./fleet.ts";

/** A process as the database knows it. */
export interface ListedProcess {
  id: string;
  region: string;
  role: "all" | "api" | "worker";
  startedAt: Date;
  beatAt: Date;
  /** Since its last beat, by the database's clock. */
  beatMs: number;
  /** False: it ended without goodbye. */
  isLiving: boolean;
  /** Emails that it has claimed. */
  claimed: number;
  /** Of those, what it decrypted or sent at its last beat. */
  begun: number;
  /** Outcomes that it knows and could not write yet. */
  settling: number;
  /** null: it has said nothing yet. */
  state: ProcessState | null;
}

/** All processes on one database, for admins. */
export interface Processes {
  /** Those that live, and those that died within the last day; by region, the oldest first. */
  list(as: Claims): Promise<ListedProcess[]>;
}

export function createProcesses(database: Database): Processes {
  return {
    async list(as) {
      return ((await database.rpc("list_processes", {}, as)) as ProcessJson[]).map(toProcess);
    },
  };
}

interface ProcessJson
  extends Pick<
    ListedProcess,
    "id" | "region" | "role" | "claimed" | "begun" | "settling" | "state"
  > {
  started_at: string;
  beat_at: string;
  beat_ms: number;
  is_living: boolean;
}

function toProcess(json: ProcessJson): ListedProcess {
  const { started_at, beat_at, beat_ms: beatMs, is_living: isLiving, ...same } = json;
  return { ...same, startedAt: new Date(started_at), beatAt: new Date(beat_at), beatMs, isLiving };
}
