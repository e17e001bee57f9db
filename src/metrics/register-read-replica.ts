import { Counter } from "@prometheus-io/client";
import type { ReadReplica } from "../store/read-replica.ts";
import { type Metrics, prefix } from "./metrics.ts";
import { registerReadings } from "./register-readings.ts";

/** Tells by whom reads were answered that a replica may answer, and how far it is behind. */
export function registerReadReplica(metrics: Metrics, replica: ReadReplica): void {
  const reads = new Counter({
    name: `${prefix}reads_total`,
    help:
      "Requests that a read replica may answer, by who did; the reason says why the primary had to: " +
      "own-write, lag, conflict, down, not-a-replica.",
    labelNames: ["from", "reason"],
    registers: [metrics.registry],
  });
  replica.onServed((read) => {
    reads.inc({ from: read.from, reason: read.from === "primary" ? read.reason : "" });
  });
  registerReadings(metrics, () => replica, [
    {
      name: "read_replica_up",
      help: "1 while the read replica answers and is no further behind than READ_LAG_MAX_MS.",
      read: ({ isServing }) => (isServing ? 1 : 0),
    },
    {
      name: "read_replica_lag_seconds",
      help: "How far the read replica is behind the primary, at the least.",
      read: (known) => {
        const status = known.status();
        return status.kind === "follows" ? status.lagMs / 1000 : null;
      },
    },
  ]);
}
