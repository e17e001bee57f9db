import type {
  EmailState,
  OnLate,
  OnUncertain,
  Outcome,
  RecipientKind,
  RecipientStatus,
} from "../email/email.ts";
import type { ResolvedWallClock } from "../email/wall-clock.ts";

/** One email of a request, already composed and encrypted. */
export interface NewEmail {
  id: string;
  region: string;
  /** null: now, by the database's clock. */
  scheduledAt: Date | null;
  /** The local time that it was made of. */
  wallClock?: ResolvedWallClock | undefined;
  expiresAt: Date | null;
  /** Seconds after the due time, from which the database derives when it expires. */
  maxLatenessSeconds: number | null;
  onLate: OnLate;
  onUncertain: OnUncertain;
  /** null: the caller did not say. */
  maxRetries: number | null;
  maxAgeSeconds: number;
  tags: string[];
  metadata: Record<string, unknown>;
  wrappedKey: string;
  /** Ciphertext of MAIL FROM. */
  sender: string;
  /** Ciphertext. */
  subject: string;
  /** Size of the composed message in clear. */
  messageBytes: number;
  /** Ciphertext of the message without Date. */
  message: Uint8Array;
  /** Ciphertext of the JSON of what was asked for (`queue/email-details.ts`). */
  details: string;
  recipients: { position: number; kind: RecipientKind; address: string; addressIndex: string }[];
  /** If it is due at once, who accepts it claims it for its own worker. Default: nobody does. */
  isClaimed?: boolean;
}

/** The client's Idempotency-Key of one request; `response` is the ciphertext of its answer. */
export interface IdempotencyClaim {
  path: string;
  key: string;
  fingerprint: string;
  response: string;
}

/** At most so many emails of one owner; null: as many as they like. */
export interface Quota {
  /** Accepted in one day (UTC). */
  perDay: number | null;
  /** Waiting to be sent. */
  pending: number | null;
}

export interface ScheduleRequest {
  ownerId: string;
  /** The actor, as the journal names it. */
  actor: string;
  /** From where: the caller's network address; null when unknown. */
  origin: string | null;
  idempotency: IdempotencyClaim | null;
  /** The owner's; absent: none. */
  quota?: Quota | undefined;
  emails: NewEmail[];
}

export interface ScheduledEmail {
  id: string;
  scheduledAt: Date;
  createdAt: Date;
  /** Until its time by the database's clock; null: it is claimed. */
  delayMs: number | null;
  /** Of the claim, with which the attempt may be made; null: it is pending. */
  token: number | null;
}

export type IdempotentAnswer =
  | { kind: "replayed"; response: string; createdAt: Date }
  | { kind: "reused" };
/** The request would have taken its owner over a quota; nothing of it is stored. */
export interface QuotaExceeded {
  kind: "quota_exceeded";
  quota: "per_day" | "pending";
  used: number;
  /** null: when emails have been sent. */
  resetsInSeconds: number | null;
}
export type ScheduleAnswer =
  | { kind: "accepted"; emails: ScheduledEmail[] }
  | IdempotentAnswer
  | QuotaExceeded;

/** An email as stored; the encrypted fields are ciphertext under its data key. */
export interface StoredEmail {
  id: string;
  ownerId: string;
  status: EmailState;
  version: number;
  region: string;
  createdAt: Date;
  scheduledAt: Date;
  /** null unless pending. */
  nextAttemptAt: Date | null;
  sentAt: Date | null;
  /** Follows the due time when `maxLatenessSeconds` is set. */
  expiresAt: Date | null;
  maxLatenessSeconds: number | null;
  onLate: OnLate;
  onUncertain: OnUncertain;
  maxRetries: number;
  maxAgeSeconds: number;
  attemptsSpent: number;
  /** Since when a pending one waits to be sent, or when it will; null unless pending. */
  dueSince: Date | null;
  /** When a person said that this dead letter needs no decision; null: nobody did. */
  dismissedAt: Date | null;
  /** The local time that `scheduledAt` is; null: it was given itself, or was changed since. */
  wallClock: Omit<ResolvedWallClock, "scheduledAt"> | null;
  tags: string[];
  metadata: Record<string, unknown>;
  /** null once shredded; then subject, addresses and replies cannot be read any more. */
  wrappedKey: string | null;
  /** Ciphertext, column `subject`. */
  subject: string | null;
  messageBytes: number;
  recipients: StoredRecipient[];
  /** Empty when not asked for. */
  attempts: StoredAttempt[];
}

