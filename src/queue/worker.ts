import { DelayedError, type Job } from "bullmq";
import type { Logger } from "../log.ts";
import type { DueUnclaimed, Presence } from "../store/presence.ts";
import { endedWithin, sleep, within } from "./abortable.ts";
import type { ClockSkew } from "./clock-skew.ts";
import {
  askForClaim,
  type DeliverDeps,
  type Delivered,
  deliver,
  deliverClaimed,
  type EmailJob,
} from "./deliver.ts";
import { createDeliveryWithoutQueue } from "./deliver-without-queue.ts";
import type { Courier, DirectDelivery } from "./direct-delivery.ts";
import type { WakeJob } from "./enqueue.ts";
import type { Headroom } from "./headroom.ts";
import { createIsolation, type Isolation } from "./isolation.ts";
import type { QueueBackend } from "./queue-backend.ts";
import type { QueueHealthWatch } from "./queue-health.ts";
import { emailQueueName } from "./queue-options.ts";
import type { QueuePause } from "./queue-pause.ts";
import { aheadMs, leadMs, readyPerMs } from "./ready-times.ts";

export interface EmailWorkerDeps extends DeliverDeps {
  backend: QueueBackend;
  presence: Pick<Presence, "unqueue" | "listDue">;
  queueHealth: Pick<QueueHealthWatch, "unfitMs">;
  pause: Pick<QueuePause, "isPaused">;
  clockSkew: Pick<ClockSkew, "now">;
  headroom: Headroom;
  direct: DirectDelivery;
}

export interface EmailWorker {
  /** Emails that are being delivered right now, or whose outcome is yet to be written. */
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
  const putOffs = createPutOffs();
  const withoutQueue = createDeliveryWithoutQueue({
    ...deps,
    countMax: () => deps.headroom.jobsMax,
    deliver: (job) => count(deliverDue(deps, job, signals, isolation)),
  });

  function count<T>(run: Promise<T>): Promise<T> {
    running.add(run);
    return run.finally(() => running.delete(run));
  }

  // Returns nothing: a value that cannot be stored would run the job again after its send.
  async function runJob(job: Job<WakeJob>, token?: string): Promise<void> {
    const taken = { job, token };
    if (isEarly(deps, job.data)) {
      if (!(await count(takeAhead(deps, taken, signals))))
        await comeAtItsTime(deps, taken, putOffs);
    } else {
      const delivered = await count(deliverJob(deps, taken, signals, isolation));
      if (delivered && isAttempted(delivered)) deps.direct.countDelivered();
    }
    worker.concurrency = deps.headroom.jobsMax;
    await deps.failPoints("job.before");
  }

  const runCounted = (job: Job<WakeJob>, token?: string) =>
    withoutQueue.duringJob(() => runJob(job, token));
  const worker = deps.backend.createWorker<WakeJob>(emailQueueName, runCounted, {
    concurrency: deps.headroom.jobsMax,
  });
  worker.on("completed", () => void deps.failPoints("job.after"));
  const closeFailed = (err: unknown) => deps.log.warn("worker was not closed in order", { err });
  const courier = createCourier(deps, signals);
  deps.direct.open({
    deliver: (held) => count(courier.deliver(held)),
    findLost: (held) => count(courier.findLost(held)),
  });
  void withoutQueue.run(signals.drain);

  return {
    get active() {
      return running.size + deps.settling.repeating;
    },
    async drain(deadlineMs) {
      const reserveMs = Math.min(settleReserveMs, deadlineMs * 0.15);
      const until = performance.now() + deadlineMs;
      // With Redis down this hangs; the jobs end all the same.
      void endedWithin(worker.pause(true), deadlineMs, closeFailed);
      drainController.abort(new Error("draining"));
      deps.direct.close();
      const allWritten = () => allEnded(running).then(() => deps.settling.idle());
      await within(allWritten(), deadlineMs - reserveMs);
      endController.abort(new Error("out of time"));
      await within(allWritten(), reserveMs / 2);
      deps.log.info("worker drained", { count: running.size + deps.settling.repeating });
      // `close` hangs while Redis is down; the process ends without it then.
      const leftMs = Math.max(0, until - performance.now());
      await endedWithin(worker.close(true), leftMs, closeFailed);
    },
  };
}

