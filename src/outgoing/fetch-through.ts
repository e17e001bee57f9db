import type { Outgoing, OutgoingAnswer } from "./create-outgoing.ts";

/** For libraries that take a `fetch`: what they ask for goes through the guarded client. */
export function fetchThrough(
  outgoing: Outgoing,
  limits: { deadlineMs: number; answerBytesMax?: number },
): typeof fetch {
  const run = async (input: Parameters<typeof fetch>[0], init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const { method, url } = request;
    if (method !== "GET" && method !== "POST") throw new Error(`${method} is not for this client`);
    const body = method === "POST" ? await request.text() : undefined;
    const answer = await outgoing.request({
      method,
      url,
      headers: Object.fromEntries(request.headers),
      ...limits,
      ...(body === undefined ? {} : { body }),
    });
    // A redirect is an answer like any other: nobody follows it.
    const { status } = answer;
    const hasBody = status !== 204 && status !== 304;
    const headers = headersOf(answer);
    return new Response(hasBody ? answer.body.toString() : null, { status, headers });
  };
  return Object.assign(run, { preconnect: () => {} });
}

/** But for those about the way of the bytes, which are over. */
function headersOf({ headers }: OutgoingAnswer): Headers {
  const kept = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    const isOfTheWay = /^(content-length|content-encoding|transfer-encoding|connection)$/.test(
      name,
    );
    if (typeof value === "string" && !isOfTheWay) kept.set(name, value);
  }
  return kept;
}
