import type { Config } from "../config.ts";
import { registerBreakers } from "../metrics/register-breakers.ts";
import { registerClaims } from "../metrics/register-claims.ts";
import { registerFleet } from "../metrics/register-fleet.ts";
import { registerPauses } from "../metrics/register-pauses.ts";
import { registerProcess } from "../metrics/register-process.ts";
import { registerReadReplica } from "../metrics/register-read-replica.ts";
import { registerReconciler } from "../metrics/register-reconciler.ts";
import { registerWebhooks } from "../metrics/register-webhooks.ts";
import { createWebhookFigures } from "../store/webhook-figures.ts";
import { commit, version } from "../version.ts";
import type { Parts } from "./parts.ts";
import { registerStatus } from "./register-status.ts";

/** Registers the figures that are read off the running parts at each scrape. */
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
  registerStatus(metrics, parts);
  registerFleet(metrics, parts.fleet);
  registerPauses(metrics, parts.pauses);
  const { deliverer } = parts;
  registerWebhooks(metrics, { figures: createWebhookFigures(database), deliverer });
  // A process that only takes emails in has none under way.
  if (role !== "api") {
    const { breaker, settling } = parts;
    registerClaims(metrics, { selfAudit: parts.selfAudit, settling });
    registerBreakers(metrics, [{ transport: sender.name, snapshot: () => breaker.snapshot() }]);
  }
  if (parts.readReplica !== null) registerReadReplica(metrics, parts.readReplica);
  registerReconciler(metrics, () => reconciler.report());
}
