import type { ContentfulStatusCode } from "hono/utils/http-status";
import { AppError, type ErrorCode, foreignRefusal, isAppError } from "../../errors.ts";

/** A failure as Bull Board's front end shows it: a headline and a sentence. */
export interface BoardFailure {
  status: ContentfulStatusCode;
  body: { error: { key: string }; message: string; code: ErrorCode };
}

const notDone: [status: ContentfulStatusCode, headline: string] = [409, "Not done"];
/** Codes that the queues of the board raise on purpose; everything else is a fault of ours. */
const headlines: Partial<Record<ErrorCode, [status: ContentfulStatusCode, headline: string]>> = {
  malformed_request: [400, "Not understood"],
  payload_too_large: [413, "Too large"],
  unauthorized: [401, "Please sign in again"],
  forbidden: [403, "Not allowed"],
  not_found: [404, "Not found"],
  not_a_dead_letter: [409, "Not replayed"],
  in_flight: notDone,
  already_sent: notDone,
  already_failed: notDone,
  already_expired: notDone,
  already_suppressed: notDone,
  already_cancelled: notDone,
  outcome_uncertain: notDone,
  changed_meanwhile: notDone,
  database_unavailable: [503, "Not available right now"],
  overloaded: [503, "Not available right now"],
};

/** A key that the front end has no translation for is shown as it is. */
export function boardFailure(error: unknown): BoardFailure {
  const known = isAppError(error) ? error : (foreignRefusal(error) ?? internal(error));
  const [status, key] = headlines[known.code] ?? [500, "Something went wrong"];
  // A 500 never carries internals.
  const message = status === 500 ? "The log has more." : known.publicDetail;
  return { status, body: { error: { key }, message, code: known.code } };
}

function internal(cause: unknown): AppError {
  return new AppError("internal_error", { publicDetail: "", cause });
}
