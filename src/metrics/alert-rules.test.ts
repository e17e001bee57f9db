import { expect, test } from "bun:test";
import { createBreaker } from "../delivery/limits/breaker.ts";
import { emptyRound, type ReconcileReport } from "../delivery/reconcile-report.ts";
import type { Accept } from "../emails/accept.ts";
import { createLogger } from "../log.ts";
import { queueOk } from "../queue/queue-health.ts";
import { registerStatus } from "../server/register-status.ts";
import type { Attempts } from "../store/attempts.ts";
import type { Database } from "../store/database.ts";
import { measureAccept } from "./measure-accept.ts";
import { measureAttempts } from "./measure-attempts.ts";
import { measureDatabase } from "./measure-database.ts";
import { createMetrics } from "./metrics.ts";
import { registerBreakers } from "./register-breakers.ts";
import { registerClaims } from "./register-claims.ts";
import { registerFleet } from "./register-fleet.ts";
import { registerPauses } from "./register-pauses.ts";
import { registerProcess } from "./register-process.ts";
import { registerReconciler } from "./register-reconciler.ts";
import { registerWebhooks } from "./register-webhooks.ts";
import { createRequestObserver } from "./request-observer.ts";

interface RuleFile {
  groups: {
    rules: { alert: string; expr: string; annotations: { summary: string } }[];
  }[];
}

/** Every name that the program registers. */
const namesServed = (): Set<string> => new Set(labelsServed().keys());

/** The names, each with its labels; none of the sources is asked for anything. */
function labelsServed(): Map<string, readonly string[]> {
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
  registerWebhooks(metrics, {
    figures: { read: () => Promise.reject(new Error("not asked")) },
    deliverer: { tried: { pending: 0, delivered: 0, failed: 0 } },
  });
  registerStatus(metrics, {
    figures: { read: () => Promise.reject(new Error("not asked")) },
    queue: { getJobCounts: async () => ({}) },
    queueHealth: { look: async () => queueOk },
    sealer: { lagMs: 0 },
    semaphore: { inUse: 0 },
    bytesMax: 1,
    delivery: { buffered: 0, active: 0 },
  });
  measureDatabase(metrics, {} as Database);
  createRequestObserver(metrics);
  const build = { version: "0", commit: "0", role: "all", region: "local" };
  registerProcess(metrics, { ...build, database: "pglite", queue: "postgres", transport: "smtp" });
  return new Map(
    metrics.registry
      .getMetricsAsArray()
      .map((metric) => [
        metric.name,
        (metric as { labelNames?: readonly string[] }).labelNames ?? [],
      ]),
  );
}

interface Dashboard {
  uid: string;
  panels: {
    id: number;
    title: string;
    gridPos: { x: number; y: number };
    targets: { expr: string }[];
  }[];
}

test("every panel of the Grafana dashboard shows figures that are served, and what it groups by is a label", async () => {
  const path = `${import.meta.dir}/../../scripts/grafana-dashboard.json`;
  const { panels } = (await Bun.file(path).json()) as Dashboard;
  expect(panels.length).toBeGreaterThan(10);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(new Set(panels.map(({ gridPos: { x, y } }) => `${x}/${y}`)).size).toBe(panels.length);
  const served = labelsServed();
  for (const { title, targets } of panels) {
    expect([title, targets.length]).not.toEqual([title, 0]);
    for (const { expr } of targets) {
      const [name = "", ...others] = expr.match(/\b(?:taskforce_mailer|process)_\w+/g) ?? [];
      expect([title, others]).toEqual([title, []]);
      const labels = served.get(name) ?? served.get(name.replace(/_(bucket|count|sum)$/, ""));
      expect([title, name, labels === undefined]).toEqual([title, name, false]);
      const grouped = /by \(([^)]*)\)/.exec(expr)?.[1]?.split(/, */) ?? [];
      const unknown = grouped.filter((label) => label !== "le" && !labels?.includes(label));
      expect([title, unknown]).toEqual([title, []]);
    }
  }
});

test("every figure that the alert rules look at is one that is served", async () => {
  const path = `${import.meta.dir}/../../scripts/prometheus-alerts.yml`;
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
