import { isAppError } from "../errors.ts";
import { sleep } from "./abortable.ts";

const firstPauseMs = 100;
const longestPauseMs = 2_000;

/**
 * Repeats a database call until the database takes it: a reply from the next hop must not be
 * lost because the database is restarting. Every such call is idempotent. Other errors are
 * thrown at once, and so is the signal's reason once it aborts; one try is always made.
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
