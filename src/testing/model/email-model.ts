import type { EmailState, OnLate, OnUncertain, RecipientStatus } from "../../email/email.ts";
import { nextStateByReplies, nextStateByUncertainty } from "../../email/next-state.ts";

/**
 * What the database should say, as a plain object. Time is counted in units and moves only when
 * a command moves it, so that the model never depends on how fast a machine is.
 */
export interface ModelEmail {
  readonly id: string;
  state: EmailState;
  token: number;
  worker: number | null;
  claimedAt: number;
  fencedAt: number | null;
  attempts: number;
  attemptsBefore: number;
  readonly maxRetries: number;
  dueAt: number;
  /** Half units, so that it never coincides with the clock. */
  expiresAt: number | null;
  readonly onLate: OnLate;
  readonly onUncertain: OnUncertain;
  recipients: RecipientStatus[];
  wasUncertain: boolean;
  /** Deaths of workers that it is blamed for. */
  crashes: number;
  /** Journal entries that carry a sequence. */
  entries: number;
  /** Tokens whose fence was granted. */
  readonly fencedTokens: number[];
}

export interface Model {
  now: number;
  /** Minutes on the emails' own scale; one unit is one minute of the retry schedule. */
  readonly emails: ModelEmail[];
  /** Workers whose heartbeat is silent. */
  readonly silent: Set<number>;
  /** Since when each worker was heard without a gap; absent: from the beginning. */
  readonly steadySince: Map<number, number>;
  /** What each worker had begun by its last beat. */
  readonly begun: Map<number, ReadonlySet<string>>;
}

/**
 * One unit of the model's time. Long enough that a real run never comes near one, and chosen
 * between the limits of `take_over`: 12 minutes (1.2 reply timeouts of 10) are over after one
 * unit, 15 after two, and 27 only after three.
 */
export const unitMs = 13 * 60_000;
export const replyTimeoutMs = 600_000;
export const workerCount = 3;

export function modelEmail(
  id: string,
  fields: Pick<ModelEmail, "dueAt" | "expiresAt" | "onLate" | "onUncertain" | "maxRetries">,
  recipientCount: number,
): ModelEmail {
  return {
    ...fields,
    id,
    state: "pending",
    token: 0,
    worker: null,
    claimedAt: 0,
    fencedAt: null,
    attempts: 0,
    attemptsBefore: 0,
    recipients: Array.from({ length: recipientCount }, () => "pending"),
    wasUncertain: false,
    crashes: 0,
    entries: 1,
    fencedTokens: [],
  };
}

/** A claim takes an email alone in its region: after one death it is among the few tried apart. */
const suspectFrom = 1;
const poisonFrom = 6;

export function judgeClaim(model: Model, email: ModelEmail, { suspects }: { suspects: boolean }) {
  if (email.state !== "pending" || email.dueAt > model.now) return "none" as const;
  if (email.crashes >= suspectFrom && !suspects) return "none" as const;
  if (isLate(model, email)) return email.onLate === "drop" ? "expired" : "held";
  return "claimed" as const;
}

/** Too late to be sent any more. */
function isLate(model: Model, { expiresAt, onLate }: ModelEmail): boolean {
  return onLate !== "send" && expiresAt !== null && expiresAt < model.now;
}

export function judgeFence(model: Model, email: ModelEmail, token: number) {
  if (email.state === "cancelled") return "cancelled" as const;
  const isOurs = email.state === "sending" && email.token === token;
  if (!isOurs || email.fencedAt !== null) return "stale" as const;
  return isLate(model, email) ? ("fence_failed" as const) : ("granted" as const);
}

export function judgeCancel(email: ModelEmail) {
  switch (email.state) {
    case "cancelled":
      return "cancelled" as const;
    case "sent":
    case "partially_sent":
      return "already_sent" as const;
    case "failed":
      return "already_failed" as const;
    case "expired":
      return "already_expired" as const;
    case "suppressed":
      return "already_suppressed" as const;
    case "uncertain":
      return "outcome_uncertain" as const;
    case "sending":
      if (email.fencedAt !== null) return "in_flight" as const;
      break;
    case "pending":
    case "held":
  }
  if (email.recipients.includes("sent")) return "already_sent" as const;
  return email.wasUncertain ? ("outcome_uncertain" as const) : ("cancelled" as const);
}

export function isHeldBy(email: ModelEmail, token: number): boolean {
  return email.state === "sending" && email.token === token;
}

