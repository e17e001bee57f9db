import type { Config } from "../../config.ts";
import type { Parts } from "../parts.ts";
import { commit, version } from "../version.ts";
import { registerBreakers } from "./register-breakers.ts";
import { registerClaims } from "./register-claims.ts";
import { registerFleet } from "./register-fleet.ts";
import { registerPauses } from "./register-pauses.ts";
import { registerProcess } from "./register-process.ts";
import { registerReconciler } from "./register-reconciler.ts";
import { registerStanding } from "./register-standing.ts";

/** What is read off the running parts at each scrape. */
export function registerParts(parts: Parts, { role, region }: Config): void {
  const { metrics, database, backend, sender, reconciler } = parts;
  registerProcess(metrics, {
    version,
    commit: commit ?? "",
    role,
    region,
    database: database.driver,
    queue: backend.driver,
    transport: sender.name === "capture" ? "capture" : "smtp",
  });
  registerStanding(metrics, parts);
  registerFleet(metrics, parts.fleet);
  registerPauses(metrics, parts.pauses);
  // A process that only takes emails in has none under way.
  if (role !== "api") {
    const { breaker, settling } = parts;
    registerClaims(metrics, { selfAudit: parts.selfAudit, settling });
    registerBreakers(metrics, [{ transport: sender.name, snapshot: () => breaker.snapshot() }]);
  }
  registerReconciler(metrics, () => reconciler.report());
}
