import { Counter, Histogram } from "@prometheus-io/client";
import { isAppError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { type Metrics, prefix } from "./metrics.ts";

/** Times every call by the name of its SQL function, and counts failures by their code. */
export function measureDatabase<D extends Database>({ registry }: Metrics, database: D): D {
  const durations = new Histogram({
    name: `${prefix}database_call_duration_seconds`,
    help: "Calls of SQL functions, waiting for a connection included.",
    labelNames: ["function"],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  const failures = new Counter({
    name: `${prefix}database_call_failures_total`,
    help: "Calls of SQL functions that failed, by error code.",
    labelNames: ["function", "code"],
    registers: [registry],
  });
  const rpc: Database["rpc"] = async (fn, args, as, large) => {
    const startedAt = performance.now();
    try {
      return await database.rpc(fn, args, as, large);
    } catch (error) {
      failures.inc({ function: fn, code: isAppError(error) ? error.code : "internal_error" });
      throw error;
    } finally {
      durations.observe({ function: fn }, (performance.now() - startedAt) / 1000);
    }
  };
  return { ...database, rpc };
}