export function untried(email: ModelEmail): number[] {
  return email.recipients.flatMap((status, position) =>
    status === "pending" || status === "deferred" ? [position] : [],
  );
}

/** An attempt ended with these replies; those not named keep what they had. */
export function applyReplies(
  model: Model,
  email: ModelEmail,
  replies: Map<number, "sent" | "deferred" | "bounced">,
): void {
  for (const [position, status] of replies) email.recipients[position] = status;
  const count = (wanted: RecipientStatus) =>
    email.recipients.filter((status) => status === wanted).length;
  const counts = { sent: count("sent"), bounced: count("bounced"), deferred: count("deferred") };
  const bounced = [...replies.values()].filter((status) => status === "bounced").length;
  end(model, email, nextStateByReplies(counts, budget(email), clock), bounced);
}

/** The body may have arrived; nobody knows. */
export function applyUncertainty(model: Model, email: ModelEmail): void {
  email.wasUncertain = true;
  end(model, email, nextStateByUncertainty(email.onUncertain, budget(email), clock), 0);
}

/** The unit as the minute of the retry schedule, and no jitter: waits are whole units. */
const clock = { minuteMs: unitMs, random: 0 };

function budget(email: ModelEmail) {
  const attempts = email.attempts + 1 - email.attemptsBefore;
  return { attempts, maxRetries: email.maxRetries, ageMs: 0, maxAgeSeconds: 1_000_000_000 };
}

function end(
  model: Model,
  email: ModelEmail,
  next: ReturnType<typeof nextStateByReplies>,
  bounced: number,
): void {
  email.state = next.state;
  email.attempts += 1;
  email.entries += 1 + bounced;
  if (next.retryInMs !== null) email.dueAt = model.now + next.retryInMs / unitMs;
  clear(email);
  letGo(email);
}

/** A settled attempt, or a person's word, ends all suspicion. */
export function clear(email: ModelEmail): void {
  email.crashes = 0;
}

/** A person's word about an email that is claimed and not fenced takes the claim from its worker. */
export function revoke(email: ModelEmail): void {
  if (email.state !== "sending") return;
  Object.assign(email, { state: "pending", token: email.token + 1 });
  letGo(email);
}

/**
 * Frees what dead workers held. Blamed for a death is what its worker had begun by its last beat, or
 * came due since; everything that it held when that is nothing. The sixth makes an email poison.
 */
export function freeAll(model: Model, lost: readonly ModelEmail[]): void {
  const suspected = lost.filter((email) => isBegun(model, email));
  const blamed = lost.filter(
    (email) =>
      isDead(model, email) &&
      (suspected.includes(email) || !suspected.some(({ worker }) => worker === email.worker)),
  );
  for (const email of blamed) email.crashes += 1;
  for (const email of lost) {
    const isPoison = blamed.includes(email) && email.crashes >= poisonFrom;
    email.state = isPoison ? "held" : "pending";
    if (isPoison) email.entries += 1;
    letGo(email);
  }
}

function isDead(model: Model, { worker }: ModelEmail): boolean {
  return worker !== null && model.silent.has(worker);
}

/** A silent worker's last beat is a minute old, which is less than a unit. */
function isBegun(model: Model, email: ModelEmail): boolean {
  if (!isDead(model, email)) return false;
  const begun = model.begun.get(email.worker ?? -1);
  return begun?.has(email.id) === true || email.claimedAt === model.now;
}

export function letGo(email: ModelEmail): void {
  email.worker = null;
  email.fencedAt = null;
}

/** A silent worker is dead; a living one loses what it has held for so long, once it was heard for as long. */
function hasLost(model: Model, worker: number, heldSince: number, units: number): boolean {
  const since = Math.max(heldSince, model.steadySince.get(worker) ?? 0);
  return model.silent.has(worker) || model.now - since >= units;
}

/** What `take_over` frees: un-fenced emails at once, or after 15 minutes from a living worker. */
export function isLost(model: Model, email: ModelEmail): boolean {
  if (email.state !== "sending" || email.fencedAt !== null || email.worker === null) return false;
  return hasLost(model, email.worker, email.claimedAt, 2);
}

/** What it names as orphans: after 1.2 reply timeouts, or 15 minutes more from a living worker. */
export function isOrphan(model: Model, email: ModelEmail): boolean {
  if (email.state !== "sending" || email.fencedAt === null || email.worker === null) return false;
  return model.now - email.fencedAt >= 1 && hasLost(model, email.worker, email.fencedAt, 3);
}