async function allEnded(running: Set<Promise<unknown>>): Promise<void> {
  while (running.size > 0) await Promise.allSettled([...running]);
}

/** A job, and the token of its lock. */
interface TakenJob {
  job: Job<WakeJob>;
  token: string | undefined;
}

async function deliverJob(
  deps: EmailWorkerDeps,
  taken: TakenJob,
  signals: { drain: AbortSignal; end: AbortSignal },
  isolation: Isolation,
): Promise<Delivered | undefined> {
  const { emailId, wake, dueAt, line, isBehind = false } = taken.job.data;
  const log = deps.log.with({ email_id: emailId, wake });
  const canPutOff = deps.backend.driver === "redis";
  const delivered = await orGiveBack(deps, taken, signals, log, async () => {
    await untilDue(deps.clockSkew, dueAt, signals.drain);
    for (;;) {
      const leave = await deps.headroom.enter({ line, isBehind }, signals.drain);
      const once = await deliverOrIsolate(deps, { emailId, wake }, signals, isolation, log).finally(
        leave,
      );
      logDelivered(log, once);
      if (once.kind !== "locked" || canPutOff) return once;
      await sleep(lockedMs, signals.drain);
    }
  });
  if (delivered?.kind !== "locked") return delivered;
  // So that it holds no place meanwhile.
  await taken.job.moveToDelayed(Date.now() + lockedMs, taken.token);
  throw new DelayedError();
}

/** A job whose email another transaction holds comes back so long afterwards. */
const lockedMs = 1_000;

/** An email that came without a job. One that was not claimed stays due, for the next look. */
async function deliverDue(
  deps: EmailWorkerDeps,
  { emailId, wake, ownerId }: EmailJob & Pick<DueUnclaimed, "ownerId">,
  signals: { drain: AbortSignal; end: AbortSignal },
  isolation: Isolation,
): Promise<void> {
  const log = deps.log.with({ email_id: emailId, wake });
  try {
    const standing = { line: Bun.hash.xxHash32(ownerId), isBehind: true };
    const leave = await deps.headroom.enter(standing, signals.drain);
    const delivering = deliverOrIsolate(deps, { emailId, wake }, signals, isolation, log);
    logDelivered(log, await delivering.finally(leave));
  } catch (error) {
    if (!signals.drain.aborted) log.error("delivery failed", { err: error });
  }
}

/**
 * The job ends with its work, so an email that was not claimed must be queued again by whoever
 * comes next; one that was is found by the reconciler. Who drains leaves the job itself to the
 * others, where that is possible: it may be due within the second, the reconciler's next round not.
 */
async function orGiveBack<T>(
  deps: EmailWorkerDeps,
  taken: TakenJob,
  signals: { drain: AbortSignal },
  log: Logger,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const isDraining = signals.drain.aborted;
    if (isDraining && (await leaveToOthers(deps, taken))) throw new DelayedError();
    await unqueue(deps, taken.job.data, log);
    if (isDraining) return undefined;
    log.error("delivery failed", { err: error });
    throw error;
  }
}

/** The reconciler queues the email again; if this fails, it finds that the job is gone. */
async function unqueue(
  { presence }: Pick<EmailWorkerDeps, "presence">,
  { emailId, wake }: Pick<WakeJob, "emailId" | "wake">,
  log: Logger,
): Promise<void> {
  const failed = (err: unknown) => log.warn("email could not be handed back", { err });
  await endedWithin(presence.unqueue([{ id: emailId, wake }]), settleReserveMs / 2, failed);
}

/** False: its queue cannot, or does not answer. */
async function leaveToOthers(
  { backend, clockSkew, log }: EmailWorkerDeps,
  { job, token }: TakenJob,
): Promise<boolean> {
  if (backend.driver !== "redis") return false;
  const leftMs = (job.data.dueAt ?? 0) - clockSkew.now().getTime() - leadMs;
  const moved = job.moveToDelayed(Date.now() + Math.max(0, Math.floor(leftMs)), token).then(
    () => true,
    (err: unknown) => {
      log.warn("job could not be left to other workers", { email_id: job.data.emailId, err });
      return false;
    },
  );
  return (await within(moved, leaveMsMax)) ?? false;
}

