import type { z } from "zod";
import type { ErrorCode } from "../../errors.ts";

/** Under which heading of the reference an operation stands; in this order. */
export const groups = {
  Emails: "Accept, read, change and cancel emails, one at a time or many at once.",
  "Dead letters": "Emails that wait for a person: failed, uncertain, held and partially sent.",
  Events: "What happens to emails, in pages and live.",
  Webhooks: "Where events are sent to, signed as Standard Webhooks 1.0.0 says.",
  Journal: "The append-only record of what happened, chained by hashes.",
  "API keys": "Credentials for programs; each acts for the person who made it.",
  Resend: "What Resend's SDK calls, with its fields, errors and statuses; see the page on Resend.",
  Operation: "What the people who run the service look at and do.",
  Documentation: "This description.",
} as const;
export type Group = keyof typeof groups;

/**
 * What the document says of one route beyond what the route table and its schemas tell. Texts are
 * Markdown, in whole sentences.
 */
export interface Operation {
  /** With the path, as in the route table. */
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  /** `operationId`, and the name of the typed client's function. */
  id: string;
  group: Group;
  /** Whose errors it answers with; default: problems (RFC 9457). */
  dialect?: "resend";
  /** A heading: a verb and its object, without a full stop. */
  summary: string;
  description: string;
  /** Of parameters that mean something else here than in `parameters.ts`. */
  parameters?: Record<string, Parameter>;
  /** Request headers beside Authorization. */
  headers?: readonly HeaderName[];
  body?: Body;
  answers: readonly [Answer, ...Answer[]];
  /** Beside those that every operation of its kind has; see `errorsOf`. */
  errors?: readonly ErrorCode[];
}

export type HeaderName = "Idempotency-Key" | "If-Match" | "Accept";

export interface Parameter {
  description: string;
  schema: Record<string, unknown>;
  example: unknown;
}

export interface Example {
  summary: string;
  value: unknown;
}

export interface Body {
  /** Its name among the document's schemas. */
  name: string;
  /** The one that the route validates with. */
  schema: z.ZodType;
  /** No body at all is an empty object. */
  isOptional: boolean;
  /** What each field means. */
  words: Readonly<Record<string, string>>;
  examples: Readonly<Record<string, Example>>;
}

export interface Answer {
  status: 200 | 201 | 202 | 503;
  description: string;
  /** Of the whole body as JSON; a media type: the body is anything of it. */
  body: { schema: z.ZodType; example: unknown } | { type: string; example: string };
  /** Response headers beside those that every answer has. */
  headers?: readonly ("Idempotent-Replayed" | "Content-Disposition" | "Retry-After")[];
}

/** A body whose every field has its words: a field that is forgotten does not compile. */
export function bodyOf<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  body: {
    name: string;
    isOptional?: boolean;
    words: Readonly<Record<keyof Shape & string, string>>;
    examples: Readonly<Record<string, Example>>;
  },
): Body {
  return { isOptional: false, ...body, schema };
}
