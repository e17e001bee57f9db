import type { Config } from "../../config.ts";
import type { Secrets } from "../../crypto/secrets.ts";
import { type RoundJson, roundJson } from "../../http/reconcile-now.ts";
import { createLogger } from "../../log.ts";
import type { QueueBackend } from "../../queue/queue-backend.ts";
import type { Database } from "../../store/database.ts";
import { createParts } from "../parts.ts";
import { type Finding, failed, ok, reasonOf, warning } from "./finding.ts";

const flushTimeoutMs = 5_000;

/** As one more process of the region that neither beats nor sends. */
export async function reconcileHere(
  config: Config,
  database: Database,
  secrets: Secrets,
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
    const isThere = await untilAnswering(parts.backend);
    await parts.reconciler.runOnce({ everything });
    await parts.enqueue.flush(flushTimeoutMs);
    // All since the start, which is this round and what a queue that is new made it do before.
    const fix = roundJson(parts.reconciler.report());
    if (isThere) return { fix, finding: ok("fix", "the reconciler ran once") };
    const advice = "Mend the queue: the next server to start fills it.";
    return { fix, finding: warning("fix", "ran, but the queue does not answer", advice) };
  } catch (error) {
    const advice = "See the findings on the database and the queue.";
    return { fix: null, finding: failed("fix", reasonOf(error), advice) };
  } finally {
    await parts.backend.close(1_000);
  }
}

const queueTimeoutMs = 5_000;

/** A connection just made is not there yet, and nothing is queued without it. */
async function untilAnswering({ check }: Pick<QueueBackend, "check">): Promise<boolean> {
  const endsAt = performance.now() + queueTimeoutMs;
  while (performance.now() < endsAt) {
    if ((await check()).state === "ok") return true;
    await Bun.sleep(50);
  }
  return false;
}
