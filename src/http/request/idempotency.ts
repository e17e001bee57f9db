import { readKept } from "../../content/kept-answer.ts";
import type { AcceptAnswer, AcceptRequest } from "../../emails/accept.ts";
import { AppError } from "../../errors.ts";
import { type ApiContext, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { canonicalHash } from "./canonical-hash.ts";

export type Idempotency = NonNullable<AcceptRequest["idempotency"]>;

/** The request's Idempotency-Key, bound to its path and body; null when it has none. */
export function idempotencyOf(c: ApiContext, path: string, body: unknown): Idempotency | null {
  const key = c.req.header("idempotency-key");
  if (key === undefined) return null;
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new AppError("invalid_content", {
      publicDetail: "Idempotency-Key is expected to be 1 to 255 visible ASCII characters.",
    });
  }
  return { path, key, fingerprint: canonicalHash(body) };
}

/** A body as it is judged now. */
export type Reading<T> = { value: T; isAtFault: boolean } | { error: unknown };

/**
 * Accepts what was read. A body that is at fault now may have been fit when the request first
 * came: its `scheduled_at` is past since, or a setting was changed. While its key is kept it is
 * answered as then, however long ago that was; nothing is stored.
 */
export async function acceptOrReplay<T>(
  c: ApiContext,
  deps: Pick<AppDeps, "emails" | "keyRing">,
  { idempotency, reading }: { idempotency: Idempotency | null; reading: Reading<T> },
  accept: (value: T) => Promise<AcceptAnswer>,
): Promise<AcceptAnswer> {
  const isFine = "value" in reading && !reading.isAtFault;
  const earlier = isFine || idempotency === null ? null : await earlierAnswer(c, deps, idempotency);
  const accepted = earlier ?? (await accept(valueOrThrow(reading)));
  if (accepted.isReplay) c.header("Idempotent-Replayed", "true");
  return accepted;
}

function valueOrThrow<T>(reading: Reading<T>): T {
  if ("error" in reading) throw reading.error;
  return reading.value;
}

/** null: none is kept for this key and body. */
async function earlierAnswer(
  c: ApiContext,
  { emails, keyRing }: Pick<AppDeps, "emails" | "keyRing">,
  idempotency: Idempotency,
): Promise<AcceptAnswer | null> {
  const request = { ownerId: principalOf(c).ownerId, idempotency };
  const earlier = await emails.findIdempotent(request.ownerId, idempotency);
  if (earlier?.kind !== "replayed") return null;
  return { isReplay: true, ...readKept(keyRing, request, earlier) };
}
