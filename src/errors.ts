/**
 * Every way a request or a command can fail, by a stable code. Callers branch on the code,
 * never on the text. `http/problem.ts` gives each code its status and title; a code that is
 * missing there does not compile.
 */
export type ErrorCode =
  | "malformed_request"
  | "malformed_json"
  | "unauthorized"
  | "forbidden"
  | "not_found"
  | "method_not_allowed"
  | "request_timeout"
  | "in_flight"
  | "already_sent"
  | "already_failed"
  | "already_expired"
  | "already_suppressed"
  | "outcome_uncertain"
  | "already_cancelled"
  | "not_finished"
  | "content_unreadable"
  | "not_a_dead_letter"
  | "not_held"
  | "changed_meanwhile"
  | "version_mismatch"
  | "too_many_keys"
  | "too_many_webhooks"
  | "payload_too_large"
  | "unsupported_media_type"
  | "invalid_content"
  | "invalid_query"
  | "not_supported_yet"
  | "idempotency_key_reused"
  | "idempotency_in_flight"
  | "database_unavailable"
  | "rate_limited"
  | "quota_exceeded"
  | "signing_keys_unavailable"
  | "overloaded"
  | "shutting_down"
  | "internal_error";

/** One faulty place in a request body or query. `pointer` is an RFC 6901 JSON pointer. */
export interface FieldFault {
  pointer: string;
  /** One sentence: the value expected, and the value that came. */
  detail: string;
}

export interface AppErrorOptions {
  /** Shown to the caller; never carries content of an email, a secret or an internal. */
  publicDetail: string;
  /** For the log only. */
  cause?: unknown;
  faults?: FieldFault[];
  /** Seconds; becomes `Retry-After`. */
  retryAfterSeconds?: number;
  /** Why a credential is refused, in one stable word for the log: `expired`, `missing`, … */
  reason?: string;
  /** What an API key would need and lacks; `WWW-Authenticate` names it (RFC 6750). */
  missingScope?: string;
}

/** The one error type that crosses rooms. `code` decides what happens, the words are for people. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly publicDetail: string;
  readonly faults: FieldFault[];
  readonly retryAfterSeconds: number | undefined;
  readonly reason: string | undefined;
  readonly missingScope: string | undefined;

  constructor(code: ErrorCode, options: AppErrorOptions) {
    super(`${code}: ${options.publicDetail}`, { cause: options.cause });
    this.name = "AppError";
    this.code = code;
    this.publicDetail = options.publicDetail;
    this.faults = options.faults ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.reason = options.reason;
    this.missingScope = options.missingScope;
  }
}

/**
 * A refusal that a library threw, as one of ours; null: the error is none. Hono's exceptions are
 * known by their status; a form that does not parse by the runtime's code.
 */
export function foreignRefusal(error: unknown): AppError | null {
  if (!(error instanceof Error)) return null;
  const { status, code } = error as { status?: unknown; code?: unknown };
  if (code === "ERR_FORMDATA_PARSE_ERROR") return malformed("The form does not parse.", error);
  if (typeof status !== "number" || !("getResponse" in error) || status >= 500) return null;
  const publicDetail = "The body is larger than this path takes.";
  if (status === 413) return new AppError("payload_too_large", { publicDetail, cause: error });
  return malformed("The request is not one that this path can read.", error);
}

function malformed(publicDetail: string, cause: unknown): AppError {
  return new AppError("malformed_request", { publicDetail, cause });
}

/** True for an `AppError`, of the given code when one is given. */
export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code);
}
