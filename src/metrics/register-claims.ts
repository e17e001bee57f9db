import type { AuditReport } from "../delivery/self-audit.ts";
import type { Settling } from "../delivery/settling.ts";
import type { Metrics } from "./metrics.ts";
import { registerReadings } from "./register-readings.ts";

export interface ClaimFigures {
  selfAudit: { report(): AuditReport };
  settling: Pick<Settling, "repeating">;
}

/** What this worker has claimed, what of it was found without a holder, and what is unwritten. */
export function registerClaims(metrics: Metrics, { selfAudit, settling }: ClaimFigures): void {
  registerReadings(metrics, () => selfAudit.report(), [
    {
      name: "settles_repeating",
      help: "Outcomes that are known and not written yet: each settle is repeated until it is.",
      read: () => settling.repeating,
    },
    {
      name: "claims_held",
      help: "Claims this process has in memory: waiting, being sent, or being settled.",
      read: ({ held }) => held,
    },
    {
      name: "claims_returned_total",
      help: "Claims that nobody in this process held, made pending again by its self-audit.",
      isCounter: true,
      read: ({ returned }) => returned,
    },
    {
      name: "claims_uncertain_total",
      help: "Fenced emails that nobody in this process held, settled as uncertain by its self-audit.",
      isCounter: true,
      read: ({ uncertain }) => uncertain,
    },
  ]);
}
