import { isAppError } from "../errors.ts";
import { faultWords } from "../mail/transport-fault.ts";
import { within } from "../queue/abortable.ts";
import type { BreakerSnapshot } from "../queue/breaker.ts";
import type { QueueHealth } from "../queue/queue-health.ts";
import {
  checkJournal,
  checkReconciler,
  checkSettling,
  type HealthComponent,
} from "./health-of-work.ts";
import type { Parts } from "./parts.ts";

type Status = HealthComponent["status"];

type Component = HealthComponent & {
  driver?: string;
  /** Of the transport: whether emails go out, or wait for it. */
  breaker?: BreakerSnapshot["state"];
};

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
  const [database, queue] = await Promise.all([checkDatabase(parts, state), checkQueue(parts)]);
  const transport = checkTransport(parts);
  const isAccepting = database.status !== "down" && !state.isDraining && queue.status !== "down";
  const clock = checkClock(parts);
  const reconciler = checkReconciler(parts);
  const journal = checkJournal(parts);
  const settling = checkSettling(parts.delivering.settling);
  const watched = [queue, transport, reconciler, clock, journal, settling];
  const isDegraded = watched.some(({ status }) => status !== "ok");
  return {
    status: isAccepting ? (isDegraded ? "degraded" : "ok") : "down",
    accepting: isAccepting,
    components: { database, queue, transport, reconciler, clock, journal, settling },
  };
}

/** A wrong clock sends nothing early, but BullMQ judges by it: emails can be seconds late. */
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

/** A next hop that is down delays what is accepted; nothing of it is lost, no attempt spent. */
export function checkTransport({ sender, delivering }: Parts): Component {
  const driver = sender.name === "capture" ? "capture" : "smtp";
  const { state: breaker, reason, said } = delivering.breaker.snapshot();
  if (reason === null) return { status: "ok", driver, breaker };
  const quoted = said === null ? "" : ` (${said})`;
  const detail = `${faultWords[reason]}${quoted}; emails wait without spending attempts`;
  return { status: "degraded", driver, detail, breaker };
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

/** A queue that takes no jobs only delays; one that can never be ours is a fault of configuration. */
async function checkQueue({ backend, queueHealth }: Parts): Promise<Component> {
  const { driver } = backend;
  const health = (await within(queueHealth.look(), pingTimeoutMs)) ?? silentQueue;
  const { state, detail, advice } = health;
  if (state === "ok") return { status: "ok", driver };
  const isMisconfigured = state === "evicting" || state === "unusable";
  return { status: isMisconfigured ? "down" : "degraded", driver, detail: `${detail}; ${advice}` };
}

const silentQueue: QueueHealth = { state: "silent", detail: "no answer", advice: "see the log" };
