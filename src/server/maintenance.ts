import type { Queue } from "bullmq";
import type { Logger } from "../log.ts";
import type { QueueBackend } from "../queue/queue-backend.ts";
import { sleep } from "../runtime/abortable.ts";
import { repeatSteadily } from "../runtime/repeat-steadily.ts";
import type { Maintenance, MaintenanceResult } from "../store/maintenance.ts";

/** One part of the periodic work. */
export interface MaintenanceTask {
  name: string;
  everyMs: number;
  /** `pause` between two steps: it renews the lease and lets others at the database. */
  run(pause: () => Promise<void>): Promise<MaintenanceResult>;
  /** Counts that are worth a line of the log unless they are 0. Default: all. */
  news?: readonly string[];
}

export interface MaintenanceDeps {
  maintenance: Pick<Maintenance, "begin" | "end">;
  tasks: readonly MaintenanceTask[];
  /** BullMQ's, where other processes hear of its jobs; else null: the database's clock alone. */
  backend: Pick<QueueBackend, "createQueue" | "createWorker"> | null;
  log: Logger;
}

/** Sees to it that each part is done in time, by one process. */
export interface MaintenanceRunner {
  start(): void;
  /** Does one now, unless somebody is at it: then null, as for a name that there is not. */
  runNow(name: string): Promise<MaintenanceResult | null>;
  /** Ends the loop; a run under way ends with its next step. Never rejects. */
  stop(): Promise<void>;
}

/** The queue of the periodic work, as Bull Board names it. */
export const maintenanceQueueName = "maintenance";

/** What its jobs hold: their name says it all. */
export type MaintenanceJob = Record<string, never>;

/** How often the database's clock is asked whether something is due. */
const lookMs = 15_000;
/** How often the queue is asked to take the schedulers, until it has. */
const scheduleMs = 1_000;
/** A process that dies is waited for so long. */
const leaseMs = 5 * 60_000;
const renewMs = 60_000;
/** Between two steps; each holds locks for some milliseconds. */
const pauseMs = 20;

/**
 * With a queue that others share, job schedulers say when: one process of each region takes the job,
 * Bull Board shows when the last one was and what came of it, and lets an admin promote the next. The
 * database's clock is asked all the same, and does what no job has done in time: without Redis, and
 * while it is down. Either way a row of the database lets one process at a time do it.
 */
export function createMaintenanceRunner(deps: MaintenanceDeps): MaintenanceRunner {
  const { tasks, backend, log } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  let loop: Promise<void> = Promise.resolve();
  let isScheduled = backend === null;
  let queue: Queue<MaintenanceJob> | null = null;

  const running = new Map<string, Promise<MaintenanceResult | null>>();
  /** Once at a time in this process, whose lease lets it begin again. */
  function once(task: MaintenanceTask, everyMs: number): Promise<MaintenanceResult | null> {
    if (running.has(task.name)) return Promise.resolve(null);
    const run = attempt(task, everyMs, deps, signal).finally(() => running.delete(task.name));
    running.set(task.name, run);
    return run;
  }

  async function runNow(name: string): Promise<MaintenanceResult | null> {
    const task = tasks.find((each) => each.name === name);
    return task === undefined ? null : await once(task, 0);
  }

  /** A loop of its own: with Redis down it waits, and the database's clock is asked all the same. */
  async function schedule(): Promise<void> {
    if (isScheduled || queue === null) return;
    for (const { name, everyMs } of tasks) {
      const opts = { removeOnComplete: { count: 50 }, removeOnFail: { count: 50 } };
      await queue.upsertJobScheduler(name, { every: everyMs }, { name, opts });
    }
    isScheduled = true;
  }

  async function look(): Promise<void> {
    // A job has half a turn's time to be there first.
    const late = isScheduled && queue !== null ? 1.5 : 1;
    const failures: unknown[] = [];
    for (const task of tasks) {
      // One that fails keeps no other from its turn.
      await once(task, task.everyMs * late).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  return {
    start() {
      if (backend !== null) {
        queue = backend.createQueue<MaintenanceJob>(maintenanceQueueName);
        const process = async (job: {
          name: string;
          updateProgress(to: object): Promise<void>;
        }) => {
          const result = await runNow(job.name);
          await job.updateProgress(result ?? { left_to_another_process: 1 });
        };
        backend.createWorker<MaintenanceJob>(maintenanceQueueName, process, { concurrency: 1 });
        const scheduling = { name: "maintenance schedule", everyMs: scheduleMs, step: schedule };
        void repeatSteadily({ ...scheduling, log, signal });
      }
      loop = repeatSteadily({ name: "maintenance", everyMs: lookMs, step: look, log, signal });
    },
    runNow,
    async stop() {
      stopping.abort();
      await Promise.allSettled([loop, ...running.values()]);
    },
  };
}

/** Does it when the database lets us; null: not now. */
async function attempt(
  task: MaintenanceTask,
  everyMs: number,
  { maintenance, log }: MaintenanceDeps,
  signal: AbortSignal,
): Promise<MaintenanceResult | null> {
  const { name } = task;
  if (!(await maintenance.begin(name, { everyMs, leaseMs }))) return null;
  let renewedAt = performance.now();
  const startedAt = renewedAt;
  const result = await task.run(async () => {
    await sleep(pauseMs, signal);
    if (performance.now() - renewedAt < renewMs) return;
    renewedAt = performance.now();
    if (!(await maintenance.begin(name, { everyMs: 0, leaseMs }))) throw lostLease(name);
  });
  await maintenance.end(name, result);
  const news = task.news ?? Object.keys(result);
  if (news.some((what) => (result[what] ?? 0) > 0)) {
    const words = Object.entries(result).map(([what, count]) => `${what} ${count}`);
    const duration_ms = Math.round(performance.now() - startedAt);
    log.info("maintenance done", { component: name, reason: words.join(", "), duration_ms });
  }
  return result;
}

function lostLease(name: string): Error {
  return new Error(`another process took ${name} over: this one was silent for too long`);
}
