/**
 * What a promise was rejected with; throws when it resolves. `expect(promise).rejects` runs the
 * event loop from within, where a turn of it that the embedded database waits for may come a
 * second late, or after the call's deadline.
 */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const outcome = await promise.then(
    () => null,
    (error: unknown) => ({ error }),
  );
  if (outcome === null) throw new Error("it was expected to reject, and resolved");
  return outcome.error;
}
