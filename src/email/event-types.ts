/**
 * What callers hear of an email: the journal's actions of the same name. Others (`claim.returned`,
 * `email.shredded`, what people did) stay in the audit trail.
 */
export const emailEventTypes = [
  "email.scheduled",
  "email.rescheduled",
  "email.updated",
  "email.cancelled",
  "email.sending",
  "email.sent",
  "email.deferred",
  "email.bounced",
  "email.failed",
  "email.expired",
  "email.held",
  "email.released",
  "email.uncertain",
  "email.replayed",
  "email.suppressed",
] as const;
export type EmailEventType = (typeof emailEventTypes)[number];
