import type { JsonSchema } from "../request/json-schema.ts";
import { resendNames } from "../resend/failure.ts";

const error = {
  type: "object",
  description: "Why a request failed, as Resend's SDK reads it.",
  properties: {
    statusCode: { type: "integer", description: "The HTTP status." },
    name: { enum: resendNames, description: "For programs." },
    message: { type: "string", description: "For people." },
  },
  required: ["statusCode", "name", "message"],
  additionalProperties: false,
};

const examples = {
  400: ["invalid_idempotency_key", "Idempotency keys must have between 1 and 255 characters."],
  401: ["missing_api_key", "Missing API key in the authorization header"],
  403: ["validation_error", "The example.net domain is not verified."],
  404: ["not_found", "There is no email with this id."],
  408: ["validation_error", "The body came too slowly."],
  409: ["concurrent_idempotent_requests", "A request with this key is still running."],
  413: ["validation_error", "The attachments of an email are larger than 25 MB together."],
  415: ["validation_error", "A body is expected to be application/json."],
  422: ["missing_required_field", "Missing `to` field."],
  429: ["rate_limit_exceeded", "Too many requests."],
  500: ["internal_server_error", "Something went wrong here; the log has more."],
  503: ["application_error", "The database is not available."],
} as const;

/** The failures of every route that speaks Resend's language: the same for all of them. */
export function resendFailures(): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(examples).map(([status, [name, message]]) => [
      status,
      {
        description: message,
        headers: { "X-Request-Id": { $ref: "#/components/headers/X-Request-Id" } },
        content: {
          "application/json": {
            schema: error,
            example: { statusCode: Number(status), name, message },
          },
        },
      },
    ]),
  );
}
