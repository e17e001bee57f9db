/**
 * Asks again when the last answer is older; many questions at one moment are one. Where there is no
 * new answer the last one counts for `staleMs` more.
 */
export function keptFor<T>(ms: number, ask: () => Promise<T>, staleMs = 0): () => Promise<T> {
  let kept: { answer: Promise<T>; askedAt: number } | null = null;
  let last: { answer: T; at: number } | null = null;

  async function askNow(askedAt: number): Promise<T> {
    try {
      const answer = await ask();
      last = { answer, at: askedAt };
      return answer;
    } catch (error) {
      if (last !== null && askedAt - last.at < staleMs) return last.answer;
      throw error;
    }
  }

  return () => {
    const now = performance.now();
    if (kept !== null && now - kept.askedAt < ms) return kept.answer;
    const asked = { answer: askNow(now), askedAt: now };
    kept = asked;
    // A failure is for whoever waits for it, and for nobody after.
    asked.answer.catch(() => {
      if (kept === asked) kept = null;
    });
    return asked.answer;
  };
}
