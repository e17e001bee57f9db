import type { FleetView } from "../delivery/fleet.ts";
import {
  checkOthersSettling,
  checkTransports,
  checkWorkers,
  type TransportComponent,
} from "../doctor/health-of-fleet.ts";
import { checkReadReplica } from "../doctor/health-of-replica.ts";
import {
  checkJournal,
  checkReconciler,
  checkSettling,
  type HealthComponent,
} from "../doctor/health-of-work.ts";
import { checkPauses } from "../doctor/pause-words.ts";
import { isAppError } from "../errors.ts";
import type { QueueHealth } from "../queue/queue-health.ts";
import { within } from "../runtime/abortable.ts";
import type { Parts } from "./parts.ts";
import type { WebhookStatus } from "./webhook-parts.ts";

type Status = HealthComponent["status"];

type Component = (HealthComponent & { driver?: string }) | TransportComponent;

/** What `/health` shows: no secrets, no addresses of servers. */
export interface HealthReport {
  status: Status;
  /** Whether an email would be accepted now. */
  accepting: boolean;
  components: Record<string, Component>;
}

const pingTimeoutMs = 2_000;

/** Looks at every part; answers within about two seconds, whatever hangs. */
export async function checkHealth(
  parts: Parts & { reconcileIntervalMs: number },
  state: { isPrepared: boolean; isDraining: boolean },
): Promise<HealthReport> {
  const [database, view, own] = await Promise.all([
    checkDatabase(parts, state),
    parts.fleet.view(),
    within(parts.queueHealth.look(), pingTimeoutMs),
  ]);
  const queue = checkQueue(parts, own ?? silentQueue, view);
  const workers = checkWorkers(view);
  const transport = checkTransports(view, parts.sender.name === "capture" ? "capture" : "smtp");
  const isAccepting = database.status !== "down" && !state.isDraining && queue.status !== "down";
  const clock = checkClock(parts);
  const sending = checkPauses(parts.pauses.last);
  const isGettingThrough = [workers, transport, sending].every(({ status }) => status === "ok");
  const reconciler = checkReconciler({ ...parts, isGettingThrough });
  const journal = checkJournal(parts);
  const ownSettling = checkSettling(parts.settling);
  const settling = ownSettling.status === "ok" ? checkOthersSettling(view) : ownSettling;
  const memory = checkMemory(parts);
  const webhooks = checkWebhooks(parts.webhookStatus.last);
  const work = { queue, workers, transport, sending, reconciler };
  const { readReplica } = parts;
  const replica = readReplica === null ? {} : { read_replica: checkReadReplica(readReplica) };
  const watched = { ...work, clock, journal, settling, memory, ...replica };
  const isDegraded = Object.values(watched).some(({ status }) => status !== "ok");
  return {
    status: isAccepting ? (isDegraded ? "degraded" : "ok") : "down",
    accepting: isAccepting && memory.status === "ok",
    components: { database, ...watched, webhooks },
  };
}

/** What an owner's receiver does is no fault of the service, and is said all the same. */
function checkWebhooks({ failing, disabled }: WebhookStatus): Component {
  const words = [
    ...(failing > 0 ? [`${failing} webhooks are failing`] : []),
    ...(disabled > 0 ? [`${disabled} were disabled after 410 or five days of failures`] : []),
  ];
  return words.length === 0 ? { status: "ok" } : { status: "ok", detail: words.join("; ") };
}

/** Full, it refuses what comes and sends what is there: traffic may go elsewhere for a while. */
function checkMemory({ semaphore }: Pick<Parts, "semaphore">): Component {
  if (semaphore.hasRoom) return { status: "ok" };
  return { status: "degraded", detail: "requests hold all the bytes they may: more are refused" };
}

/** A wrong clock sends nothing early; ticks are judged by it, so emails can be up to a second late. */
function checkClock({ reconciler }: Parts): Component {
  const { isSkewed, skewMs } = reconciler.report();
  if (!isSkewed) return { status: "ok" };
  const words = Object.entries(skewMs).flatMap(([name, ms]) => {
    if (ms === null) return [];
    const seconds = (Math.abs(ms) / 1_000).toFixed(1);
    return [`${seconds} s ${ms > 0 ? "ahead of" : "behind"} the ${name}'s`];
  });
  return { status: "degraded", detail: `this machine's clock is ${words.join(" and ")}: set it` };
}

async function checkDatabase(
  { database }: Parts,
  { isPrepared }: { isPrepared: boolean },
): Promise<Component> {
  const { driver } = database;
  // Empty: all is well; null: no answer in time.
  const complaint = await within(
    database.ping().then(
      () => "",
      (error: unknown) => (isAppError(error) ? error.publicDetail : "no answer"),
    ),
    pingTimeoutMs,
  );
  if (complaint !== "") return { status: "down", driver, detail: complaint ?? "no answer" };
  if (!isPrepared) return { status: "down", driver, detail: "not ready: see the log" };
  return { status: "ok", driver };
}

/** A queue that takes no ticks delays by up to a second; one that can never be ours is a fault of configuration. */
function checkQueue({ backend }: Parts, own: QueueHealth, view: FleetView | null): Component {
  const { driver } = backend;
  const { state, detail, advice } = own;
  const [other] = view?.otherQueues ?? [];
  if (state === "ok" && other === undefined) return { status: "ok", driver };
  if (state === "ok") return { status: "degraded", driver, detail: `of another process: ${other}` };
  const isMisconfigured = state === "evicting" || state === "unusable";
  return { status: isMisconfigured ? "down" : "degraded", driver, detail: `${detail}; ${advice}` };
}

const silentQueue: QueueHealth = { state: "silent", detail: "no answer", advice: "see the log" };
