import type { Queue } from "bullmq";
import type { Sealer } from "../journal/seal.ts";
import { cached } from "../metrics/cached.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { registerReadings } from "../metrics/register-readings.ts";
import type { QueueHealthWatch } from "../queue/queue-health.ts";
import { within } from "../runtime/abortable.ts";
import type { ByteSemaphore } from "../runtime/byte-semaphore.ts";
import type { FigureReader, Figures } from "../store/figures.ts";

export interface StatusDeps {
  figures: FigureReader;
  /** Of ticks; null where no process can hear of another. */
  queue: Pick<Queue, "getJobCounts"> | null;
  queueHealth: Pick<QueueHealthWatch, "look">;
  sealer: Pick<Sealer, "lagMs">;
  semaphore: Pick<ByteSemaphore, "inUse">;
  bytesMax: number;
  /** Of this process. */
  delivery: { readonly buffered: number; readonly active: number };
}

/** With Redis down a count hangs. */
const queueTimeoutMs = 2_000;
const jobStates = ["waiting", "active", "delayed", "prioritized"] as const;

/** How things stand, in the database, in the queue and in this process. */
export function registerStatus(metrics: Metrics, deps: StatusDeps): void {
  registerFigures(metrics, deps.figures);
  registerQueue(metrics, deps);
  registerReadings(metrics, () => deps, [
    {
      name: "sealer_lag_seconds",
      help: "How far sealing the journal is behind, as this process knows it.",
      read: ({ sealer }) => sealer.lagMs / 1000,
    },
    {
      name: "message_bytes_in_use",
      help: "Bytes of memory that messages being accepted and sent have taken.",
      read: ({ semaphore }) => semaphore.inUse,
    },
    {
      name: "message_bytes_limit",
      help: "Bytes of memory they may take; beyond it POST answers 503.",
      read: ({ bytesMax }) => bytesMax,
    },
    {
      name: "buffered_emails",
      help: "Emails this process has claimed that wait for their moment or their turn.",
      read: ({ delivery }) => delivery.buffered,
    },
    {
      name: "begun_emails",
      help: "Emails this process decrypts, sends or settles.",
      read: ({ delivery }) => delivery.active,
    },
  ]);
}

/** The same in every process: `max`, not `sum`, over them. */
function registerFigures(metrics: Metrics, figures: FigureReader): void {
  const read = cached(() => figures.read());
  registerReadings<{ found: Figures | null }>(metrics, async () => ({ found: await read() }), [
    {
      name: "database_up",
      help: "1 when the database answered the last look.",
      read: ({ found }) => (found === null ? 0 : 1),
    },
  ]);
  registerReadings<Figures>(metrics, read, [
    {
      name: "emails",
      help: "Emails in the database that are not done with, by status; counted up to 1000000.",
      labelNames: ["status"],
      read: ({ byStatus }) =>
        Object.entries(byStatus).map(([status, value]) => ({ labels: { status }, value })),
    },
    { name: "due_emails", help: "Emails past their time and unclaimed.", read: ({ due }) => due },
    {
      name: "oldest_due_seconds",
      help: "How long the email that is due longest has waited.",
      read: ({ oldestDueMs }) => oldestDueMs / 1000,
    },
    {
      name: "workers_alive",
      help: "Living processes that send.",
      read: ({ workersAlive }) => workersAlive,
    },
    {
      name: "journal_unsealed_entries",
      help: "Entries of the journal that are not sealed yet.",
      read: ({ unsealed }) => unsealed,
    },
    {
      name: "journal_seal_lag_seconds",
      help: "Age of the oldest entry that is not sealed yet.",
      read: ({ oldestUnsealedMs }) => oldestUnsealedMs / 1000,
    },
  ]);
}

interface QueueFigures {
  counts: Record<string, number>;
  /** It takes writes. */
  isUp: boolean;
}

function registerQueue(metrics: Metrics, { queue, queueHealth }: StatusDeps): void {
  const look = async (): Promise<QueueFigures> => {
    const [counts, health] = await Promise.all([
      queue?.getJobCounts(...jobStates) ?? {},
      queueHealth.look(),
    ]);
    return { counts, isUp: health.state === "ok" };
  };
  const read = cached(() => within(look(), queueTimeoutMs));
  registerReadings<{ found: QueueFigures | null }>(metrics, async () => ({ found: await read() }), [
    {
      name: "queue_up",
      help: "1 when the queue answered the last look, and took a write.",
      read: ({ found }) => (found?.isUp ? 1 : 0),
    },
  ]);
  registerReadings<QueueFigures>(metrics, read, [
    {
      name: "queue_jobs",
      help: "Ticks in the region's queue, by state; delayed ones are not due yet.",
      labelNames: ["state"],
      read: ({ counts }) =>
        jobStates.map((state) => ({ labels: { state }, value: counts[state] ?? 0 })),
    },
  ]);
}
