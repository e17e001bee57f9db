import type { EmailState } from "./email.ts";

/**
 * The legal edges of an email's states. The trigger `mailer.check_edge` enforces the same
 * table in the database; a test compares the two.
 */
export function isLegalEdge(from: EmailState, to: EmailState, isFenced: boolean): boolean {
  switch (from) {
    case "pending":
      return ["sending", "cancelled", "expired", "suppressed", "held"].includes(to);
    case "held":
      return ["pending", "cancelled"].includes(to);
    case "sending":
      return (
        ["pending", "failed", "partially_sent"].includes(to) ||
        (isFenced
          ? ["sent", "uncertain"].includes(to)
          : ["cancelled", "expired", "suppressed", "held"].includes(to))
      );
    // Only by a person's replay.
    case "failed":
    case "uncertain":
    case "partially_sent":
      return to === "pending";
    case "sent":
    case "cancelled":
    case "expired":
    case "suppressed":
      return false;
  }
}

/** States in which an email waits for a person. */
export const deadLetterStates = ["failed", "uncertain", "held", "partially_sent"] as const;

/** True when nothing more happens to the email by itself. */
export function hasEnded(state: EmailState): boolean {
  return state !== "pending" && state !== "sending";
}
