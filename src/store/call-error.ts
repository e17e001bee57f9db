import { AppError, type ErrorCode, isAppError } from "../errors.ts";

/** SQLSTATE of every error our SQL functions raise on purpose: MESSAGE is the code, DETAIL the words. */
const RAISED_BY_US = "TM001";

/**
 * SQLSTATEs that say "not now" rather than "never". A call that ends this way may be made
 * again unchanged. Classes: 08 connection, 28 and 3D a database we are not let into, 40 a
 * deadlock or serialization failure, 53 out of disk, memory or connections, 57P shutdown and
 * start-up; 57014 statement_timeout, 55P03 lock_timeout, 25006 a server turned read-only.
 */
const UNAVAILABLE_STATE = /^(08|28|3D|40|53|57P|57014|55P03|25006|58)/;

/**
 * Of those, what one call met while the database lives: another transaction's lock (55P03), a
 * deadlock or a serialization failure (40P01, 40001), or somebody who cancelled the statement
 * (57014). In a batch it concerns one item, so the others are sent without it.
 */
const CONTENDED_STATE = /^(40001|40P01|55P03|57014)$/;
/** No such schema, function or table: the database is older than the program, or not ours. */
const SCHEMA_STATE = /^(3F000|42883|42P01)$/;

/** 26000: no such prepared statement; 42P05: there is one of that name already. */
const PREPARED_STATE = /^(26000|42P05)$/;
const poolerWords =
  "A pooler between here and the database mixes up prepared statements; try again shortly.";
const missingWords =
  "The database's schema is missing or older than this program: run `taskforce-mailer migrate`.";

/** What `pg` says, without any code, when a connection is lost or cannot be had in time. */
const LOST_CONNECTION =
  /connection terminated|timeout exceeded|connection error|not queryable|pool after calling end|closed the connection|connection ended|client was closed/i;

/**
 * A deadlock or a serialization failure (40P01, 40001), and the prepared statement that a pooler
 * in transaction mode lost or has twice (26000, 42P05): nothing was done, and a second try works.
 */
const UNDONE_STATE = /^(40001|40P01|26000|42P05)$/;
/** What `pg` says when no connection of the pool became free, or none could be made, in time. */
const NO_CONNECTION_IN_TIME = /timeout exceeded/i;
/** Codes of Node's sockets and resolver: ECONNREFUSED, ENOTFOUND, EAI_AGAIN, ENOSPC, … */
const SYSTEM_CODE = /^(E[A-Z_]{3,}|ERR_[A-Z_]*(SOCKET|TLS|SSL|CONN)[A-Z_]*)$/;

/** A certificate that no root we know vouches for, or of another name. */
const CERTIFICATE_CODE =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|CERT_\w+|ERR_TLS_CERT_\w+)$/;
const certificateWords =
  "The database's TLS certificate is not one that this machine trusts: add " +
  "sslrootcert=/path/to/ca.pem to DATABASE_URL, with the certificate of your provider's CA; or " +
  "sslmode=no-verify, which encrypts and checks nothing.";

/** A table rather than a list: a code that `errors.ts` gains and this lacks does not compile. */
const KNOWN_CODES = {
  malformed_request: true,
  malformed_json: true,
  unauthorized: true,
  forbidden: true,
  not_found: true,
  method_not_allowed: true,
  request_timeout: true,
  in_flight: true,
  already_sent: true,
  already_failed: true,
  already_expired: true,
  already_suppressed: true,
  outcome_uncertain: true,
  already_cancelled: true,
  not_finished: true,
  content_unreadable: true,
  not_a_dead_letter: true,
  not_held: true,
  changed_meanwhile: true,
  version_mismatch: true,
  too_many_keys: true,
  too_many_webhooks: true,
  payload_too_large: true,
  unsupported_media_type: true,
  invalid_content: true,
  invalid_query: true,
  not_supported_yet: true,
  idempotency_key_reused: true,
  idempotency_in_flight: true,
  rate_limited: true,
  quota_exceeded: true,
  database_unavailable: true,
  signing_keys_unavailable: true,
  overloaded: true,
  shutting_down: true,
  internal_error: true,
} satisfies Record<ErrorCode, true>;

