import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createBreaker } from "../delivery/limits/breaker.ts";
import type { ReconcileReport } from "../delivery/reconcile-report.ts";
import { AppError } from "../errors.ts";
import { createLogger } from "../log.ts";
import { queueOk } from "../queue/queue-health.ts";
import { registerStatus } from "../server/register-status.ts";
import type { Attempts, ClaimedEmail } from "../store/attempts.ts";
import type { Database } from "../store/database.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { createDelivery } from "../testing/product/delivery.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";
import { measureAttempts } from "./measure-attempts.ts";
import { measureDatabase } from "./measure-database.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { registerBreakers } from "./register-breakers.ts";
import { registerPauses } from "./register-pauses.ts";
import { registerReconciler } from "./register-reconciler.ts";

setDefaultTimeout(60_000);

/** The value of one line of the answer, by its name and labels; null: it is not there. */
async function read(metrics: Metrics, series: string): Promise<number | null> {
  const line = (await metrics.text()).split("\n").find((text) => text.startsWith(`${series} `));
  return line === undefined ? null : Number(line.slice(series.length + 1));
}

const name = (text: string) => `taskforce_mailer_${text}`;

describe("deliveries", () => {
  let database: Database;
  let sink: SmtpSink;
  beforeAll(async () => {
    database = createPostgresDatabase({ url: (await freshDatabase()).url });
    sink = await createSmtpSink();
  });
  afterAll(async () => {
    await database.close();
    await sink.close();
  });

  test("an email that was sent is counted once, with how late its first attempt was", async () => {
    const metrics = createMetrics();
    const delivery = createDelivery(measureDatabase(metrics, database), { sink });
    const measured = measureAttempts(metrics, delivery.deps.attempts);
    delivery.deps.attempts = measured.attempts;
    delivery.deps.onBegun = measured.noteBegun;
    const id = await delivery.accept();
    await delivery.run(id);
    // Once more there is nothing to claim.
    expect(await delivery.run(id)).toEqual({ kind: "not_claimed" });

    expect(await read(metrics, name('attempts_total{outcome="sent"}'))).toBe(1);
    expect(await read(metrics, name('attempts_total{outcome="uncertain"}'))).toBe(0);
    expect(await read(metrics, name('emails_ended_total{status="sent"}'))).toBe(1);
    expect(await read(metrics, name("claims_total"))).toBe(2);
    expect(await read(metrics, name("claimed_emails_total"))).toBe(1);
    expect(await read(metrics, name("lateness_seconds_count"))).toBe(1);
    expect(await read(metrics, name('attempt_duration_seconds_count{outcome="sent"}'))).toBe(1);
    const calls = name('database_call_duration_seconds_count{function="claim_due"}');
    expect(await read(metrics, calls)).toBe(2);
    await delivery.close();
  });

  test("nothing of an email, an owner or an address is in any label", async () => {
    const metrics = createMetrics();
    const delivery = createDelivery(measureDatabase(metrics, database), { sink });
    const measured = measureAttempts(metrics, delivery.deps.attempts);
    delivery.deps.attempts = measured.attempts;
    delivery.deps.onBegun = measured.noteBegun;
    const to = [{ address: "canary@recipient.example", name: "Canary" }];
    const id = await delivery.accept({ to, subject: "canary", tags: ["canary"] });
    await delivery.run(id);
    const text = await metrics.text();
    expect(text).toContain(name('attempts_total{outcome="sent"} 1'));
    for (const word of [id, "canary", "ada", "example"]) expect(text).not.toContain(word);
    await delivery.close();
  });
});

test("a second attempt does not count as late", async () => {
  const metrics = createMetrics();
  const email = { id: "a", attempt: 2, attemptsBefore: 0, ageMs: 5 } as ClaimedEmail;
  const settled = { applied: true, state: "pending", attempt: 2, delayMs: 9 };
  const { attempts, noteBegun } = measureAttempts(metrics, {
    settle: async () => settled,
  } as unknown as Attempts);
  noteBegun(email);
  await attempts.settle({ id: "a", outcome: "deferred" } as Parameters<Attempts["settle"]>[0]);
  expect(await read(metrics, name('attempts_total{outcome="deferred"}'))).toBe(1);
  expect(await read(metrics, name("lateness_seconds_count"))).toBe(0);
  expect(await read(metrics, name('attempt_duration_seconds_count{outcome="deferred"}'))).toBe(1);
});

test("a call that fails is counted by its code, and rejects as before", async () => {
  const metrics = createMetrics();
  const error = new AppError("database_unavailable", { publicDetail: "gone" });
  const rpc = () => Promise.reject(error);
  const database = measureDatabase(metrics, { driver: "postgres", rpc } as unknown as Database);
  await expect(database.rpc("beat", {}, { role: "reconciler", sub: "x" })).rejects.toBe(error);
  const failures = 'database_call_failures_total{function="beat",code="database_unavailable"}';
  expect(await read(metrics, name(failures))).toBe(1);
});

