import type { EmailState, OnUncertain, Outcome, RecipientStatus } from "../email/email.ts";
import type { FenceAnswer } from "../email/smtp.ts";
import { withoutCallBudget } from "./call-budget.ts";
import { type Contended, contended } from "./contended-items.ts";
import { type AnswerWithTexts, type Database, partClaims } from "./database.ts";
import { createGroupCommit } from "./group-commit.ts";

/** What a granted claim hands to the worker. Encrypted parts are ciphertext. */
export interface ClaimedEmail {
  id: string;
  /** The fencing token; every later write names it. */
  token: number;
  /** Number of the attempt that may now be made, from 1. */
  attempt: number;
  /** Attempts that count against nothing: before the last replay, or full transactions. */
  attemptsBefore: number;
  /** null: the caller did not say. */
  maxRetries: number | null;
  maxAgeSeconds: number;
  /** Since the moment that `maxAgeSeconds` counts from; below 0 before its time. */
  ageMs: number;
  /** It was claimed so long before its time; 0: it is due. */
  dueInMs: number;
  /** Milliseconds after its claim from which it may not be sent any more; null: it always may. */
  expiresInMs: number | null;
  onUncertain: OnUncertain;
  ownerId: string;
  wrappedKey: string;
  /** MAIL FROM, column `sender`. */
  sender: string;
  /** The Date to repeat, after an uncertain attempt; null: a new one. */
  messageDate: Date | null;
  messageBytes: number;
  /** Message without Date, column `message`; null when it must be read by itself. */
  message: Uint8Array | null;
  /** Those still to be tried; column `address`. */
  recipients: { position: number; address: string }[];
  /** How many of its recipients have got it already. */
  sentBefore: number;
  bouncedBefore: number;
}

/** One attempt as it ended, decided by `delivery/settle.ts`. */
export interface Settlement {
  id: string;
  token: number;
  transport: string;
  outcome: Outcome;
  nextState: Extract<EmailState, "sent" | "partially_sent" | "failed" | "pending" | "uncertain">;
  /** From now by the database's clock; null unless `nextState` is pending. */
  retryInMs: number | null;
  /** False: it does not count against max_retries. Default true. */
  isCounted?: boolean;
  smtpCode: number | null;
  enhancedCode: string | null;
  /** Ciphertext, column `reply`. */
  reply: string | null;
  /** Of the email, when it is not ours. */
  region?: string;
  /** What it failed of, as a fingerprint; absent: nobody was refused, or it is not known. */
  failure?: FailureIndex | null;
  recipients: {
    position: number;
    status: Exclude<RecipientStatus, "pending">;
    smtpCode: number | null;
    enhancedCode: string | null;
    reply: string | null;
  }[];
}

/** Keyed fingerprints that find what failed alike without showing it; see `queue/failure-index.ts`. */
export interface FailureIndex {
  /** Of code, normalised reply and domain. */
  group: string;
  /** Of the domain alone; null: the recipient has none that can be read. */
  domain: string | null;
}

export type SettleAnswer =
  | { applied: true; state: EmailState; attempt: number; delayMs: number | null }
  /** The token is not the email's any more, or this was settled before. */
  | { applied: false; state: EmailState | null };

export interface Release {
  id: string;
  token: number;
  /** For the journal; not content. */
  reason: string;
  delayMs: number;
}

export type ReleaseAnswer = { applied: true; delayMs: number | null } | { applied: false };

/** What a dispatcher asks `claim_due` for. */
export interface DueRequest {
  /** Whose emails: this region, or a silent one that others look after. */
  region: string;
  /** At most so many. */
  limit: number;
  /** How long before its time an email may be claimed. */
  aheadMs: number;
  /** Emails that one owner may hold in this process, of which it holds `holds` already. */
  perOwner: number;
  holds: Readonly<Record<string, number>>;
  /** Of the answer before; "" at first. */
  after: string;
  /** Whether a group of suspects may come beside them. */
  suspects: boolean;
  /** Whether one may come that is blamed for a single death, with few others. Default: as above. */
  oneBlamed?: boolean;
  /** Of the database, when all that this process sent is written there; null or absent: unknown. */
  timeline?: string | null;
}

