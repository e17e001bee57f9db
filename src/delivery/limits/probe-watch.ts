import type { Logger } from "../../log.ts";
import { createAnswerWithin } from "../../runtime/answer-within.ts";
import type { ProbeRequests } from "../../store/probe-requests.ts";
import type { Breaker } from "./breaker.ts";

/** Hears in the database that somebody wants a transport which is down to be tried at once. */
export interface ProbeWatch {
  /** To be called every second; asks only while the breaker is open. Never rejects. */
  look(): Promise<void>;
}

export interface ProbeWatchDeps {
  requests: Pick<ProbeRequests, "last">;
  breaker: Pick<Breaker, "snapshot" | "probeNow">;
  /** As the request names it. */
  transport: string;
  log: Logger;
}

const timeoutMs = 1_500;
/** An older request was made for another outage. */
const freshMs = 30_000;

export function createProbeWatch(deps: ProbeWatchDeps): ProbeWatch {
  const { requests, breaker, transport, log } = deps;
  const event = "requests for a probe cannot be read; trying again";
  const answerWithin = createAnswerWithin({ timeoutMs, event, log });
  let seen: string | null = null;

  return {
    async look() {
      if (breaker.snapshot().state !== "open") return;
      const found = await answerWithin(requests.last(transport));
      if (found === null || found.askedAt === seen) return;
      seen = found.askedAt;
      if (found.ageMs > freshMs) return;
      log.info("probing the transport, as an admin asked", { transport });
      breaker.probeNow();
    },
  };
}
