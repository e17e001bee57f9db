/** Waiting that a signal can end, without leaving a timer or a listener behind. */

/** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
export function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, delayMs);
  return untilAborted(promise, signal).finally(() => clearTimeout(timer));
}

/** As the promise does; rejects with the signal's reason when it aborts first. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/**
 * Resolves to the promise's value, or to null once `timeoutMs` have passed; rejects as the promise
 * does. What it comes to later is lost, also an error.
 */
export async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | null> {
  let timer: Timer | undefined;
  const timeout = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), timeoutMs);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

/**
 * Waits for one step of a stop, for `timeoutMs` at most; never rejects. A step that fails is told
 * to `failed` with its cause, and the stop goes on.
 */
export async function endedWithin(
  step: Promise<unknown>,
  timeoutMs: number,
  failed: (error: unknown) => void,
): Promise<void> {
  await within(
    step.then(() => true),
    timeoutMs,
  ).catch(failed);
}
