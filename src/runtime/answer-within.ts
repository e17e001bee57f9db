import type { Logger } from "../log.ts";
import { within } from "./abortable.ts";

export interface AnswerWithinOptions {
  timeoutMs: number;
  /** What the log says of a failure, beside its cause. */
  event: string;
  log: Logger;
}

/**
 * Waits for answers of a queue or a server that may hang or fail; null for those that are late or
 * never come. Of failures in a row the first is logged: it is asked again all the time.
 */
export function createAnswerWithin({ timeoutMs, event, log }: AnswerWithinOptions) {
  let isFailing = false;
  return async <T>(asked: Promise<T>): Promise<T | null> => {
    try {
      const answer = await within(asked, timeoutMs);
      isFailing = false;
      return answer;
    } catch (err) {
      if (!isFailing) log.warn(event, { err });
      isFailing = true;
      return null;
    }
  };
}
