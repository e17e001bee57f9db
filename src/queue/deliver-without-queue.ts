import type { Logger } from "../log.ts";
import type { DueUnclaimed, Presence } from "../store/presence.ts";
import type { EmailJob } from "./deliver.ts";
import type { QueueHealthWatch } from "./queue-health.ts";
import type { QueuePause } from "./queue-pause.ts";
import { repeatSteadily } from "./repeat-steadily.ts";

/**
 * Delivers due emails that the queue gives to nobody, straight from the database: Redis refuses
 * writes, is gone, or has lost what would wake a worker in a way that nobody thought of. The claim
 * decides who sends, as for a job, so that a job for the same email finds nothing to do.
 */
export interface DeliveryWithoutQueue {
  /** Looks every second until `signal`; resolves then. */
  run(signal: AbortSignal): Promise<void>;
  /** Does what the queue has given the worker a job for. */
  duringJob(work: () => Promise<void>): Promise<void>;
}

export interface DeliveryWithoutQueueDeps {
  presence: Pick<Presence, "listDue">;
  queueHealth: Pick<QueueHealthWatch, "unfitMs">;
  pause: Pick<QueuePause, "isPaused">;
  /** Emails in hand at the same time. */
  countMax: () => number;
  /** Takes one email to its end; never rejects. */
  deliver: (job: EmailJob & Pick<DueUnclaimed, "ownerId">) => Promise<unknown>;
  log: Logger;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

const everyMs = 1_000;
/** One look of the queue's may fail by chance. */
const unfitMsMin = 1_500;
/** An email's own job, and whoever accepted it, may take so long. */
const dueMs = 2_000;
/** A queue that seems well gives a worker without any job those of due emails sooner than this. */
const idleMsMin = 5_000;
const idleDueMs = 10_000;

export function createDeliveryWithoutQueue(deps: DeliveryWithoutQueueDeps): DeliveryWithoutQueue {
  const { presence, queueHealth, pause, log, now = performance.now.bind(performance) } = deps;
  const inHand = new Set<string>();
  let jobs = 0;
  /** When the last job began or ended. */
  let jobAt = now();
  let isTold = false;

  /** How long an email has to be due for us to take it; null: all of them are the queue's. */
  function dueMsMin(): number | null {
    if (pause.isPaused) return null;
    if (queueHealth.unfitMs >= unfitMsMin) return dueMs;
    return jobs === 0 && now() - jobAt >= idleMsMin ? idleDueMs : null;
  }

  function tell(count: number): void {
    if (!isTold) log.warn("delivering due emails that the queue does not give", { count });
    isTold = true;
  }

  async function look(): Promise<void> {
    const minMs = dueMsMin();
    if (minMs === null) {
      isTold = false;
      return;
    }
    const room = deps.countMax() - inHand.size;
    if (room <= 0) return;
    // Those in hand are due and may be unclaimed still.
    const due = await presence.listDue({ dueMs: minMs, limit: room + inHand.size });
    const found = due.filter(({ id }) => !inHand.has(id));
    if (found.length > 0) tell(found.length);
    for (const email of shuffled(found).slice(0, room)) void take(email);
  }

  async function take({ id, wake, ownerId }: DueUnclaimed): Promise<void> {
    inHand.add(id);
    try {
      await deps.deliver({ emailId: id, wake, ownerId });
    } finally {
      inHand.delete(id);
    }
  }

  return {
    async duringJob(work) {
      jobs += 1;
      jobAt = now();
      try {
        await work();
      } finally {
        jobs -= 1;
        jobAt = now();
      }
    },
    run: (signal) =>
      repeatSteadily({ name: "delivery without queue", everyMs, step: look, log, signal }),
  };
}

/** Every worker of the region sees the same emails: each begins with others. */
function shuffled<T>(items: T[]): T[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
