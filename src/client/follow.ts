import type { Entry } from "./call-types.ts";
import type { ClientOptions } from "./client.ts";
import { errorOf, MailerError } from "./mailer-error.ts";

export interface FollowOptions {
  /** `email.sent,email.bounced`; default: all. */
  type?: string;
  tag?: string;
  status?: string;
  /** For admins; default: everybody's. */
  owner?: string;
  /** The `id` of the last event that is known; default: what happens from now on. */
  after?: string;
  signal?: AbortSignal;
}

export type MailerEvent = Entry<"listEvents">;

const waitMsMax = 30_000;
/** A comment comes every 15 seconds: after three that did not, the connection is dead. */
const silentMsMax = 45_000;

/**
 * Events as they happen, without an end, a gap or a double: a stream that breaks off is opened
 * again behind the last event. Rejects when the server refuses, or when `signal` ends it.
 */
export async function* followEvents(
  options: ClientOptions,
  newest: () => Promise<string>,
  { after, signal, ...filter }: FollowOptions,
): AsyncGenerator<MailerEvent, void, undefined> {
  let last = after ?? (await newest());
  for (let failures = 0; ; failures++) {
    try {
      for await (const event of openStream(options, { ...filter, after: last }, signal)) {
        last = event.id;
        failures = -1;
        yield event;
      }
    } catch (error) {
      signal?.throwIfAborted();
      const isRefused = error instanceof MailerError && (error.status ?? 500) < 500;
      if (isRefused && error.code !== "rate_limited") throw error;
    }
    signal?.throwIfAborted();
    const ms = Math.min(250 * 2 ** Math.max(0, failures), waitMsMax);
    await new Promise<void>((resolve) => {
      setTimeout(resolve, ms);
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

async function* openStream(
  { url, token, fetch: send = fetch }: ClientOptions,
  query: Record<string, string>,
  signal: AbortSignal | undefined,
): AsyncGenerator<MailerEvent, void, undefined> {
  const headers = new Headers({ accept: "text/event-stream" });
  const credential = typeof token === "function" ? await token() : token;
  if (credential !== undefined) headers.set("authorization", `Bearer ${credential}`);
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), silentMsMax);
  const signals = [silent.signal, ...(signal === undefined ? [] : [signal])];
  try {
    const target = `${url.replace(/\/+$/, "")}/api/v1/events?${new URLSearchParams(query)}`;
    const response = await send(target, { headers, signal: AbortSignal.any(signals) });
    if (!response.ok || response.body === null) throw await errorOf(response);
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of chunksOf(response.body)) {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), silentMsMax);
      const blocks = (text + decoder.decode(chunk, { stream: true })).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = readBlock(block);
        if (event !== null) yield event;
      }
    }
  } finally {
    clearTimeout(timer);
    silent.abort();
  }
}

/** Not every browser iterates over a stream by itself. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** One event of the stream; null: a comment, or how long to wait. */
function readBlock(block: string): MailerEvent | null {
  const fields = new Map(
    block.split("\n").map((line) => {
      const at = line.indexOf(":");
      return [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")] as const;
    }),
  );
  const [id, type, data] = [fields.get("id"), fields.get("event"), fields.get("data")];
  if (id === undefined || data === undefined) return null;
  return { ...JSON.parse(data), id, ...(type === undefined ? {} : { type }) };
}
