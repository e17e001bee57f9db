import type { Config } from "../config.ts";
import type { Breaker } from "../delivery/limits/breaker.ts";
import type { Transport } from "../mail/transport.ts";
import { faultWords } from "../mail/transport-fault.ts";
import type { QueueHealthWatch } from "../queue/queue-health.ts";
import type { ProcessState, TransportState } from "../store/fleet.ts";

export interface OwnParts {
  role: Config["role"];
  sender: Pick<Transport, "name">;
  breaker: Pick<Breaker, "snapshot">;
  queueHealth: Pick<QueueHealthWatch, "last">;
  settling: { readonly repeating: number };
}

/** What this process tells the others of itself. */
export function ownState(parts: OwnParts): ProcessState {
  const { state, detail, advice } = parts.queueHealth.last;
  return {
    transports: parts.role === "api" ? [] : [transportState(parts)],
    queue: state === "ok" ? null : `${detail}; ${advice}`,
    unsettled: parts.settling.repeating,
  };
}

function transportState({ sender: { name }, breaker }: OwnParts): TransportState {
  const { state, reason, said, smtpCode, openedAt, nextProbeAt, workedMsAgo } = breaker.snapshot();
  const quoted = said === null ? "" : ` (${said})`;
  const detail =
    reason === null
      ? null
      : `${faultWords[reason]}${quoted}; emails wait without spending attempts`;
  // A probe under way is no news that every other process would have to hear of.
  const known = state === "half_open" ? "open" : state;
  return {
    ...{ name, breaker: known, detail, since: openedAt?.toISOString() ?? null },
    ...{ reason: reason && faultWords[reason], reply: said, smtpCode, workedMsAgo },
    nextProbeAt: nextProbeAt?.toISOString() ?? null,
  };
}
