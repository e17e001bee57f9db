import { expect, test } from "bun:test";
import { createBreaker } from "../../delivery/limits/breaker.ts";
import { emptyRound, type ReconcileReport } from "../../delivery/reconcile-report.ts";
import type { Accept } from "../../emails/accept.ts";
import { createLogger } from "../../log.ts";
import { queueOk } from "../../queue/queue-health.ts";
import type { Attempts } from "../../store/attempts.ts";
import { measureAccept } from "./measure-accept.ts";
import { measureAttempts } from "./measure-attempts.ts";
import { createMetrics } from "./metrics.ts";
import { registerBreakers } from "./register-breakers.ts";
import { registerClaims } from "./register-claims.ts";
import { registerFleet } from "./register-fleet.ts";
import { registerPauses } from "./register-pauses.ts";
import { registerReconciler } from "./register-reconciler.ts";
import { registerStanding } from "./register-standing.ts";

interface RuleFile {
  groups: {
    rules: { alert: string; expr: string; annotations: { summary: string } }[];
  }[];
}

/** Every name that the program registers; none of the sources is asked for anything. */
function namesServed(): Set<string> {
  const metrics = createMetrics();
  const transport = "smtp.example.net:25";
  const log = createLogger({ level: "silent" });
  const breaker = createBreaker({
    ...{ concurrencyMax: 1, minuteMs: 1, transport, log },
    hasOthers: () => false,
  });
  measureAccept(metrics, {} as Accept);
  measureAttempts(metrics, {} as Attempts);
  registerBreakers(metrics, [{ transport, snapshot: () => breaker.snapshot() }]);
  registerClaims(metrics, {
    selfAudit: { report: () => ({ held: 0, returned: 0, uncertain: 0 }) },
    settling: { repeating: 0 },
  });
  registerFleet(metrics, { view: async () => null });
  registerPauses(metrics, { last: [] });
  registerReconciler(metrics, () => emptyRound() as ReconcileReport);
  registerStanding(metrics, {
    figures: { read: () => Promise.reject(new Error("not asked")) },
    queue: { getJobCounts: async () => ({}) },
    queueHealth: { look: async () => queueOk },
    sealer: { lagMs: 0 },
    semaphore: { inUse: 0 },
    bytesMax: 1,
    delivery: { buffered: 0, active: 0 },
  });
  return new Set(metrics.registry.getMetricsAsArray().map(({ name }) => name));
}

test("every figure that the alert rules look at is one that is served", async () => {
  const path = `${import.meta.dir}/../../../scripts/prometheus-alerts.yml`;
  const { groups } = Bun.YAML.parse(await Bun.file(path).text()) as RuleFile;
  const rules = groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(10);
  const served = namesServed();
  for (const { alert, expr, annotations } of rules) {
    const names = expr.match(/taskforce_mailer_\w+/g) ?? [];
    if (alert !== "MailerDown") expect(names).not.toBeEmpty();
    for (const name of names) {
      // A histogram is served as three series.
      expect(served).toContain(name.replace(/_(bucket|count|sum)$/, ""));
    }
    expect(annotations.summary).not.toBe("");
  }
});
