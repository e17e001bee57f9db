import type { KeyRing } from "../crypto/key-ring.ts";
import { AppError } from "../errors.ts";
import type { IdempotencyClaim, IdempotentAnswer, NewEmail } from "../store/stored-email.ts";

/** The answer kept, encrypted, beside an Idempotency-Key for a repeated request. */
interface KeptAnswer {
  emails: { id: string; scheduled_at: string | null }[];
  note: unknown;
}

export interface ReadAnswer {
  emails: { id: string; scheduledAt: Date; createdAt: Date }[];
  note: unknown;
}

/** Which request an answer belongs to. */
export interface KeptFor {
  ownerId: string;
  idempotency: Omit<IdempotencyClaim, "response"> | null;
}

/** Names the request; bound into the ciphertext, and the same for the same owner, path and key. */
export function requestName({ ownerId, idempotency }: KeptFor): string {
  return JSON.stringify([ownerId, idempotency?.path, idempotency?.key]);
}

export function writeKept(
  keyRing: KeyRing,
  request: KeptFor,
  emails: NewEmail[],
  note: unknown,
): string {
  const kept: KeptAnswer = {
    emails: emails.map(({ id, scheduledAt }) => ({
      id,
      scheduled_at: scheduledAt?.toISOString() ?? null,
    })),
    note,
  };
  return writeKeptData(keyRing, request, kept);
}

/** The earlier answer again. Throws `idempotency_key_reused` when the body was another one. */
export function readKept(keyRing: KeyRing, request: KeptFor, answer: IdempotentAnswer): ReadAnswer {
  const kept = readKeptData(keyRing, request, answer) as KeptAnswer;
  // readKeptData threw for any other.
  const { createdAt } = answer as Extract<IdempotentAnswer, { kind: "replayed" }>;
  return {
    emails: kept.emails.map(({ id, scheduled_at }) => ({
      id,
      scheduledAt: scheduled_at === null ? createdAt : new Date(scheduled_at),
      createdAt,
    })),
    note: kept.note,
  };
}

/** The `data` of an answer that is kept as a whole. */
export function writeKeptData(keyRing: KeyRing, request: KeptFor, data: unknown): string {
  return keyRing.encryptText(JSON.stringify(data), requestName(request));
}

/** The kept answer. Throws `idempotency_key_reused` when the body was another one. */
export function readKeptData(
  keyRing: KeyRing,
  request: KeptFor,
  answer: IdempotentAnswer,
): unknown {
  if (answer.kind === "reused") {
    throw new AppError("idempotency_key_reused", {
      publicDetail: "This Idempotency-Key was used with another body; use a new key.",
    });
  }
  return JSON.parse(keyRing.decryptText(answer.response, requestName(request)));
}
