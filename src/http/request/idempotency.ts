import type { AcceptRequest } from "../../emails/accept.ts";
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

/** A key is kept for a day; this much earlier it no longer counts as known here. */
const surelyKeptMs = 23 * 60 * 60 * 1000;

/**
 * By which clock a body is judged. A repeated request was fit when it first came, though its
 * `scheduled_at` may be past by now: it is judged by the clock of then, so that it is answered
 * as before instead of being refused. `read` says whether the body is at fault.
 */
export async function readAtItsTime<T>(
  c: ApiContext,
  deps: Pick<AppDeps, "emails" | "now">,
  idempotency: Idempotency | null,
  read: (now: Date) => { value: T; isAtFault: boolean } | { error: unknown },
): Promise<T> {
  const now = deps.now();
  const first = read(now);
  const isFine = "value" in first && !first.isAtFault;
  const firstSeenAt = isFine || idempotency === null ? null : await firstSeen(c, deps, idempotency);
  const isKept = firstSeenAt !== null && now.getTime() - firstSeenAt.getTime() < surelyKeptMs;
  const reading = isKept ? read(firstSeenAt) : first;
  if ("error" in reading) throw reading.error;
  return reading.value;
}

async function firstSeen(
  c: ApiContext,
  { emails }: Pick<AppDeps, "emails">,
  idempotency: Idempotency,
): Promise<Date | null> {
  const earlier = await emails.findIdempotent(principalOf(c).ownerId, idempotency);
  return earlier?.kind === "replayed" ? earlier.createdAt : null;
}