/** Emails that are this process's until it settles or returns them, or its claim is revoked. */
export interface DueBatch {
  /** Sending of the region is paused: nothing is claimed, and nothing gets a fence. */
  isPaused: boolean;
  /** Owners whose emails are not to be sent now. */
  pausedOwners: string[];
  emails: (ClaimedEmail & {
    /** Workers died with it: sent in a group of its like, which shrinks with every death. */
    isSuspect: boolean;
    /** Blamed for one death, with few others: sent by itself, before they can share a second one. */
    isOneBlamed: boolean;
  })[];
  /** Something is due that was not claimed. */
  hasMore: boolean;
  after: string;
  /** Until the first email that is not due within `aheadMs`; null: there is none. */
  nextDueInMs: number | null;
}

/** What a worker holds: an email's id and the token of its claim. */
export type Claim = Pick<ClaimedEmail, "id" | "token">;

/** Claim, fence, settle, release: each travels with others of its kind in one commit. */
export interface Attempts {
  /**
   * Claims a batch of what is due before long. When it rejects, emails may have been claimed all the
   * same: the self-audit returns what this process does not hold.
   */
  claimDue(request: DueRequest): Promise<DueBatch>;
  /** The ids of those that are not ours any more: cancelled, or taken over. */
  findRevoked(held: Claim[]): Promise<string[]>;
  /** Ciphertext of a large message; null when the token is stale. */
  readMessage(claimed: {
    id: string;
    token: number;
    messageBytes: number;
  }): Promise<Uint8Array | null>;
  fence(id: string, token: number, messageDate: Date): Promise<FenceAnswer>;
  settle(settlement: Settlement): Promise<SettleAnswer>;
  release(release: Release): Promise<ReleaseAnswer>;
}

export interface AttemptsOptions {
  workerId: string;
  region: string;
  /** Name of the transport, for the journal. */
  transport: string;
}

/** Messages up to this size come with the claim. */
const inlineBytesMax = 65_536;
/** Of the messages in one answer: it is parsed in one turn of the event loop. */
const batchBytesMax = 1_000_000;
/**
 * While others are being claimed or settled nobody is in a hurry: connections are busy with what
 * was claimed before, and given back before what was sent is settled.
 */
const gatherMs = 4;

export function createAttempts(database: Database, options: AttemptsOptions): Attempts {
  const claims = partClaims("worker", options.region);

  const fences = createFences(database, options);
  const settles = createGroupCommit<Settlement, SettleAnswer>({
    gatherMs,
    keyOf: ({ id }) => id,
    send: async (items, { lockTimeoutMs }) => {
      const args = items.map((item) => ({
        ...settlementJson(item),
        region: item.region ?? options.region,
      }));
      const answers = await database.rpc("settle_attempts", args, claims, { lockTimeoutMs });
      return (answers as SettleJson[]).map(toSettle);
    },
  });
  const releases = createGroupCommit<Release, ReleaseAnswer>({
    keyOf: ({ id }) => id,
    send: async (items, { lockTimeoutMs }) => {
      const args = items.map(({ id, token, reason, delayMs }) => ({
        id,
        token,
        reason,
        delay_ms: delayMs,
      }));
      const answers = await database.rpc("release_emails", args, claims, { lockTimeoutMs });
      return (answers as SettleJson[]).map(toRelease);
    },
  });

  return {
    async claimDue({ aheadMs, perOwner, oneBlamed, timeline, ...asked }) {
      const args = {
        ...asked,
        worker_id: options.workerId,
        ahead_ms: aheadMs,
        per_owner: perOwner,
        one_blamed: oneBlamed ?? asked.suspects,
        ...(timeline && { timeline }),
        bytes_max: batchBytesMax,
        inline_bytes_max: inlineBytesMax,
      };
      const answer = await withoutCallBudget(() =>
        database.rpc("claim_due", args, claims, { hasTexts: true }),
      );
      const { json, texts } = answer as AnswerWithTexts;
      return toBatch(json as BatchJson, texts);
    },
    findRevoked: async (held) => (await database.rpc("lost_claims", held, claims)) as string[],
    async readMessage({ id, token, messageBytes: answerBytes }) {
      const answer = await database.rpc("read_message", { id, token }, claims, { answerBytes });
      const { message } = answer as { message: string | null };
      return message === null ? null : Buffer.from(message, "base64");
    },
    fence: (id, token, messageDate) => fences.add({ id, token, message_date: messageDate }),
    settle: (settlement) => settles.add(settlement),
    release: (release) => releases.add(release),
  };
}

function createFences(database: Database, { region, transport }: AttemptsOptions) {
  const claims = partClaims("worker", region);
  return createGroupCommit<Claim & { message_date: Date }, FenceAnswer>({
    keyOf: ({ id }) => id,
    send: async (items, { isAlone: waits, lockTimeoutMs }) => {
      const args = items.map((item) => ({ ...item, transport, region, waits }));
      const answers = await database.rpc("fence_attempts", args, claims, { lockTimeoutMs });
      return (answers as FenceJson[]).map((answer) => toFence(answer));
    },
  });
}

