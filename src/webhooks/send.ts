import type { Outgoing, OutgoingAnswer } from "../outgoing/create-outgoing.ts";
import { OutgoingError } from "../outgoing/outgoing-error.ts";
import { type Signer, signedHeaders } from "./sign.ts";

/** What one try came to. */
export interface Sent {
  isSuccess: boolean;
  /** It said that it will never want any more. */
  isGone: boolean;
  /** null: there was no answer. */
  statusCode: number | null;
  /** Why it failed; null: it did not. */
  error: string | null;
  durationMs: number;
  /** The beginning of what it answered. */
  answer: string | null;
  retryAfterMs: number | null;
}

export interface SendDeps {
  outgoing: Outgoing;
  now: () => Date;
  userAgent: string;
  /** From the question to the resolver to the last byte. Default 15 s. */
  deadlineMs?: number;
}

const deadlineMsDefault = 15_000;
/** Bytes of an answer that are read, and how many of them are kept. */
const readBytesMax = 64 * 1024;
const keptBytesMax = 4 * 1024;

/** One try of one event. Never rejects: whatever the other side does is an outcome. */
export async function send(
  { outgoing, now, userAgent, deadlineMs = deadlineMsDefault }: SendDeps,
  { url, sign, id, body }: { url: string; sign: Signer; id: string; body: string },
): Promise<Sent> {
  const startedAt = performance.now();
  try {
    const answer = await outgoing.request({
      method: "POST",
      url,
      headers: {
        "content-type": "application/json",
        "user-agent": userAgent,
        ...signedHeaders(sign, { id, at: now(), body }),
      },
      body,
      deadlineMs,
      answerBytesMax: readBytesMax,
      isCutAtMax: true,
    });
    return answered(answer, performance.now() - startedAt, now());
  } catch (error) {
    if (!(error instanceof OutgoingError)) throw error;
    return unanswered(error, performance.now() - startedAt);
  }
}

function answered({ status, headers, body }: OutgoingAnswer, durationMs: number, now: Date): Sent {
  const isSuccess = status >= 200 && status < 300;
  return {
    isSuccess,
    isGone: status === 410,
    statusCode: status,
    error: isSuccess ? null : errorOf(status),
    durationMs,
    answer: body.length === 0 ? null : body.subarray(0, keptBytesMax).toString(),
    retryAfterMs: isSuccess ? null : retryAfterOf(headers["retry-after"], now),
  };
}

function errorOf(status: number): string {
  if (status >= 300 && status < 400) return `It redirects (${status}), which is not followed.`;
  return `It answered ${status}.`;
}

/** Seconds, or a date (RFC 9110, section 10.2.3). */
function retryAfterOf(text: string | undefined, now: Date): number | null {
  if (text === undefined) return null;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - now.getTime());
}

function unanswered(error: OutgoingError, durationMs: number): Sent {
  return {
    ...{ isSuccess: false, isGone: false, statusCode: null, answer: null, retryAfterMs: null },
    error: error.message,
    durationMs,
  };
}
