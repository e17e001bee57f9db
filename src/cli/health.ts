import { isAppError } from "../errors.ts";
import { within } from "../queue/abortable.ts";
import type { Parts } from "./parts.ts";

type Status = "ok" | "degraded" | "down";

/** What `/health` shows: no secrets, no addresses of servers. */
export interface HealthReport {
  status: Status;
  /** Whether an email would be accepted now. */
  accepting: boolean;
  components: Record<string, { status: Status; driver?: string; detail?: string }>;
}

const pingTimeoutMs = 2_000;

/** Looks at every part; answers within about two seconds, whatever hangs. */
export async function checkHealth(
  parts: Parts,
  state: { isPrepared: boolean; isDraining: boolean },
): Promise<HealthReport> {
  const [database, queue] = await Promise.all([checkDatabase(parts, state), checkQueue(parts)]);
  const { isOpen, isReached } = parts.delivering.gate;
  const driver = parts.sender.name === "capture" ? "capture" : "smtp";
  const trouble = isOpen ? "the last conversation got no reply" : "the next hop refuses us";
  const transport: HealthReport["components"][string] =
    isOpen && isReached
      ? { status: "ok", driver }
      : { status: "degraded", driver, detail: `${trouble}; see the log` };
  const isAccepting = database.status !== "down" && !state.isDraining && queue.status !== "down";
  const isDegraded = queue.status !== "ok" || transport.status !== "ok";
  return {
    status: isAccepting ? (isDegraded ? "degraded" : "ok") : "down",
    accepting: isAccepting,
    components: { database, queue, transport },
  };
}

async function checkDatabase(
  { database }: Parts,
  { isPrepared }: { isPrepared: boolean },
): Promise<HealthReport["components"][string]> {
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

/** A queue that is gone only delays; one that forgets jobs is a fault of configuration. */
async function checkQueue({ backend }: Parts): Promise<HealthReport["components"][string]> {
  const { driver } = backend;
  const answer = await within(backend.ping(), pingTimeoutMs);
  if (backend.policy !== "noeviction" && backend.policy !== "unknown") {
    const detail = `maxmemory-policy is ${backend.policy}: set it to noeviction, or jobs are lost`;
    return { status: "down", driver, detail };
  }
  if (!answer?.ok) return { status: "degraded", driver, detail: answer?.detail || "no answer" };
  return { status: "ok", driver };
}
