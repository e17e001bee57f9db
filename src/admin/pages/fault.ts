import { isAppError } from "../../errors.ts";

/** Why something was not done, for a person. */
export interface Fault {
  words: string;
  status: 409 | 422 | 503;
}

const unavailable = new Set(["overloaded", "database_unavailable", "shutting_down"]);
const invalid = new Set(["invalid_content", "not_supported_yet", "payload_too_large"]);

/** Rethrows what is no refusal: that is a fault of ours. */
export function faultOf(error: unknown): Fault {
  if (!isAppError(error)) throw error;
  const { code, publicDetail, faults = [] } = error;
  const details = faults.map(({ pointer, detail }) => `${pointer.slice(1)}: ${detail}`);
  const words = details.length === 0 ? publicDetail : `${details.join("; ")}.`;
  if (unavailable.has(code)) return { words, status: 503 };
  return { words, status: invalid.has(code) ? 422 : 409 };
}
