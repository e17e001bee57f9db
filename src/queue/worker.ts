import { DelayedError, type Job, type Worker } from "bullmq";
import type { Logger } from "../log.ts";
import type { Presence } from "../store/presence.ts";
import { sleep, within } from "./abortable.ts";
import type { ClockSkew } from "./clock-skew.ts";
import {
  askForClaim,
  type DeliverDeps,
  type Delivered,
  deliver,
  deliverClaimed,
  type EmailJob,
  giveBackClaimed,
} from "./deliver.ts";
import type { Courier, DirectDelivery } from "./direct-delivery.ts";
import type { WakeJob } from "./enqueue.ts";
import type { Headroom } from "./headroom.ts";
import { createIsolation, type Isolation } from "./isolation.ts";
import type { QueueBackend } from "./queue-backend.ts";
import { emailQueueName } from "./queue-options.ts";
import { aheadMs, leadMs, readyPerMs } from "./ready-times.ts";

export interface EmailWorkerDeps extends DeliverDeps {
  backend: QueueBackend;
  presence: Pick<Presence, "unqueue">;
  clockSkew: Pick<ClockSkew, "now">;
  headroom: Headroom;
  direct: DirectDelivery;
}

export interface EmailWorker {
  /** Emails that are being delivered right now. */
  readonly active: number;
  /**
   * Takes no more jobs; gives back what is not fenced, without spending an attempt; waits for
   * what is. At `deadlineMs` whatever is left is settled as uncertain. Never rejects.
   */
  drain(deadlineMs: number): Promise<void>;
}

/** At most this much of the drain's time is kept for settling what did not end by itself. */
const settleReserveMs = 2_000;

/** Sends emails as the queue wakes it. Every email it takes is settled, whatever happens. */
export function createEmailWorker(deps: EmailWorkerDeps): EmailWorker {
  const drainController = new AbortController();
  const endController = new AbortController();
  const signals = { drain: drainController.signal, end: endController.signal };
  const running = new Set<Promise<unknown>>();
  const isolation = createIsolation();
  const putOff: PutOff = { dueAt: 0, count: 0 };

  function count<T>(run: Promise<T>): Promise<T> {
    running.add(run);
    return run.finally(() => running.delete(run));
  }

  // Returns nothing: a value that cannot be stored would run the job again after its send.
  async function runJob(job: Job<WakeJob>, token?: string): Promise<void> {
    if (isEarly(deps, job.data)) {
      if (!(await count(takeAhead(deps, job.data, signals))))
        await comeAtItsTime(deps, job, token, putOff);
    } else {
      await count(deliverJob(deps, job.data, signals, isolation));
      deps.direct.countDelivered();
    }
    worker.concurrency = deps.headroom.jobsMax;
    await deps.failPoints("job.before");
  }

  const worker = deps.backend.createWorker<WakeJob>(emailQueueName, runJob, {
    concurrency: deps.headroom.jobsMax,
  });
  worker.on("completed", () => void deps.failPoints("job.after"));
  const courier = createCourier(deps, signals, isolation);
  deps.direct.open({
    deliver: (...email) => count(courier.deliver(...email)),
    giveBack: (email) => count(courier.giveBack(email)),
    recover: (emailId) => count(courier.recover(emailId)),
  });

  return {
    get active() {
      return running.size;
    },
    async drain(deadlineMs) {
      const reserveMs = Math.min(settleReserveMs, deadlineMs * 0.15);
      const until = performance.now() + deadlineMs;
      // With Redis down this hangs; the jobs end all the same.
      void within(worker.pause(true), deadlineMs);
      drainController.abort(new Error("draining"));
      deps.direct.close();
      await within(allEnded(running), deadlineMs - reserveMs);
      endController.abort(new Error("out of time"));
      await within(allEnded(running), reserveMs / 2);
      deps.log.info("worker drained", { count: running.size });
      await closeWorker(worker, Math.max(0, until - performance.now()));
    },
  };
}

async function allEnded(running: Set<Promise<unknown>>): Promise<void> {
  while (running.size > 0) await Promise.allSettled([...running]);
}

/** `close` hangs while Redis is down; the process ends without it then. */
async function closeWorker(worker: Worker, timeoutMs: number): Promise<void> {
  await within(worker.close(true), timeoutMs);
}

async function deliverJob(
  deps: EmailWorkerDeps,
  job: WakeJob,
  signals: { drain: AbortSignal; end: AbortSignal },
  isolation: Isolation,
): Promise<void> {
  const { emailId, wake, dueAt, line, isBehind = false } = job;
  const log = deps.log.with({ email_id: emailId, wake });
  await orUnqueue(deps, job, signals, log, async () => {
    await untilDue(deps.clockSkew, dueAt, signals.drain);
    const leave = await deps.headroom.enter({ line, isBehind }, signals.drain);
    const delivered = await deliverOrIsolate(
      deps,
      { emailId, wake },
      signals,
      isolation,
      log,
    ).finally(leave);
    logDelivered(log, delivered);
  });
}

/**
 * The job ends with its work, so an email that was not claimed must be queued again by whoever
 * comes next; one that was is found by the reconciler.
 */
