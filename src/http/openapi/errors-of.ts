import type { ErrorCode } from "../../errors.ts";
import type { DescribedRoute } from "./document.ts";
import type { Operation } from "./operation.ts";

/** Every code that an operation can answer with: those of its kind, and its own. */
export function errorsOf(route: DescribedRoute, operation: Operation): ErrorCode[] {
  const { method, auth, query } = route;
  const { headers = [], body } = operation;
  const codes: ErrorCode[] = ["malformed_request", "internal_error"];
  if (auth === "bearer") {
    codes.push("unauthorized", "forbidden", "rate_limited");
    codes.push("database_unavailable", "signing_keys_unavailable");
  }
  if (auth === "metrics") codes.push("unauthorized", "forbidden", "rate_limited");
  if (query !== undefined) codes.push("invalid_query");
  if (method === "POST" || method === "PATCH") codes.push("shutting_down");
  if (body !== undefined) {
    codes.push("malformed_json", "unsupported_media_type", "payload_too_large");
    codes.push("request_timeout", "overloaded", "invalid_content");
  }
  if (headers.includes("Idempotency-Key")) {
    codes.push("idempotency_key_reused", "idempotency_in_flight", "invalid_content");
  }
  if (headers.includes("If-Match")) codes.push("invalid_content");
  return [...new Set([...codes, ...(operation.errors ?? [])])];
}