type FenceJson = FenceAnswer | { granted: false; reason: "locked" };

function toFence(answer: FenceJson): FenceAnswer | Contended {
  return answer.granted || answer.reason !== "locked" ? (answer as FenceAnswer) : contended;
}

interface ClaimedJson {
  token: number;
  attempt: number;
  attempts_before: number;
  max_retries: number | null;
  max_age_seconds: number;
  age_ms: number;
  due_in_ms: number;
  expires_in_ms: number | null;
  on_uncertain: OnUncertain;
  owner_id: string;
  wrapped_key: string;
  sender: string;
  message_date: string | null;
  message_bytes: number;
  has_message: boolean | null;
  recipients: { position: number; address: string }[] | null;
  sent_before: number;
  bounced_before: number;
}

function toEmail(answer: ClaimedJson, id: string, message: string | undefined): ClaimedEmail {
  return {
    id,
    token: answer.token,
    attempt: answer.attempt,
    attemptsBefore: answer.attempts_before,
    maxRetries: answer.max_retries,
    maxAgeSeconds: answer.max_age_seconds,
    ageMs: answer.age_ms,
    dueInMs: answer.due_in_ms,
    expiresInMs: answer.expires_in_ms,
    onUncertain: answer.on_uncertain,
    ownerId: answer.owner_id,
    wrappedKey: answer.wrapped_key,
    sender: answer.sender,
    messageDate: answer.message_date === null ? null : new Date(answer.message_date),
    messageBytes: answer.message_bytes,
    message: message === undefined ? null : Buffer.from(message, "base64"),
    recipients: answer.recipients ?? [],
    sentBefore: answer.sent_before,
    bouncedBefore: answer.bounced_before,
  };
}

interface BatchJson {
  is_paused: boolean;
  paused_owners: string[];
  emails: (ClaimedJson & { id: string; is_suspect: boolean; is_one_blamed: boolean })[];
  has_more: boolean;
  after: string;
  next_due_in_ms: number | null;
  took_ms: number;
}

/** Times in the answer count from the beginning of the call, those of the batch from its end. */
function toBatch(answer: BatchJson, texts: string[]): DueBatch {
  const left = (ms: number) => Math.max(0, ms - answer.took_ms);
  return {
    isPaused: answer.is_paused,
    pausedOwners: answer.paused_owners,
    emails: answer.emails.map((email) => ({
      ...toEmail(email, email.id, email.has_message ? texts.shift() : undefined),
      ageMs: email.age_ms + answer.took_ms,
      dueInMs: left(email.due_in_ms),
      expiresInMs: email.expires_in_ms === null ? null : left(email.expires_in_ms),
      isSuspect: email.is_suspect,
      isOneBlamed: email.is_one_blamed,
    })),
    hasMore: answer.has_more,
    after: answer.after,
    nextDueInMs: answer.next_due_in_ms === null ? null : left(answer.next_due_in_ms),
  };
}

/** As the database takes it. */
export function settlementJson(item: Settlement): object {
  return {
    id: item.id,
    token: item.token,
    transport: item.transport,
    outcome: item.outcome,
    next_state: item.nextState,
    retry_in_ms: item.retryInMs,
    is_counted: item.isCounted ?? true,
    smtp_code: item.smtpCode,
    enhanced_code: item.enhancedCode,
    reply: item.reply,
    failure_group: item.failure?.group ?? null,
    failure_domain: item.failure?.domain ?? null,
    recipients: item.recipients.map((recipient) => ({
      position: recipient.position,
      status: recipient.status,
      smtp_code: recipient.smtpCode,
      enhanced_code: recipient.enhancedCode,
      reply: recipient.reply,
    })),
  };
}

/** An answer to a settlement. */
export interface SettleJson {
  applied: boolean;
  state: EmailState;
  attempt: number;
  delay_ms: number | null;
}

export function toSettle(json: SettleJson): SettleAnswer {
  return json.applied
    ? {
        applied: true,
        state: json.state,
        attempt: json.attempt,
        delayMs: json.delay_ms,
      }
    : { applied: false, state: json.state };
}

function toRelease(json: SettleJson): ReleaseAnswer {
  return json.applied ? { applied: true, delayMs: json.delay_ms } : { applied: false };
}
