import { type CurrentEmail, openCurrentEmail } from "../content/current-email.ts";
import { orUnreadable } from "../content/decrypt-email.ts";
import { encryptEdit } from "../content/encrypt-edit.ts";
import { isMessageNeeded } from "../content/stored-details.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { type EmailEdit, isContentEdit } from "../email/email-edit.ts";
import { deadLetterStates } from "../email/states.ts";
import { AppError, isAppError } from "../errors.ts";
import { estimateSizeBytes } from "../mail/compose.ts";
import type { Ticks } from "../queue/ticks.ts";
import type { ByteSemaphore, Caller } from "../runtime/byte-semaphore.ts";
import type { Changes, ChangeTarget } from "../store/changes.ts";
import type { Claims } from "../store/database.ts";
import type { Emails } from "../store/emails.ts";
import type { WholeEmail } from "../store/stored-email.ts";
import {
  changedMeanwhile,
  changeRefused,
  contentDestroyed,
  noSuchEmail,
  notADeadLetter,
  notHeld,
  versionMismatch,
} from "./change-refusal.ts";
import type { Revoking } from "./revoking-cancel.ts";

/** Which email a person changes. */
export interface Target {
  id: string;
  claims: Claims;
  /** The caller's network address; null when unknown. */
  origin: string | null;
  /** Of the semaphore, taken for this request already. */
  heldBytes?: () => number;
}

export interface EditRequest extends Target {
  /** If-Match: the versions that may be changed; null: any. */
  versions: number[] | null;
  /** Names of the fields, for the journal. */
  fields: string[];
  /** Makes the edit from the current email; throws when the two do not fit. */
  revise: (current: CurrentEmail) => EmailEdit;
}

/**
 * Changes of an email that exists. Each is done once it resolves; each
 * throws `not_found`, the code of a 409 that says why not, or `database_unavailable`.
 */
export interface Change {
  /** Edits a pending or held email. Also throws `version_mismatch` and what `revise` throws. */
  edit(request: EditRequest): Promise<void>;
  /** Edits a dead letter, perhaps, and sends it to those who have not got it. */
  replay(request: EditRequest): Promise<void>;
  /** Sends a pending email now, or a held one, which it releases. Throws as `edit` does. */
  sendNow(request: Omit<EditRequest, "fields" | "revise">): Promise<void>;
  hold(target: Target): Promise<void>;
  /** Without `scheduledAt`: when it was due anyway, or now when that has passed; null: now. */
  release(target: Target & { scheduledAt?: Date | null }): Promise<void>;
}

export interface ChangeDeps {
  changes: Changes;
  emails: Pick<Emails, "get">;
  keyRing: KeyRing;
  semaphore: ByteSemaphore;
  ticks: Pick<Ticks, "add">;
  /** Takes claims that a change has revoked out of this process's memory. Default: nobody. */
  revoking?: Revoking;
  messageBytesMax: number;
}

/** Composing happens outside the transaction: this often somebody may come in between. */
const triesMax = 3;
/** The stored message, the composed one, encrypted, and as base64 in the call's text. */
const copiesAtOnce = 4;

export function createChange(deps: ChangeDeps): Change {
  const { changes } = deps;
  const targetOf = ({ id, claims: as, origin }: Target) => ({ id, as, origin });
  const { revoking = () => () => {} } = deps;
  function tell({ delayMs }: { delayMs: number | null }): void {
    if (delayMs !== null) deps.ticks.add({ delayMs });
  }
  const change: Change = {
    async edit(request) {
      const target = targetOf(request);
      for (let tries = 0; tries < triesMax; tries++) {
        const email = await read(deps, request);
        const revoke = revoking([request.id]);
        const answer = await orConflict(() => editOnce(deps, request, target, email));
        if (answer.kind === "changed") {
          revoke();
          return tell(answer);
        }
        if (answer.kind === "unchanged") return;
        if (answer.kind !== "conflict") throw changeRefused(answer.kind);
      }
      throw changedMeanwhile();
    },
    async replay(request) {
      const target = targetOf(request);
      for (let tries = 0; tries < triesMax; tries++) {
        const email = await read(deps, request);
        if (!isDeadLetter(email)) throw notADeadLetter(email.status);
        const answer = await orConflict(async () =>
          changes.replay(await prepare(deps, request, target, email)),
        );
        if (answer.kind === "replayed") return tell(answer);
        if (answer.kind === "not_found") throw noSuchEmail();
        if (answer.kind === "not_a_dead_letter") throw notADeadLetter(answer.state);
      }
      throw changedMeanwhile();
    },
    async sendNow(request) {
      const { status } = await read(deps, request);
      if (status === "held") return change.release({ ...request, scheduledAt: null });
      const revise = () => ({ scheduledAt: null });
      await change.edit({ ...request, fields: ["scheduled_at"], revise });
    },
    async hold(target) {
      const revoke = revoking([target.id]);
      const kind = await changes.hold(targetOf(target));
      if (kind !== "held") throw changeRefused(kind);
      revoke();
    },
    async release({ scheduledAt, ...target }) {
      const time = scheduledAt === undefined ? {} : { scheduledAt };
      const answer = await changes.release({ ...targetOf(target), ...time });
      if (answer.kind === "not_found") throw noSuchEmail();
      if (answer.kind === "not_held") throw notHeld(answer.state);
      tell(answer);
    },
  };
  return change;
}

