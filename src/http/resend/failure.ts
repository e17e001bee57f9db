import { AppError, type ErrorCode, type FieldFault } from "../../errors.ts";
import { problemHeaders, problems } from "../problem.ts";

/** Names of Resend's errors (`RESEND_ERROR_CODE_KEY` of its SDK) that are answered here, and their statuses. */
const statuses = {
  invalid_idempotency_key: 400,
  validation_error: 422,
  missing_api_key: 401,
  restricted_api_key: 401,
  not_found: 404,
  method_not_allowed: 405,
  invalid_idempotent_request: 409,
  concurrent_idempotent_requests: 409,
  invalid_attachment: 422,
  missing_required_field: 422,
  daily_quota_exceeded: 429,
  rate_limit_exceeded: 429,
  application_error: 500,
  internal_server_error: 500,
} as const;
export type ResendName = keyof typeof statuses;
export const resendNames = Object.keys(statuses) as ResendName[];

/** A refusal that Resend has a name for, which `reason` carries. */
export function resendRefusal(name: ResendName, publicDetail: string): AppError {
  return new AppError("invalid_content", { publicDetail, reason: name });
}

/** Resend answers 403 when the domain of From is not verified. */
export const unverifiedDomain = "unverified_domain";

/** The routes that speak Resend's language, whatever else is asked of them. */
export function isResendPath(path: string): boolean {
  return /^\/(?:emails|domains)(?:\/|$)/.test(path);
}

/** A failure as Resend's SDK reads it: `{ statusCode, name, message }`. */
export function resendResponse(error: AppError): Response {
  const { statusCode, name } = nameOf(error);
  const message = messageOf(error, statusCode);
  const headers = { ...problemHeaders(error, statusCode), "content-type": "application/json" };
  const body = JSON.stringify({ statusCode, name, message });
  return new Response(body, { status: statusCode, headers });
}

const byCode: Partial<Record<ErrorCode, ResendName>> = {
  forbidden: "restricted_api_key",
  not_found: "not_found",
  method_not_allowed: "method_not_allowed",
  idempotency_key_reused: "invalid_idempotent_request",
  idempotency_in_flight: "concurrent_idempotent_requests",
  rate_limited: "rate_limit_exceeded",
  quota_exceeded: "daily_quota_exceeded",
  internal_error: "internal_server_error",
};

/** States that Resend has no status for are content that does not fit. */
function nameOf({ code, reason }: AppError): { statusCode: number; name: ResendName } {
  if (reason === unverifiedDomain) return { statusCode: 403, name: "validation_error" };
  const named = resendNames.find((name) => name === reason) ?? byCode[code];
  if (named !== undefined) return { statusCode: statuses[named], name: named };
  if (code === "unauthorized") {
    return { statusCode: 401, name: reason === "missing" ? "missing_api_key" : "validation_error" };
  }
  const { status } = problems[code];
  if (status >= 500) return { statusCode: status, name: "application_error" };
  return { statusCode: status === 409 ? 422 : status, name: "validation_error" };
}

function messageOf({ code, reason, publicDetail, faults, missingScope }: AppError, status: number) {
  if (status === 500) return "Something went wrong here; the log has more.";
  if (code === "unauthorized") {
    return reason === "missing"
      ? "Missing API key in the authorization header"
      : `API key is invalid. ${publicDetail}`;
  }
  if (code === "forbidden" && missingScope !== "send") {
    return "This API key is restricted to only send emails";
  }
  return faults.length === 0 ? publicDetail : faults.map(faultWords).join("\n");
}

/** At most this many are told in one message. */
export function faultWords({ pointer, detail }: FieldFault): string {
  const field = pointer.slice(1).replaceAll("/", ".");
  return field === "" ? detail : `Invalid \`${field}\` field: ${detail}`;
}
