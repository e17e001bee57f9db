import { type EncryptedEmail, encryptEmail } from "../content/encrypt-email.ts";
import { readKept, requestName, writeKept } from "../content/kept-answer.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import type { Reservation } from "../delivery/buffer.ts";
import type { ClaimsInMemory } from "../delivery/claims-in-memory.ts";
import type { EmailDraft } from "../email/email.ts";
import { AppError, isAppError } from "../errors.ts";
import { composeMessage, estimateSizeBytes, messageIdFor } from "../mail/compose.ts";
import type { Composed } from "../mail/compose-plain.ts";
import type { Ticks } from "../queue/ticks.ts";
import type { ByteSemaphore } from "../runtime/byte-semaphore.ts";
import { collectAfter } from "../runtime/collect.ts";
import type { FailPoints } from "../runtime/fail-points.ts";
import type { ClaimedEmail } from "../store/attempts.ts";
import type { Emails } from "../store/emails.ts";
import type {
  IdempotencyClaim,
  NewEmail,
  Quota,
  QuotaExceeded,
  ScheduledEmail,
} from "../store/stored-email.ts";

export interface AcceptRequest {
  ownerId: string;
  /** From where: the caller's network address; null when unknown. */
  origin: string | null;
  /** All are stored, or none. */
  drafts: EmailDraft[];
  /** The client's Idempotency-Key; `fingerprint` is a hash of the body. */
  idempotency: Omit<IdempotencyClaim, "response"> | null;
  /** Of the semaphore, taken for this request already. */
  heldBytes?: number;
  /** Absent unless the request is a batch. */
  batch?: BatchRules;
}

export interface BatchRules {
  /** JSON pointer of the draft at this place of `drafts`, for the faults found in composing it. */
  pointerOf: (place: number) => string;
  /**
   * Only of a permissive batch: a draft that cannot be composed is left out instead of refusing
   * the request, and this makes the answer's `note` from all that were. JSON, kept with the key and
   * given back with a replayed answer.
   */
  noteOf?: (refused: RefusedDraft[]) => unknown;
}

export interface RefusedDraft {
  /** Its index in `drafts`. */
  place: number;
  error: AppError;
}

export interface AcceptAnswer {
  /** True when an earlier request with this key was answered already; nothing new is stored. */
  isReplay: boolean;
  /** In the order of the drafts, without those that a permissive batch left out. */
  emails: { id: string; scheduledAt: Date; createdAt: Date }[];
  note: unknown;
}

/** The one way in for emails: compose, encrypt, store; the queue hears of it afterwards. */
export interface Accept {
  /**
   * Durable once it resolves. Throws `overloaded` when memory is full, `payload_too_large`,
   * `quota_exceeded`, `idempotency_key_reused`, `idempotency_in_flight`, `database_unavailable`.
   */
  accept(request: AcceptRequest): Promise<AcceptAnswer>;
  /** The message as it would go out, but for Date; nothing is stored. */
  preview(draft: EmailDraft): Promise<Uint8Array>;
}

export interface AcceptDeps {
  emails: Emails;
  keyRing: KeyRing;
  semaphore: ByteSemaphore;
  ticks: Pick<Ticks, "add">;
  /** Room in this process for an email that is due now, so that it is claimed as it is accepted. */
  reserve?: (email: { ownerId: string; messageBytes: number }) => Reservation | null;
  /** Told of every email that may be claimed as it is accepted; needed with `reserve`. */
  claimsInMemory?: Pick<ClaimsInMemory, "ask">;
  /** Home region of emails that name none. */
  region: string;
  messageBytesMax: number;
  /** Of every owner; default: none. */
  quota?: Quota;
  /** UUIDv7, so that ids sort by creation. */
  newId: () => string;
  /** Only in the build for fault tests. */
  failPoints?: FailPoints;
}

export function createAccept(deps: AcceptDeps): Accept {
  const running = new Set<string>();
  return {
    preview: async (draft) => (await compose(deps, draft, deps.newId())).message,
    async accept(request) {
      if (!request.idempotency) return acceptOnce(deps, request);
      const name = requestName(request);
      if (running.has(name)) {
        throw new AppError("idempotency_in_flight", {
          publicDetail: "A request with this Idempotency-Key is still running; try again.",
          retryAfterSeconds: 1,
        });
      }
      running.add(name);
      try {
        return await acceptOnce(deps, request);
      } finally {
        running.delete(name);
      }
    },
  };
}

