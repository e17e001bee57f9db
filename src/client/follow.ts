import type { Entry } from "./call-types.ts";
import type { ClientOptions } from "./client.ts";
import { isLasting } from "./lasting-failure.ts";
import { errorOf, MailerError, noAnswer } from "./mailer-error.ts";

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
  /** Told of each failure that is tried again, and how long after it. */
  onFailure?: (failure: Error, waitMs: number) => void;
}

export type MailerEvent = Entry<"listEvents">;

const waitMsMax = 10_000;
/** A comment comes every 15 seconds: after three that did not, the connection is dead. */
const silentMsMax = 45_000;

/**
 * Events as they happen, without an end, a gap or a double: a stream that breaks off is opened
 * again behind the last event. Rejects when the server refuses, when it cannot be asked however
 * often it is tried, or when `signal` ends it.
 */
export async function* followEvents(
  options: ClientOptions,
  newest: () => Promise<string>,
  { after, signal, onFailure, ...filter }: FollowOptions,
): AsyncGenerator<MailerEvent, void, undefined> {
  let last = after;
  for (let tries = 0, failures = 0; ; tries++, failures++) {
    let failure: Error | null = null;
    try {
      last ??= await newest();
      for await (const event of openStream(options, { ...filter, after: last }, signal)) {
        last = event.id;
        failures = -1;
        yield event;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (tries === 0 ? !isPassing(error) : isFinal(error)) throw error;
      failure = error as Error;
    }
    signal?.throwIfAborted();
    const ms = Math.min(250 * 2 ** Math.max(0, failures), waitMsMax);
    if (failure !== null) onFailure?.(failure, ms);
    await new Promise<void>((resolve) => {
      setTimeout(resolve, ms);
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

/** A credential that cannot be had at the first try is the caller's; later it may be again. */
function isPassing(error: unknown): boolean {
  return error instanceof MailerError && !isFinal(error);
}

function isFinal(error: unknown): boolean {
  if (!(error instanceof MailerError)) return false;
  const isRefused = (error.status ?? 500) < 500 && error.code !== "rate_limited";
  return isRefused || isLasting(error.cause);
}

/** Somebody else answers there: a page of a proxy, say. */
export function noEvents(url: string): MailerError {
  const words = `${url} answers, but not as a server of Taskforce Mailer: expected its events`;
  return new MailerError("unexpected_answer", words, { status: 200 });
}

async function* openStream(
  options: ClientOptions,
  query: Record<string, string>,
  signal: AbortSignal | undefined,
): AsyncGenerator<MailerEvent, void, undefined> {
  const { url, token } = options;
  const headers = new Headers({ accept: eventStreamType });
  const credential = typeof token === "function" ? await token() : token;
  if (credential !== undefined) headers.set("authorization", `Bearer ${credential}`);
  const target = `${url.replace(/\/+$/, "")}/api/v1/events?${new URLSearchParams(query)}`;
  try {
    yield* readStream(options, target, headers, signal);
  } catch (cause) {
    throw cause instanceof MailerError ? cause : noAnswer(url, cause);
  }
}

const eventStreamType = "text/event-stream";

async function* readStream(
  { url, fetch: send = fetch }: ClientOptions,
  target: string,
  headers: Headers,
  signal: AbortSignal | undefined,
): AsyncGenerator<MailerEvent, void, undefined> {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), silentMsMax);
  const signals = [silent.signal, ...(signal === undefined ? [] : [signal])];
  try {
    const response = await send(target, { headers, signal: AbortSignal.any(signals) });
    if (!response.ok || response.body === null) throw await errorOf(response);
    const type = response.headers.get("content-type") ?? "";
    if (!type.startsWith(eventStreamType)) throw noEvents(url);
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
