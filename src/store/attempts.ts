import type { EmailState, OnUncertain, Outcome, RecipientStatus } from "../email/email.ts";
import type { FenceAnswer } from "../email/smtp.ts";
import { isContended } from "./call-error.ts";
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
  /** So long after its claim it may not be sent any more; null: it always may. */
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

export type ClaimAnswer =
  | { kind: "claimed"; email: ClaimedEmail }
  | { kind: "not_due"; dueInMs: number }
  | { kind: "stale" }
  /** Another transaction holds its row; nothing was changed. */
  | { kind: "locked" }
  /** Workers died with it: to be claimed again in isolation. */
  | { kind: "suspect" }
  | { kind: "expired" }
  | { kind: "held" };

/** One attempt as it ended, decided by `queue/settle.ts`. */
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
  /** Home of the email, when it is not ours: whose queue a retry is left to. */
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
  | { applied: true; state: EmailState; attempt: number; wake: number; delayMs: number | null }
  /** The token is not the email's any more, or this was settled before. */
  | { applied: false; state: EmailState | null };

export interface Release {
  id: string;
  token: number;
  /** For the journal; not content. */
  reason: string;
  delayMs: number;
}

export type ReleaseAnswer =
  | { applied: true; wake: number; delayMs: number | null }
  | { applied: false };

export interface ClaimOptions {
  /** No other suspect of a crash is under way in this process. */
  isIsolated?: boolean;
  /** An earlier claim for this job had no answer: it may have been granted. */
  isAgain?: boolean;
  /** Grant it also when it is not due for so long; who asks waits for the rest. Default 0. */
  aheadMs?: number | undefined;
}

/** What a worker holds: an email's id and the token of its claim. */
export type Claim = Pick<ClaimedEmail, "id" | "token">;

/** Claim, fence, settle, release: each travels with others of its kind in one commit. */
export interface Attempts {
  claim(id: string, wake: number, options?: ClaimOptions): Promise<ClaimAnswer>;
  /** One that was claimed as it was accepted, or before its time: now it is like any other. */
  adopt(email: ClaimedEmail): void;
  /** The ids of those that are not ours any more: cancelled, or taken over. */
  findLost(held: Claim[]): Promise<string[]>;
  /** A job came far too early: a new wake, for another job. null: that wake is not current. */
  rewake(id: string, wake: number): Promise<{ wake: number; delayMs: number } | null>;
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
  horizonMs: number;
}

/** Messages up to this size come with the claim. */
const inlineBytesMax = 65_536;
/**
 * While others are being claimed or settled nobody is in a hurry: connections are busy with what
 * was claimed before, and given back before what was sent is settled.
 */
const gatherMs = 4;
/** A horizon that no time to come lies within. */
const neverNear = -86_400_000;

export function createAttempts(database: Database, options: AttemptsOptions): Attempts {
  const claims = partClaims("worker", options.region);
  const queued = { horizon_ms: options.horizonMs, queued_by: options.workerId };

  const isElsewhere = ({ region = options.region }: Settlement) => region !== options.region;

  const claimCommits = createClaims(database, options);
  const fences = createFences(database, options);
  const settles = createGroupCommit<Settlement, SettleAnswer>({
    gatherMs,
    keyOf: ({ id }) => id,
    send: async (items, { lockTimeoutMs }) => {
      const args = items.map((item) => ({
        ...settleJson(item),
        ...(isElsewhere(item) ? { horizon_ms: neverNear, queued_by: null } : queued),
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
        ...queued,
      }));
      const answers = await database.rpc("release_emails", args, claims, { lockTimeoutMs });
      return (answers as SettleJson[]).map(toRelease);
    },
  });

  return {
    claim: (id, wake, { isIsolated = false, isAgain = false, aheadMs = 0 } = {}) => {
      const asked = { id, wake, isolated: isIsolated, again: isAgain, ahead_ms: aheadMs };
      return claimCommits.add(asked).catch((error: unknown) => {
        if (!isContended(error)) throw error;
        return { kind: "locked" };
      });
    },
    adopt() {
      // The database knows already.
    },
    findLost: async (held) => (await database.rpc("lost_claims", held, claims)) as string[],
    async rewake(id, wake) {
      const args = { id, wake, queued_by: options.workerId };
      const answer = (await database.rpc("rewake_email", args, claims)) as RewakeJson;
      return answer.wake === null ? null : { wake: answer.wake, delayMs: answer.delay_ms };
    },
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

function createClaims(database: Database, options: AttemptsOptions) {
  const claims = partClaims("worker", options.region);
  return createGroupCommit<
    { id: string; wake: number; isolated: boolean; again: boolean; ahead_ms: number },
    ClaimAnswer
  >({
    gatherMs,
    keyOf: ({ id }) => id,
    send: async (items, { isAlone, lockTimeoutMs }) => {
      const args = {
        waits: isAlone,
        worker_id: options.workerId,
        region: options.region,
        transport: options.transport,
        inline_bytes_max: inlineBytesMax,
        texts_behind: true,
        reads_packed: true,
        items,
      };
      const call = { hasTexts: true, lockTimeoutMs };
      const answer = await database.rpc("claim_emails", args, claims, call);
      const { json, texts } = answer as AnswerWithTexts;
      return (json as ClaimJson[]).map((claim, index) => {
        const message = "has_message" in claim && claim.has_message ? texts.shift() : undefined;
        const { id = "" } = items[index] ?? {};
        return claim.kind === "locked" ? contended : toClaim(claim, id, message);
      });
    },
  });
}

function createFences(database: Database, { region }: AttemptsOptions) {
  const claims = partClaims("worker", region);
  return createGroupCommit<Claim & { message_date: Date }, FenceAnswer>({
    keyOf: ({ id }) => id,
    send: async (items, { isAlone: waits, lockTimeoutMs }) => {
      const args = items.map((item) => ({ ...item, waits }));
      const answers = await database.rpc("fence_attempts", args, claims, { lockTimeoutMs });
      return (answers as FenceJson[]).map((answer) => toFence(answer));
    },
  });
}

interface RewakeJson {
  wake: number | null;
  delay_ms: number;
}

interface ClaimedJson {
  kind: "claimed";
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

type ClaimJson =
  | ClaimedJson
  | { kind: "not_due"; due_in_ms: number }
  | { kind: "stale" | "locked" | "suspect" | "expired" | "held" };

type FenceJson = FenceAnswer | { granted: false; reason: "locked" };

function toFence(answer: FenceJson): FenceAnswer | Contended {
  return answer.granted || answer.reason !== "locked" ? (answer as FenceAnswer) : contended;
}

function toClaim(answer: ClaimJson, id: string, message: string | undefined): ClaimAnswer {
  if (answer.kind === "not_due") return { kind: "not_due", dueInMs: answer.due_in_ms };
  if (answer.kind !== "claimed") return { kind: answer.kind };
  return {
    kind: "claimed",
    email: {
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
    },
  };
}

function settleJson(item: Settlement): object {
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

interface SettleJson {
  applied: boolean;
  state: EmailState;
  attempt: number;
  wake: number;
  delay_ms: number | null;
}

function toSettle(json: SettleJson): SettleAnswer {
  return json.applied
    ? {
        applied: true,
        state: json.state,
        attempt: json.attempt,
        wake: json.wake,
        delayMs: json.delay_ms,
      }
    : { applied: false, state: json.state };
}

function toRelease(json: SettleJson): ReleaseAnswer {
  return json.applied
    ? { applied: true, wake: json.wake, delayMs: json.delay_ms }
    : { applied: false };
}