/** Composed, encrypted, and as base64 in the call's text: they live side by side for a moment. */
const copiesAtOnce = 3;
/** What of an email is beyond this counts twice: its copies are freed later than they are done with. */
const largeBytes = 8 * 1024 * 1024;

async function acceptOnce(deps: AcceptDeps, request: AcceptRequest): Promise<AcceptAnswer> {
  if (request.idempotency) {
    const earlier = await deps.emails.findIdempotent(request.ownerId, request.idempotency);
    if (earlier) return { isReplay: true, ...readKept(deps.keyRing, request, earlier) };
  }
  const bytes = request.drafts.map(estimateSizeBytes).reduce((sum, size) => {
    return sum + (size + Math.max(0, size - largeBytes)) * copiesAtOnce;
  }, 0);
  const { ownerId, heldBytes = 0 } = request;
  const giveBack = deps.semaphore.tryAcquire(bytes, { ownerId, ownBytes: heldBytes });
  if (!giveBack) {
    throw new AppError("overloaded", {
      publicDetail:
        "The server's memory limit is reached, in all or for you. Nothing was stored; try again.",
      retryAfterSeconds: 2,
    });
  }
  try {
    return await store(deps, request);
  } finally {
    giveBack();
  }
}

type NotedRequest = AcceptRequest & { note: unknown };

/** Stores those that could be composed; with none of them there is nothing to keep the key for. */
async function store(deps: AcceptDeps, request: AcceptRequest): Promise<AcceptAnswer> {
  const { encrypted, refused } = await composeAll(deps, request);
  const note = request.batch?.noteOf?.(refused);
  if (encrypted.length === 0) return { isReplay: false, emails: [], note };
  return await storeComposed(deps, { ...request, note }, encrypted);
}

async function composeAll(
  deps: AcceptDeps,
  { ownerId, drafts, batch }: AcceptRequest,
): Promise<{ encrypted: EncryptedEmail[]; refused: RefusedDraft[] }> {
  const encrypted: EncryptedEmail[] = [];
  const refused: RefusedDraft[] = [];
  for (const [place, draft] of drafts.entries()) {
    // Composing rarely waits for anything: within a batch whoever else is here gets a turn.
    if (place > 0) await new Promise((resolve) => setImmediate(resolve));
    const id = deps.newId();
    try {
      const composed = await compose(deps, draft, id, batch?.pointerOf(place));
      collectAfter(composed.message.length);
      encrypted.push(await encryptEmail({ id, ownerId, draft, composed, ...deps }));
    } catch (error) {
      if (!batch?.noteOf || !isAppError(error)) throw error;
      refused.push({ place, error });
    }
  }
  return { encrypted, refused };
}

async function storeComposed(
  deps: AcceptDeps,
  request: NotedRequest,
  encrypted: EncryptedEmail[],
): Promise<AcceptAnswer> {
  const { ownerId, note } = request;
  const emails = encrypted.map(({ email }) => email);
  const places = reservePlaces(deps, ownerId, emails);
  const asking = deps.claimsInMemory?.ask([...places.keys()]);
  try {
    const answer = await schedule(deps, request, emails).catch((error) => {
      // It may have been committed all the same, or be yet: the self-audit finds what is claimed.
      asking?.lose();
      for (const place of places.values()) place.forgo();
      throw error;
    });
    if (answer.kind !== "accepted") for (const place of places.values()) place.forgo();
    if (answer.kind === "quota_exceeded") throw quotaExceeded(answer, emails.length, deps.quota);
    if (answer.kind !== "accepted") {
      return { isReplay: true, ...readKept(deps.keyRing, request, answer) };
    }
    for (const [index, { email, opened }] of encrypted.entries()) {
      const scheduled = answer.emails[index];
      if (scheduled) passOn(deps, { ownerId, email, opened, scheduled }, places.get(email.id));
    }
    return { isReplay: false, emails: answer.emails, note };
  } finally {
    asking?.end();
  }
}

