import type { Config } from "../../config.ts";
import type { SecretsInForce } from "../../crypto/secrets.ts";
import { type Finding, failed, ok, reasonOf, warning } from "../../doctor/finding.ts";
import { type RoundJson, roundJson } from "../../http/operations/reconcile-now.ts";
import { createLogger } from "../../log.ts";
import { createParts } from "../../server/parts.ts";
import type { Database } from "../../store/database.ts";

/** As one more process of the region that neither beats nor sends. */
export async function reconcileHere(
  config: Config,
  database: Database,
  secrets: SecretsInForce,
  checks: Finding[],
): Promise<{ fix: RoundJson | null; finding: Finding }> {
  const isReady = ["database", "schema", "encryption key"].every(
    (name) => !checks.some(({ check, status }) => check === name && status !== "ok"),
  );
  if (!isReady) {
    const advice = "Mend what failed above, then run it again.";
    return { fix: null, finding: warning("fix", "the reconciler was not run", advice) };
  }
  const log = createLogger({ level: "silent" });
  const parts = createParts({ ...config, role: "api" }, database, secrets, log);
  try {
    // Under the folder's lock nobody else can be sending.
    const everything = config.database.driver === "pglite";
    await parts.reconciler.runOnce({ everything });
    const fix = roundJson(parts.reconciler.report());
    return { fix, finding: ok("fix", "the reconciler ran once") };
  } catch (error) {
    const advice = "See the findings on the database.";
    return { fix: null, finding: failed("fix", reasonOf(error), advice) };
  } finally {
    await parts.backend.close(1_000);
  }
}