export interface StoredRecipient {
  position: number;
  kind: RecipientKind;
  /** Ciphertext, column `address`: `a@b` or `Name <a@b>`. */
  address: string | null;
  status: RecipientStatus;
  smtpCode: number | null;
  enhancedCode: string | null;
  /** Ciphertext, column `reply`. */
  reply: string | null;
}

export interface StoredAttempt {
  number: number;
  startedAt: Date;
  endedAt: Date;
  outcome: Outcome;
  smtpCode: number | null;
  enhancedCode: string | null;
  /** Ciphertext, column `reply`. */
  reply: string | null;
  transport: string;
  region: string;
  /** The Date header it was sent with; null when no body was started. */
  messageDate: Date | null;
}

/** One email with the parts that were asked for. */
export interface WholeEmail extends StoredEmail {
  /** Ciphertext, column `details`; null when not asked for. */
  details: string | null;
  /** Ciphertext of the message without Date, column `message`; null when not asked for. */
  message: Uint8Array | null;
}

export interface EmailFilter {
  statuses: EmailState[] | null;
  /** Emails that wait for another attempt after a spent one; beside `statuses` those as well. */
  isDeferred: boolean;
  /** Only what no person has dismissed. */
  isOpen?: boolean;
  /** Whether what is pending waits for a worker by now, or is for later. */
  isDue?: boolean;
  /** Whose; only an admin's claims show anybody else's. */
  owner?: string;
  /** The journal has an entry of it since then. */
  updatedAfter?: Date;
  tag: string | null;
  /** All must be equal, compared as text. */
  metadata: Record<string, string> | null;
  /** Blind index of a recipient's address, or its index under each key of the ring. */
  addressIndex: string | string[] | null;
  /** Of dead letters only: the group by what they failed of, and the code of the refusal. */
  group?: string;
  smtpCode?: number;
  scheduledAfter: Date | null;
  scheduledBefore: Date | null;
}

/** A place in a list, newest first unless it is sorted by another instant; opaque to callers. */
export interface ListCursor {
  /** The instant that is sorted by. */
  createdAt: string;
  id: string;
}

/** `after`, `before`: the page next to this email, in the list's order. */
export interface ListPage {
  limit: number;
  offset: number | null;
  cursor: ListCursor | null;
  sort?: "scheduled_at";
  after?: string;
  before?: string;
}

export interface EmailPage {
  emails: StoredEmail[];
  /** Only with an offset, and up to `totalMax`. */
  total: number | null;
  next: ListCursor | null;
}

export type CancelAnswer =
  | "cancelled"
  | "not_found"
  | "in_flight"
  | "already_sent"
  | "already_failed"
  | "already_expired"
  | "already_suppressed"
  | "outcome_uncertain";

export type ShredAnswer =
  | { kind: "shredded"; status: EmailState }
  | { kind: "not_finished"; status: EmailState }
  | { kind: "not_found" };

export type ReplayAnswer =
  | { kind: "replayed"; delayMs: number }
  | { kind: "not_found" }
  | { kind: "not_a_dead_letter"; state: EmailState };

export interface QueueStats {
  /** Pending and due. */
  waiting: number;
  /** Pending, due later. */
  delayed: number;
  /** How long the email that is due longest has waited. */
  oldestDueMs: number;
  byStatus: Partial<Record<EmailState, number>>;
}