test("a breaker is in one state, and its openings only rise", async () => {
  const metrics = createMetrics();
  const transport = "smtp.example.net:587";
  const log = createLogger({ level: "silent" });
  const breaker = createBreaker({
    ...{ concurrencyMax: 10, minuteMs: 60_000, transport, log },
    hasOthers: () => false,
  });
  registerBreakers(metrics, [{ transport, snapshot: () => breaker.snapshot() }]);
  const state = (word: string) =>
    read(metrics, name(`transport_breaker_state{transport="${transport}",state="${word}"}`));
  const figure = (word: string) =>
    read(metrics, name(`transport_breaker_${word}{transport="${transport}"}`));
  expect([await state("closed"), await state("open")]).toEqual([1, 0]);
  expect([await figure("opened_total"), await figure("probe_seconds")]).toEqual([0, 0]);

  breaker.tryEnter()?.leave({ reason: "auth", smtpCode: 535, said: null, pauseMs: 30_000 });
  expect([await state("closed"), await state("open")]).toEqual([0, 1]);
  expect(await figure("opened_total")).toBe(1);
  expect((await figure("probe_seconds")) ?? 0).toBeGreaterThan(25);
  expect(await figure("opened_total")).toBe(1);
});

test("what nobody can tell at the moment is left out, and the rest is answered", async () => {
  const metrics = createMetrics();
  registerStatus(metrics, {
    figures: { read: () => Promise.reject(new Error("no database")) },
    queue: { getJobCounts: () => Promise.reject(new Error("no queue")) },
    queueHealth: { look: async () => queueOk },
    sealer: { lagMs: 1_500 },
    semaphore: { inUse: 7 },
    bytesMax: 100,
    delivery: { buffered: 3, active: 2 },
  });
  expect(await read(metrics, name("database_up"))).toBe(0);
  expect(await read(metrics, name("queue_up"))).toBe(0);
  expect(await read(metrics, name("oldest_due_seconds"))).toBeNull();
  expect(await read(metrics, name('queue_jobs{state="waiting"}'))).toBeNull();
  expect(await read(metrics, name("sealer_lag_seconds"))).toBe(1.5);
  expect(await read(metrics, name("message_bytes_in_use"))).toBe(7);
  expect(await read(metrics, name("buffered_emails"))).toBe(3);
  expect(await read(metrics, name("begun_emails"))).toBe(2);
});

test("a queue that answers and takes no writes is not up", async () => {
  const metrics = createMetrics();
  const health = { state: "refusing", detail: "Redis refuses writes (OOM)", advice: "" } as const;
  registerStatus(metrics, {
    figures: { read: () => Promise.reject(new Error("no database")) },
    queue: { getJobCounts: async () => ({ waiting: 2 }) },
    queueHealth: { look: async () => health },
    sealer: { lagMs: 0 },
    semaphore: { inUse: 0 },
    bytesMax: 100,
    delivery: { buffered: 0, active: 0 },
  });
  expect(await read(metrics, name("queue_up"))).toBe(0);
  expect(await read(metrics, name('queue_jobs{state="waiting"}'))).toBe(2);
});

test("pauses are counted by what they pause", async () => {
  const metrics = createMetrics();
  const pause = { name: "ams", pausedAt: new Date(), pausedBy: "olga", reason: "a flood" };
  const watch = { last: [{ ...pause, kind: "region" as const }] };
  registerPauses(metrics, watch);
  const paused = (kind: string) => read(metrics, name(`sending_paused{kind="${kind}"}`));
  expect([await paused("region"), await paused("owner")]).toEqual([1, 0]);
  watch.last = [];
  expect(await paused("region")).toBe(0);
  expect(await metrics.text()).not.toContain("ams");
});

test("the reconciler's totals are counters, and what it does not know is left out", async () => {
  const metrics = createMetrics();
  const report = {
    takenOver: 4,
    lastRoundAt: null,
    regionStatus: null,
    skewMs: { database: -2_500, redis: null },
  } as unknown as ReconcileReport;
  registerReconciler(metrics, () => report);
  expect(await metrics.text()).toContain(`# TYPE ${name("reconciler_taken_over_total")} counter`);
  expect(await read(metrics, name("reconciler_taken_over_total"))).toBe(4);
  expect(await read(metrics, name("reconciler_region_oldest_due_seconds"))).toBeNull();
  expect(await read(metrics, name('reconciler_clock_skew_seconds{of="database"}'))).toBeNull();
  expect(await read(metrics, name('clock_skew_seconds{of="database"}'))).toBe(-2.5);
  expect(await read(metrics, name('clock_skew_seconds{of="redis"}'))).toBeNull();
});
