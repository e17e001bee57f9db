import type { FleetView } from "../delivery/fleet.ts";
import type { BreakerSnapshot } from "../delivery/limits/breaker.ts";
import type { TransportState } from "../store/fleet.ts";
import type { HealthComponent } from "./health-of-work.ts";

/** Whether anybody sends; nothing can be said of it while the database does not answer. */
export function checkWorkers(view: FleetView | null): HealthComponent {
  if (view === null || view.senders > 0) return { status: "ok" };
  return { status: "degraded", detail: nobodySends };
}

export const nobodySends =
  "no process that sends is alive, so emails are accepted and wait: start one with ROLE=worker or " +
  "ROLE=all";

/** Whether other processes have written what came of their attempts; one's own is told apart. */
export function checkOthersSettling(view: FleetView | null): HealthComponent {
  const count = view?.unsettledByOthers ?? 0;
  if (count === 0) return { status: "ok" };
  const detail =
    `what came of ${count} attempts of other processes is not written yet, and is repeated until ` +
    "it is: see the /health of those that send, and stop none of them before";
  return { status: "degraded", detail };
}

export type TransportComponent = HealthComponent & {
  driver: "capture" | "smtp";
  /** Whether emails go out, or wait for it. */
  breaker: BreakerSnapshot["state"];
  /** When emails began to wait; ISO 8601. */
  since?: string;
};

/**
 * Whether mail gets out of the processes that send. One that is down delays what is accepted;
 * nothing of it is lost, and no attempt spent.
 */
export function checkTransports(
  view: FleetView | null,
  driver: "capture" | "smtp",
): TransportComponent {
  const transports = view?.transports ?? [];
  const down = downOf(transports);
  const [first] = down;
  if (first === undefined) return { status: "ok", driver, breaker: "closed" };
  return {
    status: "degraded",
    driver,
    detail: transportWords(transports),
    breaker: down.length === transports.length ? first.breaker : "closed",
    ...(first.since === null ? {} : { since: first.since }),
  };
}

/** Those through which nothing gets, longest down first. */
function downOf(transports: TransportState[]): TransportState[] {
  const down = transports.filter(({ detail }) => detail !== null);
  return down.toSorted((a, b) => ((a.since ?? "") < (b.since ?? "") ? -1 : 1));
}

/** Why mail does not get through, and from how many processes; empty: it does, from all. */
export function transportWords(transports: TransportState[]): string {
  const down = downOf(transports);
  const words = [...new Set(down.map(({ detail }) => detail))].join("; ");
  if (down.length === transports.length) return words;
  return down.length === 0 ? "" : `${down.length} of ${transports.length} processes: ${words}`;
}