/** That it was changed while its message was read is as good as a refusal by the database. */
async function orConflict<Answer>(run: () => Promise<Answer>) {
  try {
    return await run();
  } catch (error) {
    if (isAppError(error, "changed_meanwhile")) return { kind: "conflict" } as const;
    throw error;
  }
}

async function read(
  { emails }: ChangeDeps,
  request: Omit<EditRequest, "fields" | "revise">,
): Promise<WholeEmail> {
  const email = await emails.get(request.id, request.claims, { details: true });
  if (!email) throw noSuchEmail();
  const { versions } = request;
  if (versions && !versions.includes(email.version)) throw versionMismatch(email.version);
  return email;
}

/** What cannot be edited is refused for that, before anything is said about the edit. */
async function editOnce(
  deps: ChangeDeps,
  request: EditRequest,
  target: ChangeTarget,
  email: WholeEmail,
) {
  const { changes } = deps;
  if (email.status !== "pending" && email.status !== "held") return changes.probe(target);
  const prepared = await prepare(deps, request, target, email);
  if (request.fields.length > 0) return changes.edit(prepared);
  const probed = await changes.probe(target);
  return probed.kind === "conflict" ? ({ kind: "unchanged" } as const) : probed;
}

async function prepare(
  deps: ChangeDeps,
  request: EditRequest,
  target: ChangeTarget,
  email: WholeEmail,
) {
  const { version, attemptsSpent: attempts, wrappedKey } = email;
  const { fields } = request;
  const asRead = { ...target, version, attempts, wrappedKey, fields };
  if (fields.length === 0) return { ...asRead, change: {} };
  const readMessage = () => readMessageOf(deps, request, email);
  const isRead = isMessageNeeded(email, deps.keyRing);
  const readBytes = isRead ? email.messageBytes * copiesAtOnce : 0;
  const ownerId = request.claims.sub;
  const held = request.heldBytes?.() ?? 0;
  const giveBack = [take(deps.semaphore, readBytes, { ownerId, ownBytes: held })];
  try {
    const message = isRead ? await readMessage() : null;
    const current = orUnreadable(() => openCurrentEmail({ ...email, message }, deps.keyRing));
    if (!current) throw contentDestroyed();
    const edit = request.revise(current);
    if (isContentEdit(edit)) {
      const caller = { ownerId, ownBytes: held + readBytes };
      giveBack.push(take(deps.semaphore, composedBytes(current, edit), caller));
    }
    return { ...asRead, change: await encryptEdit(current, edit, { ...deps, readMessage }) };
  } finally {
    for (const back of giveBack) back();
  }
}

/** Ciphertext of the very message that the details belong to. */
async function readMessageOf(
  { emails }: ChangeDeps,
  { id, claims }: Target,
  { version }: WholeEmail,
): Promise<Uint8Array> {
  const again = await emails.get(id, claims, { message: true });
  if (!again?.message) throw contentDestroyed();
  if (again.version !== version) throw changedMeanwhile();
  return again.message;
}

function composedBytes({ email, draft }: CurrentEmail, edit: EmailEdit): number {
  const attachments = edit.content?.attachments ?? [];
  const composed = estimateSizeBytes({
    ...draft,
    ...edit.recipients,
    ...edit.content,
    attachments,
  });
  return (composed + email.messageBytes) * copiesAtOnce;
}

/** Of the semaphore, until it is given back. */
function take(semaphore: ByteSemaphore, bytes: number, caller: Caller): () => void {
  if (bytes === 0) return () => {};
  const giveBack = semaphore.tryAcquire(bytes, caller);
  if (giveBack) return giveBack;
  throw new AppError("overloaded", {
    publicDetail:
      "The server's memory limit is reached, in all or for you. Nothing was changed; try again.",
    retryAfterSeconds: 2,
  });
}

function isDeadLetter({ status }: WholeEmail): boolean {
  return (deadLetterStates as readonly string[]).includes(status);
}