/** What a driver's error may carry; `pg`, PGlite and Node agree on these names. */
interface DriverError {
  code?: unknown;
  message?: unknown;
  detail?: unknown;
}

/**
 * Turns whatever a driver threw into the `AppError` the rest of the program branches on.
 * The driver's own words stay in `cause`: they can quote rows, so a caller never sees them.
 */
export function toCallError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const { code, message, detail } = describe(error);
  if (code === RAISED_BY_US) return raisedError(message, detail, error);
  if (isCertificateRefused(error)) return certificateError(error);
  if (PREPARED_STATE.test(code)) return notNow(poolerWords, error);
  if (CONTENDED_STATE.test(code)) return contendedError(error);
  if (NO_CONNECTION_IN_TIME.test(message)) return unansweredError(error);
  if (isUnavailable(code, message)) return unavailableError(error);
  if (SCHEMA_STATE.test(code)) return setupError(error);
  return new AppError("internal_error", {
    publicDetail: "The database refused the operation.",
    cause: error,
  });
}

/** The SQLSTATE that PostgreSQL gave for this error or its cause; null: it gave none. */
export function sqlStateOf(error: unknown): string | null {
  const { code } = describe(error instanceof AppError ? error.cause : error);
  return /^[0-9A-Z]{5}$/.test(code) && !SYSTEM_CODE.test(code) ? code : null;
}

/** No answer from the database; 2 to 5 seconds, drawn, so that callers do not return as one. */
export function unavailableError(cause: unknown): AppError {
  return notNow("The database is not available at the moment; try again shortly.", cause);
}

function notNow(publicDetail: string, cause: unknown, reason?: string): AppError {
  return new AppError("database_unavailable", {
    publicDetail,
    cause,
    retryAfterSeconds: 2 + Math.floor(Math.random() * 4),
    ...(reason !== undefined && { reason }),
  });
}

/** The call met another transaction's lock; the database itself is there. */
export function contendedError(cause: unknown): AppError {
  return notNow(
    "Another transaction holds what this request needs; try again shortly.",
    cause,
    "contended",
  );
}

/** The deadline passed without an answer: the call may have committed. */
export function unansweredError(cause: unknown): AppError {
  return notNow("The database did not answer in time; try again shortly.", cause, "unanswered");
}

export function isContended(error: unknown): boolean {
  return isAppError(error, "database_unavailable") && error.reason === "contended";
}

/** True when the database undid the call, for a cause that is over; `toCallError` made the error. */
export function isUndone(error: unknown): boolean {
  return isAppError(error, "database_unavailable") && UNDONE_STATE.test(describe(error.cause).code);
}

export function isUnanswered(error: unknown): boolean {
  return isAppError(error, "database_unavailable") && error.reason === "unanswered";
}

export function isCertificateRefused(error: unknown): boolean {
  return CERTIFICATE_CODE.test(describe(error).code);
}

export function certificateError(cause: unknown): AppError {
  return setupError(cause, certificateWords);
}

/** What only a person can mend, in words that say how; then the same call works. */
export function setupError(cause: unknown, publicDetail = missingWords): AppError {
  return new AppError("database_unavailable", { publicDetail, cause, retryAfterSeconds: 5 });
}

function raisedError(message: string, detail: string, cause: unknown): AppError {
  if (!isErrorCode(message)) {
    return new AppError("internal_error", {
      publicDetail: "The database raised an unknown code.",
      cause,
    });
  }
  if (message === "database_unavailable") return unavailableError(cause);
  return new AppError(message, { publicDetail: detail || message, cause });
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(KNOWN_CODES, text);
}

function isUnavailable(code: string, message: string): boolean {
  if (/^[0-9A-Z]{5}$/.test(code) && !SYSTEM_CODE.test(code)) return UNAVAILABLE_STATE.test(code);
  return SYSTEM_CODE.test(code) || LOST_CONNECTION.test(message);
}

function describe(error: unknown): { code: string; message: string; detail: string } {
  if (typeof error !== "object" || error === null) return { code: "", message: "", detail: "" };
  const { code, message, detail }: DriverError = error;
  return {
    code: typeof code === "string" ? code : "",
    message: typeof message === "string" ? message : "",
    detail: typeof detail === "string" ? detail : "",
  };
}
