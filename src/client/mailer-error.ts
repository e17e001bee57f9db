import type { components } from "./api-types.ts";
import { wordsOf } from "./lasting-failure.ts";

/** A code of the API, or what the client found itself: no answer, or one that is not the API's. */
export type MailerErrorCode =
  | components["schemas"]["Problem"]["code"]
  | "no_answer"
  | "unexpected_answer";

/** Why a call failed. Branch on `code`; `message` is for people. */
export class MailerError extends Error {
  readonly code: MailerErrorCode;
  /** HTTP status; null: there was no answer. */
  readonly status: number | null;
  /** Each faulty place of the request, by its JSON pointer. */
  readonly errors: readonly { pointer: string; detail: string }[];
  /** Finds the request in the server's log. */
  readonly requestId: string | null;
  /** Seconds the server asks to wait. */
  readonly retryAfterSeconds: number | null;

  constructor(
    code: MailerErrorCode,
    message: string,
    more: Partial<
      Pick<MailerError, "status" | "errors" | "requestId" | "retryAfterSeconds" | "cause">
    > = {},
  ) {
    super(message, { cause: more.cause });
    this.name = "MailerError";
    this.code = code;
    this.status = more.status ?? null;
    this.errors = more.errors ?? [];
    this.requestId = more.requestId ?? null;
    this.retryAfterSeconds = more.retryAfterSeconds ?? null;
  }
}

/** There was no answer, or not the whole of one. */
export function noAnswer(url: string, cause: unknown): MailerError {
  return new MailerError("no_answer", wordsOf(url, cause), { cause });
}

/** What a failed answer says, whoever gave it: a proxy may have, in words of its own. */
export async function errorOf(response: Response): Promise<MailerError> {
  const { status, headers } = response;
  const text = await response.text().catch(() => "");
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  const retryAfterSeconds = Number.isFinite(seconds) ? seconds : null;
  const about = { status, retryAfterSeconds, requestId: headers.get("x-request-id") };
  const problem = parse(text);
  if (typeof problem?.code !== "string") {
    return new MailerError("unexpected_answer", `HTTP ${status}: ${text.slice(0, 200)}`, about);
  }
  const { code, detail, errors = [] } = problem as unknown as components["schemas"]["Problem"];
  const faults = errors.map((fault) => `${fault.pointer || "/"}: ${fault.detail}`).join("; ");
  return new MailerError(code, faults === "" ? detail : `${detail} ${faults}`, {
    ...about,
    errors,
  });
}

function parse(text: string): Record<string, unknown> | null {
  try {
    return Object(JSON.parse(text));
  } catch {
    // Not JSON: a proxy's own page.
    return null;
  }
}
