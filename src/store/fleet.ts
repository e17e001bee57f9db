import { type Database, partClaims } from "./database.ts";

/** One way to send, as the process that sends by it knows it. */
export interface TransportState {
  /** As in attempts and in the journal. */
  name: string;
  breaker: "closed" | "open" | "half_open";
  /** Why nothing gets through, in the next hop's words where it said any; null: it does. */
  detail: string | null;
  /** The same in parts, for the journal: in our words, and what the next hop said; null: nothing. */
  reason: string | null;
  reply: string | null;
  smtpCode: number | null;
  /** Since this process last got a message through; null: it has not yet. */
  workedMsAgo: number | null;
  /** ISO 8601, when it began; null: mail gets through. */
  since: string | null;
  /** ISO 8601, when the next email tries it; null: mail gets through. */
  nextProbeAt?: string | null;
}

/** What a process says of itself beside its heartbeat: no content and no addresses of servers. */
export interface ProcessState {
  /** None for a process that only accepts emails. */
  transports: TransportState[];
  /** Why its queue takes no jobs, and what to do; null: it takes them. */
  queue: string | null;
  /** Emails whose outcome the database does not take, and which is written again and again. */
  unsettled: number;
}

/** A living process. */
export interface FleetProcess {
  id: string;
  region: string;
  role: "all" | "api" | "worker";
  /** null: it has said nothing yet. */
  state: ProcessState | null;
}

/** What the processes on one database know of each other. */
export interface FleetStore {
  /** False: the database has not heard of this process; to be said again after its next beat. */
  report(state: ProcessState): Promise<boolean>;
  /** All that live, of all regions. */
  read(): Promise<FleetProcess[]>;
}

export function createFleetStore(
  database: Database,
  { workerId, region }: { workerId: string | null; region: string },
): FleetStore {
  return {
    async report(state) {
      const args = { worker_id: workerId, state };
      const claims = partClaims("reconciler", region);
      return ((await database.rpc("report_state", args, claims)) as { is_known: boolean }).is_known;
    },
    async read() {
      return (await database.rpc("read_fleet", {}, partClaims("metrics"))) as FleetProcess[];
    },
  };
}
