import type { KeyRing } from "../crypto/key-ring.ts";
import type { AnswerPlace, KeyRotation, Rewrap, StaleEmail } from "../store/key-rotation.ts";
import { decryptEmail, isUnreadable } from "./decrypt-email.ts";
import { renewedIndex } from "./failure-index.ts";
import { requestName } from "./kept-answer.ts";

/** How far a rotation has come; every field only rises. */
export interface RotationProgress {
  /** Rows looked at, in every round. */
  scanned: number;
  /** Emails whose data key was put under the current key. */
  emails: number;
  /** Kept answers encrypted anew. */
  answers: number;
}

export interface RotationReport extends RotationProgress {
  /** Emails and answers that do not open under any key of the ring; they stay as they are. */
  unreadable: number;
  /** Ids of the first of those emails. */
  unreadableEmails: string[];
}

export interface RotateDeps {
  rotation: Pick<
    KeyRotation,
    | "staleEmails"
    | "rewrap"
    | "staleAnswers"
    | "rewriteAnswers"
    | "staleWebhooks"
    | "rewrapWebhooks"
  >;
  keyRing: KeyRing;
  onProgress?: (progress: RotationProgress) => void;
}

const unreadableShownMax = 10;

/**
 * Puts everything that is stored under the current key of the ring: wrapped data keys, kept
 * answers, and the blind indexes, which the current key alone makes again. Content is not
 * touched. The rows say what is left to do, so it may be killed and started again at any moment,
 * and several may run at once. Goes round until a round finds nothing more, since emails are
 * accepted and edited meanwhile.
 */
export async function rotateKeys(deps: RotateDeps): Promise<RotationReport> {
  const progress = { scanned: 0, emails: 0, answers: 0 };
  const emails = await untilNothingChanges(() => emailRound(deps, progress));
  const answers = await untilNothingChanges(() => answerRound(deps, progress));
  const webhooks = await rewrapWebhooks(deps);
  const unreadableEmails = emails.unreadable.slice(0, unreadableShownMax);
  const unreadable = emails.unreadable.length + answers.unreadable.length + webhooks;
  return { ...progress, unreadable, unreadableEmails };
}

/** All at once: an owner has a few. Answers how many do not open. */
async function rewrapWebhooks({ rotation, keyRing }: RotateDeps): Promise<number> {
  const stale = await rotation.staleWebhooks(keyRing.currentKeyId);
  const items: { id: string; old: string; new: string }[] = [];
  for (const { id, ownerId, wrappedKey } of stale) {
    try {
      items.push({ id, old: wrappedKey, new: keyRing.rewrapDataKey(wrappedKey, id, ownerId) });
    } catch (error) {
      if (!isUnreadable(error)) throw error;
    }
  }
  if (items.length > 0) await rotation.rewrapWebhooks(items);
  return stale.length - items.length;
}

interface Round {
  found: number;
  unreadable: string[];
}

/** A row that does not open is found in every round; only others make another round worthwhile. */
async function untilNothingChanges(run: () => Promise<Round>): Promise<Round> {
  for (;;) {
    const round = await run();
    if (round.found === round.unreadable.length) return round;
  }
}

async function emailRound(deps: RotateDeps, progress: RotationProgress): Promise<Round> {
  const { rotation, keyRing } = deps;
  const round: Round = { found: 0, unreadable: [] };
  let after: string | null = null;
  do {
    const page = await rotation.staleEmails(keyRing.currentKeyId, after);
    const items = page.rows.flatMap((email) => {
      const item = rewrapOf(email, keyRing);
      if (item === null) round.unreadable.push(email.id);
      return item ?? [];
    });
    round.found += page.rows.length;
    progress.scanned += page.scanned;
    if (items.length > 0) progress.emails += await rotation.rewrap(items);
    deps.onProgress?.({ ...progress });
    after = page.last;
  } while (after !== null);
  return round;
}

/** Null: its data key does not open. An address that does not open by it keeps its old index. */
function rewrapOf(email: StaleEmail, keyRing: KeyRing): Rewrap | null {
  const { id, version, wrappedKey: oldKey } = email;
  const newKey = rewrap(keyRing, email);
  if (oldKey === null || newKey === null) return null;
  const decrypted = decryptEmail(email, keyRing);
  const { failureGroup: oldGroup, failureDomain: oldDomain } = email;
  const renewed = renewedIndex(keyRing, decrypted, { group: oldGroup, domain: oldDomain });
  return {
    id,
    version,
    oldKey,
    newKey,
    addressIndexes: decrypted.recipients.flatMap(({ position, address }) =>
      address === null ? [] : [{ position, addressIndex: keyRing.blindIndex(address) }],
    ),
    failure: { oldGroup, newGroup: renewed.group, oldDomain, newDomain: renewed.domain },
  };
}

function rewrap(keyRing: KeyRing, { wrappedKey, id, ownerId }: StaleEmail): string | null {
  return orUnreadable(() => keyRing.rewrapDataKey(wrappedKey ?? "", id, ownerId));
}

async function answerRound(deps: RotateDeps, progress: RotationProgress): Promise<Round> {
  const { rotation, keyRing } = deps;
  const round: Round = { found: 0, unreadable: [] };
  let after: AnswerPlace | null = null;
  do {
    const page = await rotation.staleAnswers(keyRing.currentKeyId, after);
    const items = page.rows.flatMap(({ response: old, ...place }) => {
      const renewed = reencrypt(keyRing, place, old);
      if (renewed === null) round.unreadable.push(place.key);
      return renewed === null ? [] : [{ ...place, old, new: renewed }];
    });
    round.found += page.rows.length;
    progress.scanned += page.scanned;
    if (items.length > 0) progress.answers += await rotation.rewriteAnswers(items);
    deps.onProgress?.({ ...progress });
    after = page.last;
  } while (after !== null);
  return round;
}

function reencrypt(keyRing: KeyRing, place: AnswerPlace, old: string): string | null {
  const idempotency = { path: place.path, key: place.key, fingerprint: "" };
  const context = requestName({ ownerId: place.owner_id, idempotency });
  return orUnreadable(() => keyRing.encryptText(keyRing.decryptText(old, context), context));
}

function orUnreadable<T>(run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    if (isUnreadable(error)) return null;
    throw error;
  }
}
