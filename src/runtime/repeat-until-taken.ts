import { isAppError } from "../errors.ts";
import { sleep } from "./abortable.ts";

const firstPauseMs = 100;
const longestPauseMs = 2_000;

/**
 * Repeats a database call for as long as the database is not available, with pauses that double.
 * Every such call is idempotent. Other errors are thrown at once, and so is the signal's reason
 * once it aborts; one try is always made. What came of an attempt is written by `settling.ts`
 * instead, which repeats on every error.
 */
export async function repeatUntilTaken<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await call();
    } catch (error) {
      if (!isAppError(error, "database_unavailable")) throw error;
      await sleep(pauseMs, signal);
    }
  }
}
