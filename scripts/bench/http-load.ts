/** What a run of requests came to; times in milliseconds. */
export interface LoadResult {
  perSecond: number;
  latenciesMs: number[];
}

/**
 * `connections` requests at a time, `count` in all; throws when one is not answered with 2xx.
 * Bodies are made beforehand, so that making them is not measured.
 */
export async function httpLoad(
  url: string,
  { bodies, connections, token }: { bodies: string[]; connections: number; token?: string },
): Promise<LoadResult> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  const latenciesMs: number[] = [];
  let next = 0;

  async function client(): Promise<void> {
    for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) {
      const sentAt = performance.now();
      const res = await fetch(url, { method: "POST", headers, body });
      const text = await res.text();
      if (!res.ok) throw new Error(`${url} answered ${res.status}: ${text.slice(0, 300)}`);
      latenciesMs.push(performance.now() - sentAt);
    }
  }

  const startedAt = performance.now();
  await Promise.all(Array.from({ length: connections }, client));
  const seconds = (performance.now() - startedAt) / 1_000;
  return { perSecond: bodies.length / seconds, latenciesMs };
}
