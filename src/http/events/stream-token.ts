import { DecryptError, UnknownKeyError } from "../../crypto/decrypt-error.ts";
import type { KeyRing } from "../../crypto/key-ring.ts";
import { answer } from "../answer.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { tokenParameter, wantsStream } from "../request/events-query.ts";

/** Within it a stream must be opened; the stream itself ends with the credential behind it. */
const validMs = 60_000;
const context = "stream token";

/**
 * POST /api/v1/events/token: a token for the address of a stream, for a browser's `EventSource`,
 * which sends no header of ours. It is the caller's own credential, encrypted with its last moment:
 * nothing need be stored, every process reads it, and revoking the credential ends what it opened.
 */
export function createStreamToken({ keyRing, now }: Pick<AppDeps, "keyRing" | "now">) {
  return async (c: ApiContext): Promise<Response> => {
    const expiresAt = new Date(now().getTime() + validMs);
    const text = JSON.stringify([expiresAt.getTime(), c.var.authorization ?? ""]);
    const token = keyRing.encryptText(text, context);
    return answer(c, { token, expires_at: expiresAt }, { status: 201 });
  };
}

/** The `Authorization` of a request, also of one that opens a stream by a token. */
export function authorizationOf(
  c: ApiContext,
  { takesToken, keyRing, now }: { takesToken: boolean; keyRing: KeyRing; now: () => Date },
): string | undefined {
  const header = c.req.header("authorization");
  const token = c.req.query(tokenParameter);
  if (!takesToken || header !== undefined || token === undefined || !wantsStream(c)) return header;
  return openToken(token, keyRing, now().getTime()) ?? "an invalid token";
}

function openToken(token: string, keyRing: KeyRing, nowMs: number): string | null {
  try {
    const [until, authorization] = JSON.parse(keyRing.decryptText(token, context)) as unknown[];
    return typeof until === "number" && nowMs < until ? String(authorization) : null;
  } catch (error) {
    if (error instanceof DecryptError || error instanceof UnknownKeyError) return null;
    throw error;
  }
}