/** To its place here when it was claimed; else the dispatchers are told when it is due. */
function passOn(
  deps: AcceptDeps,
  {
    ownerId,
    email,
    opened,
    scheduled,
  }: EncryptedEmail & { ownerId: string; scheduled: ScheduledEmail },
  place: Reservation | undefined,
): void {
  if (place && scheduled.token !== null) {
    place.deliver(claimedEmail(email, ownerId, scheduled.token), opened);
    return;
  }
  place?.forgo();
  // Another region's dispatchers look for themselves.
  if (email.region === deps.region && scheduled.delayMs !== null) {
    deps.ticks.add({ delayMs: scheduled.delayMs });
  }
}

async function schedule(deps: AcceptDeps, request: NotedRequest, emails: NewEmail[]) {
  const { ownerId, idempotency, note } = request;
  await deps.failPoints?.("insert.before");
  const answer = await deps.emails.schedule({
    ownerId,
    actor: ownerId,
    origin: request.origin,
    idempotency: idempotency && {
      ...idempotency,
      response: writeKept(deps.keyRing, request, emails, note),
    },
    quota: deps.quota,
    emails,
  });
  await deps.failPoints?.("insert.after");
  return answer;
}

/** For each email that is asked for now and finds one; such an email is claimed with it. */
function reservePlaces(
  { reserve, region }: AcceptDeps,
  ownerId: string,
  emails: NewEmail[],
): Map<string, Reservation> {
  const places = new Map<string, Reservation>();
  for (const email of emails) {
    if (email.scheduledAt !== null || email.region !== region) continue;
    const place = reserve?.({ ownerId, messageBytes: email.messageBytes });
    if (!place) continue;
    places.set(email.id, place);
    email.isClaimed = true;
  }
  return places;
}

/** As the claim would answer it: the first of a new email. */
function claimedEmail(email: NewEmail, ownerId: string, token: number): ClaimedEmail {
  return {
    id: email.id,
    token,
    attempt: 1,
    attemptsBefore: 0,
    maxRetries: email.maxRetries,
    maxAgeSeconds: email.maxAgeSeconds,
    ageMs: 0,
    dueInMs: 0,
    // It waits for seconds at most, and the fence asks again.
    expiresInMs: null,
    onUncertain: email.onUncertain,
    ownerId,
    wrappedKey: email.wrappedKey,
    sender: email.sender,
    messageDate: null,
    messageBytes: email.messageBytes,
    // It is held in clear beside this.
    message: null,
    recipients: email.recipients.map(({ position, address }) => ({ position, address })),
    sentBefore: 0,
    bouncedBefore: 0,
  };
}

const pendingRetrySeconds = 60;

function quotaExceeded(
  { quota, used, resetsInSeconds }: QuotaExceeded,
  asked: number,
  limits?: Quota,
): AppError {
  const words =
    quota === "per_day"
      ? `At most ${limits?.perDay} emails a day (UTC) are accepted of one owner (QUOTA_EMAILS_PER_DAY)`
      : `At most ${limits?.pending} emails of one owner may be pending (QUOTA_PENDING)`;
  return new AppError("quota_exceeded", {
    publicDetail: `${words}; there are ${used}, and this request has ${asked}. Nothing was stored.`,
    retryAfterSeconds: resetsInSeconds ?? pendingRetrySeconds,
  });
}

/** Throws `payload_too_large` or `invalid_content`; with a pointer its one fault names the draft. */
async function compose(
  deps: AcceptDeps,
  draft: EmailDraft,
  id: string,
  pointer?: string,
): Promise<Composed> {
  try {
    const composed = await composeMessage(draft, { messageId: messageIdFor(id, draft.from) });
    assertNotTooLarge(composed, deps.messageBytesMax);
    return composed;
  } catch (error) {
    if (pointer === undefined || !isAppError(error)) throw error;
    const { code, publicDetail } = error;
    throw new AppError(code, {
      publicDetail,
      cause: error,
      faults: [{ pointer, detail: publicDetail }],
    });
  }
}

function assertNotTooLarge({ message }: Composed, bytesMax: number): void {
  if (message.length <= bytesMax) return;
  throw new AppError("payload_too_large", {
    publicDetail:
      `The composed message is ${message.length} bytes; ` +
      `at most ${bytesMax} are accepted (MAX_MESSAGE_MB).`,
  });
}