/** Of the drain's time, when Redis is down. */
const leaveMsMax = 500;

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
  taken: TakenJob,
  signals: { drain: AbortSignal; end: AbortSignal },
): Promise<boolean> {
  if (!deps.direct.hasRoomAhead) return false;
  const { emailId, wake, line } = taken.job.data;
  const log = deps.log.with({ email_id: emailId, wake });
  const isDone = await orGiveBack(deps, taken, signals, log, async () => {
    const leave = await enterSoon(deps.headroom, line, signals.drain);
    if (!leave) return false;
    const asked = { emailId, wake, aheadMs: 2 * aheadMs };
    const { answer, drop } = await askForClaim(deps, asked, signals).finally(leave);
    if (drop) deps.direct.holdUntilDue(answer.email);
    drop?.();
    return !["not_due", "suspect", "locked"].includes(answer.kind);
  });
  return isDone ?? true;
}

/** Others' floods may stand at a next hop that does not answer; who waits here holds a job. */
const enterMsMax = 500;

async function enterSoon(
  headroom: Headroom,
  line: number | undefined,
  drain: AbortSignal,
): Promise<(() => void) | null> {
  const leave = headroom.tryEnter(line);
  if (leave) return leave;
  const signal = AbortSignal.any([drain, AbortSignal.timeout(enterMsMax)]);
  return await headroom.enter({ line, isBehind: true }, signal).catch(() => {
    drain.throwIfAborted();
    return null;
  });
}

/**
 * Puts the job off, which keeps its place: to its time, and of many at one time to one after the
 * other, since BullMQ makes ready all that it can at once.
 */
async function comeAtItsTime(
  { clockSkew, presence, log }: EmailWorkerDeps,
  { job, token }: TakenJob,
  putOffs: PutOffs,
): Promise<never> {
  const { dueAt = 0 } = job.data;
  const now = clockSkew.now().getTime();
  const afterMs = putOffs.countOf(dueAt, now) / readyPerMs;
  try {
    // Whoever looks for jobs that are stuck is told that this one is not.
    if (afterMs > toldAfterMs) await job.updateData({ ...job.data, readyAt: dueAt + afterMs });
    const leftMs = Math.max(0, dueAt - now + Math.floor(afterMs));
    await job.moveToDelayed(Date.now() + leftMs, token);
  } catch (error) {
    await unqueue({ presence }, job.data, log.with({ email_id: job.data.emailId }));
    throw error;
  }
  throw new DelayedError();
}

const toldAfterMs = 1_000;

/** How many jobs of each moment were put off. */
interface PutOffs {
  /** Before this one, of the same moment; both in ms since 1970. */
  countOf(dueAt: number, now: number): number;
}

function createPutOffs(): PutOffs {
  const counts = new Map<number, number>();
  return {
    countOf(dueAt, now) {
      const count = counts.get(dueAt) ?? 0;
      if (count === 0) for (const past of counts.keys()) if (past < now) counts.delete(past);
      counts.set(dueAt, count + 1);
      return count;
    },
  };
}

/** The emails that need no job. An email that was not settled is found by the self-audit. */
function createCourier(
  deps: EmailWorkerDeps,
  signals: { drain: AbortSignal; end: AbortSignal },
): Courier {
  return {
    async deliver(held) {
      const log = deps.log.with({ email_id: held.email.id, claim_token: held.email.token });
      try {
        const delivered = await deliverClaimed(deps, held, signals);
        logDelivered(log, delivered);
        return isAttempted(delivered);
      } catch (error) {
        if (!signals.drain.aborted) log.error("delivery failed", { err: error });
        return false;
      }
    },
    async findLost(held) {
      // Whoever is not told so finds out at the fence.
      const claims = held.map(({ id, token }) => ({ id, token }));
      return new Set(await deps.attempts.findLost(claims).catch(() => []));
    },
  };
}

function isAttempted({ kind }: Delivered): boolean {
  return kind === "settled" || kind === "repeating";
}

async function deliverOrIsolate(
  deps: EmailWorkerDeps,
  { emailId, wake }: EmailJob,
  signals: { drain: AbortSignal; end: AbortSignal },
  isolation: Isolation,
  log: Logger,
): Promise<Delivered> {
  const delivered = await deliver(deps, { emailId, wake }, signals);
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
    case "repeating":
      // Its settle says so, and when it is written.
      return;
    case "dropped":
    case "suspect":
    case "locked":
    case "not_claimed":
      log.debug("job had nothing to do", { reason: delivered.kind });
  }
}