async function orUnqueue<T>(
  deps: EmailWorkerDeps,
  { emailId, wake }: WakeJob,
  signals: { drain: AbortSignal },
  log: Logger,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    await within(deps.presence.unqueue([{ id: emailId, wake }]), settleReserveMs / 2);
    if (signals.drain.aborted) return undefined;
    log.error("delivery failed", { err: error });
    throw error;
  }
}

/** Whether it is one of a flood that comes to be claimed ahead of its time. */
function isEarly({ backend, clockSkew }: EmailWorkerDeps, { isBehind, dueAt }: WakeJob): boolean {
  // BullMQ cannot put a job off that is under way when it is in PostgreSQL.
  if (backend.driver !== "redis" || !isBehind || dueAt === undefined) return false;
  const leftMs = dueAt - clockSkew.now().getTime();
  return leftMs > 2 * leadMs && leftMs <= 2 * aheadMs;
}

/** Claims an email that is held here until its time. False: it has to come again. */
async function takeAhead(
  deps: EmailWorkerDeps,
  job: WakeJob,
  signals: { drain: AbortSignal; end: AbortSignal },
): Promise<boolean> {
  if (!deps.direct.hasRoomAhead) return false;
  const { emailId, wake, line } = job;
  const log = deps.log.with({ email_id: emailId, wake });
  const taken = await orUnqueue(deps, job, signals, log, async () => {
    const leave = await deps.headroom.enter({ line, isBehind: true }, signals.drain);
    const asked = { emailId, wake, aheadMs: 2 * aheadMs };
    const answer = await askForClaim(deps, asked, signals).finally(leave);
    if (answer.kind === "claimed") deps.direct.holdUntilDue(answer.email);
    return answer.kind !== "not_due" && answer.kind !== "suspect";
  });
  return taken ?? true;
}

/**
 * Puts the job off, which keeps its place: to its time, and of many at one time to one after the
 * other, since BullMQ makes ready all that it can at once.
 */
async function comeAtItsTime(
  { clockSkew, presence }: EmailWorkerDeps,
  job: Job<WakeJob>,
  token: string | undefined,
  putOff: PutOff,
): Promise<never> {
  const { emailId, wake, dueAt = 0 } = job.data;
  if (putOff.dueAt !== dueAt) Object.assign(putOff, { dueAt, count: 0 });
  const leftMs = dueAt - clockSkew.now().getTime() + Math.floor(putOff.count++ / readyPerMs);
  try {
    await job.moveToDelayed(Date.now() + Math.max(0, leftMs), token);
  } catch (error) {
    await within(presence.unqueue([{ id: emailId, wake }]), settleReserveMs / 2);
    throw error;
  }
  throw new DelayedError();
}

/** How many jobs of the last moment were put off. */
interface PutOff {
  dueAt: number;
  count: number;
}

/** The emails that need no job. An email that was not settled is found by the reconciler. */
function createCourier(
  deps: EmailWorkerDeps,
  signals: { drain: AbortSignal; end: AbortSignal },
  isolation: Isolation,
): Courier {
  async function orLog(emailId: string, run: (log: Logger) => Promise<Delivered>): Promise<void> {
    const log = deps.log.with({ email_id: emailId, wake: firstWake });
    try {
      logDelivered(log, await run(log));
    } catch (error) {
      if (!signals.drain.aborted) log.error("delivery failed", { err: error });
    }
  }
  return {
    deliver: (email, opened, standing) =>
      orLog(email.id, () => deliverClaimed(deps, { email, opened, standing }, signals)),
    giveBack: (email) => orLog(email.id, () => giveBackClaimed(deps, email, signals)),
    recover: (emailId) => {
      const job = { emailId, wake: firstWake, isAgain: true };
      return orLog(emailId, (log) => deliverOrIsolate(deps, job, signals, isolation, log));
    },
  };
}

/** Of an email that was just accepted. */
const firstWake = 1;

async function deliverOrIsolate(
  deps: EmailWorkerDeps,
  { emailId, wake, isAgain = false }: EmailJob,
  signals: { drain: AbortSignal; end: AbortSignal },
  isolation: Isolation,
  log: Logger,
): Promise<Delivered> {
  const delivered = await deliver(deps, { emailId, wake, isAgain }, signals);
  if (delivered.kind !== "suspect") return delivered;
  log.warn("workers died with this email; trying it apart from others like it");
  const again = () => deliver(deps, { emailId, wake, isIsolated: true }, signals);
  return isolation.run(again, signals.drain);
}

/** Waits out the lead that jobs have; whether an email is due, the claim alone decides. */
async function untilDue(
  clockSkew: EmailWorkerDeps["clockSkew"],
  dueAt: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (dueAt === undefined) return;
  const leftMs = dueAt - clockSkew.now().getTime();
  // What is further away came by another way, such as a click: the claim says what to do.
  if (leftMs > 0 && leftMs <= 2 * leadMs) await sleep(leftMs + 1, signal);
}

function logDelivered(log: Logger, delivered: Delivered): void {
  switch (delivered.kind) {
    case "settled":
      log.info("attempt settled", { state: delivered.state, outcome: delivered.outcome });
      return;
    case "released":
      log.info("email released", { reason: delivered.reason });
      return;
    case "dropped":
    case "suspect":
    case "not_claimed":
      log.debug("job had nothing to do", { reason: delivered.kind });
  }
}
