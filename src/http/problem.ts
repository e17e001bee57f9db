import { AppError, type ErrorCode, foreignRefusal } from "../errors.ts";

/** Status and title of every code. A code that is missing here does not compile. */
export const problems = {
  malformed_request: { status: 400, title: "The request is malformed" },
  malformed_json: { status: 400, title: "The body is not valid JSON" },
  unauthorized: { status: 401, title: "A valid credential is needed" },
  forbidden: { status: 403, title: "Not allowed" },
  not_found: { status: 404, title: "Not found" },
  method_not_allowed: { status: 405, title: "Method not allowed" },
  request_timeout: { status: 408, title: "The body came too slowly" },
  in_flight: { status: 409, title: "The email is being sent" },
  already_sent: { status: 409, title: "The email was sent" },
  already_failed: { status: 409, title: "The email failed" },
  already_expired: { status: 409, title: "The email expired" },
  already_suppressed: { status: 409, title: "The email was suppressed" },
  outcome_uncertain: { status: 409, title: "Whether the email was sent is not known" },
  already_cancelled: { status: 409, title: "The email was cancelled" },
  not_finished: { status: 409, title: "The email may still be sent" },
  content_unreadable: { status: 409, title: "The content cannot be decrypted" },
  not_a_dead_letter: { status: 409, title: "The email is not a dead letter" },
  not_held: { status: 409, title: "The email is not held" },
  changed_meanwhile: { status: 409, title: "The email was changed meanwhile" },
  version_mismatch: { status: 412, title: "The email has another version" },
  too_many_keys: { status: 409, title: "Too many API keys" },
  too_many_webhooks: { status: 409, title: "Too many webhooks" },
  payload_too_large: { status: 413, title: "Too large" },
  unsupported_media_type: { status: 415, title: "Media type not supported" },
  invalid_content: { status: 422, title: "The content is not valid" },
  invalid_query: { status: 422, title: "The query is not valid" },
  not_supported_yet: { status: 422, title: "Not supported yet" },
  idempotency_key_reused: { status: 422, title: "The Idempotency-Key was used before" },
  idempotency_in_flight: { status: 409, title: "The same request is still running" },
  rate_limited: { status: 429, title: "Too many requests" },
  quota_exceeded: { status: 429, title: "The quota is used up" },
  database_unavailable: { status: 503, title: "The database is not available" },
  signing_keys_unavailable: { status: 503, title: "Tokens cannot be checked at the moment" },
  overloaded: { status: 503, title: "Too much to do at the moment" },
  shutting_down: { status: 503, title: "The service is shutting down" },
  internal_error: { status: 500, title: "Internal error" },
} satisfies Record<ErrorCode, { status: number; title: string }>;

/** A caller that sends a thousand faults is told of the first hundred. */
const faultsShownMax = 100;
const retryAfterSecondsDefault = 2;

/** `type` of a problem: the page about its code; below `baseUrl` when that is known. */
export function problemType(code: ErrorCode, baseUrl = ""): string {
  return `${baseUrl}/docs/problems/${code}`;
}

/** One failure as RFC 9457 writes it, with the fields API.md adds. */
export function problemResponse(
  error: AppError,
  {
    instance,
    requestId,
    baseUrl = "",
  }: { instance: string; requestId: string; baseUrl?: string | undefined },
): Response {
  const { status, title } = problems[error.code];
  const isInternal = status === 500;
  const body = {
    success: false,
    type: problemType(error.code, baseUrl),
    title,
    status,
    // A 500 never carries internals; the request id finds them in the log.
    detail: isInternal ? "Something went wrong here; the log has more." : error.publicDetail,
    instance,
    code: error.code,
    request_id: requestId,
    ...(error.faults.length > 0 && !isInternal
      ? { errors: error.faults.slice(0, faultsShownMax) }
      : {}),
  };
  return new Response(JSON.stringify(body), { status, headers: problemHeaders(error, status) });
}

export function problemHeaders(error: AppError, status: number): Record<string, string> {
  const retryAfter =
    error.retryAfterSeconds ?? (status === 503 ? retryAfterSecondsDefault : undefined);
  return {
    "content-type": "application/problem+json",
    ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
    ...challengeOf(error, status),
    // The rest of the body is not read: whoever goes on sending it is hung up on.
    ...(leavesBody(error) ? { connection: "close" } : {}),
  };
}

function leavesBody({ code }: AppError): boolean {
  return code === "request_timeout" || code === "payload_too_large" || code === "overloaded";
}

/** RFC 6750, section 3: who sent no credential at all is told no error. */
function challengeOf({ reason, missingScope }: AppError, status: number): Record<string, string> {
  const challenge = 'Bearer realm="taskforce-mailer"';
  if (status === 401) {
    const isMissing = reason === "missing";
    return { "www-authenticate": isMissing ? challenge : `${challenge}, error="invalid_token"` };
  }
  if (status !== 403 || missingScope === undefined) return {};
  const lacks = `error="insufficient_scope", scope="${missingScope}"`;
  return { "www-authenticate": `${challenge}, ${lacks}` };
}

/** Whatever was thrown, as an error a caller may see. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const refusal = foreignRefusal(error);
  if (refusal !== null) return refusal;
  return new AppError("internal_error", { publicDetail: "Unexpected.", cause: error });
}
