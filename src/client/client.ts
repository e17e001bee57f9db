import type { Call, Entry, Input, ListId, OperationId } from "./call-types.ts";
import { endpoints } from "./endpoints.ts";
import { type FollowOptions, followEvents, type MailerEvent, noEvents } from "./follow.ts";
import { isLasting } from "./lasting-failure.ts";
import { errorOf, MailerError, noAnswer } from "./mailer-error.ts";

export interface ClientOptions {
  /** Where the server is, such as `https://mail.example.com`. */
  url: string;
  /** JWT or API key; a function is asked before each call. Default: none is sent. */
  token?: string | (() => string | Promise<string>);
  /** How often a call is repeated where that is safe. Default: 4. */
  retriesMax?: number;
  /** Of each try. Default: 60,000. */
  timeoutMs?: number;
  /** Default: the runtime's own. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** A function for each operation, and one that walks through lists. */
export type Client = { [Id in OperationId]: Call<Id> } & {
  /** Every entry of a list, page by page as they are asked for. */
  each<Id extends ListId>(id: Id, input?: Input<Id>): AsyncGenerator<Entry<Id>, void, undefined>;
  /** Events as they happen, for as long as they are asked for. */
  follow(options?: FollowOptions): AsyncGenerator<MailerEvent, void, undefined>;
};

interface AnyInput {
  path?: Record<string, unknown>;
  query?: Record<string, unknown>;
  body?: unknown;
  idempotencyKey?: string;
  ifMatch?: string;
  signal?: AbortSignal;
}

/** Nothing was done when the server says one of these: asking again is safe whatever was asked. */
const untouched: ReadonlySet<string> = new Set([
  ...["rate_limited", "overloaded", "shutting_down", "signing_keys_unavailable"],
  "idempotency_in_flight",
]);
/** Nobody knows what came of these: asking again is safe where nothing is doubled by it. */
const unclear: ReadonlySet<string> = new Set(["database_unavailable", "no_answer"]);
const gatewayStatuses: ReadonlySet<number | null> = new Set([502, 503, 504]);
const waitMsMax = 30_000;

/** Node 20, Bun, Deno and browsers. Every call rejects with a `MailerError`. */
export function createClient(options: ClientOptions): Client {
  const call = (id: OperationId) => (input?: object) => run(options, id, input ?? {});
  const calls = Object.fromEntries(
    Object.keys(endpoints).map((id) => [id, call(id as OperationId)]),
  );
  async function* each(id: OperationId, input: AnyInput = {}) {
    let cursor: string | null = null;
    do {
      const query: Record<string, unknown> = {
        ...input.query,
        ...(cursor === null ? {} : { cursor }),
      };
      if (cursor !== null) delete query.offset;
      const answer = (await run(options, id, { ...input, query })) as {
        data: unknown[];
        page: { next_cursor: string | null };
      };
      yield* answer.data;
      cursor = answer.page.next_cursor;
    } while (cursor !== null);
  }
  const client = { ...calls, each, follow } as unknown as Client;
  /** Asked once: who follows asks again by itself. */
  async function newest(): Promise<string> {
    const once = { ...options, retriesMax: 0 };
    const answer = await run(once, "listEvents", { query: { limit: 1 } });
    const { data } = answer as Partial<Awaited<ReturnType<Client["listEvents"]>>>;
    if (!Array.isArray(data)) throw noEvents(options.url);
    return data[0]?.id ?? "0";
  }
  function follow(asked: FollowOptions = {}) {
    return followEvents(options, newest, asked);
  }
  return client;
}

async function run(options: ClientOptions, id: OperationId, input: AnyInput): Promise<unknown> {
  const [method, , isKeyed] = endpoints[id];
  const asked = isKeyed ? { idempotencyKey: newKey(), ...input } : input;
  const isRepeatable = isKeyed || method === "GET" || method === "DELETE";
  for (let tries = 0; ; tries++) {
    const error = await attempt(options, id, asked).then(
      (value) => ({ value }),
      (failure: unknown) => failure,
    );
    if (!(error instanceof Error)) return (error as { value: unknown }).value;
    const isLast = tries >= (options.retriesMax ?? 4) || asked.signal?.aborted === true;
    if (isLast || !(error instanceof MailerError) || !isWorthIt(error, isRepeatable)) throw error;
    await wait(error.retryAfterSeconds, tries, asked.signal);
  }
}

/** Browsers have `crypto.randomUUID` on HTTPS and localhost alone. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function isWorthIt({ code, status, cause }: MailerError, isRepeatable: boolean): boolean {
  if (untouched.has(code)) return true;
  if (isLasting(cause)) return false;
  const isUnclear =
    unclear.has(code) || (code === "unexpected_answer" && gatewayStatuses.has(status));
  return isRepeatable && isUnclear;
}

/** As long as the server says, else twice as long each time; neither so that all ask at once. */
async function wait(seconds: number | null, tries: number, signal?: AbortSignal): Promise<void> {
  const ms = seconds === null ? 250 * 2 ** tries : seconds * 1_000;
  const timer = Math.min(ms, waitMsMax) * (1 + Math.random() / 4);
  await new Promise<void>((resolve) => {
    setTimeout(resolve, timer);
    signal?.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function attempt(options: ClientOptions, id: OperationId, input: AnyInput): Promise<unknown> {
  const { token, timeoutMs = 60_000, fetch: send = fetch } = options;
  const [method] = endpoints[id];
  const { body, idempotencyKey, ifMatch, signal } = input;
  const headers = new Headers({ accept: "application/json, */*;q=0.5" });
  const credential = typeof token === "function" ? await token() : token;
  if (credential !== undefined) headers.set("authorization", `Bearer ${credential}`);
  if (body !== undefined) headers.set("content-type", "application/json");
  if (idempotencyKey !== undefined) headers.set("idempotency-key", idempotencyKey);
  if (ifMatch !== undefined) headers.set("if-match", ifMatch);
  const url = urlOf(options.url, id, input);
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const response = await send(url, {
      method,
      headers,
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw await errorOf(response);
    const isJson = /\bjson\b/.test(response.headers.get("content-type") ?? "");
    return isJson ? await response.json() : new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    if (cause instanceof MailerError || signal?.aborted === true) throw cause;
    throw noAnswer(options.url, cause);
  }
}

function urlOf(base: string, id: OperationId, { path = {}, query = {} }: AnyInput): string {
  const filled = endpoints[id][1].replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = path[name];
    if (value === undefined || value === "") throw new TypeError(`${id} needs path.${name}`);
    return encodeURIComponent(String(value));
  });
  const pairs = Object.entries(query).flatMap(([name, value]): [string, string][] => {
    if (value === undefined || value === null) return [];
    if (typeof value !== "object") return [[name, String(value)]];
    // `metadata: { order: "8713" }` is the parameter `metadata.order`.
    return Object.entries(value).map(([key, one]) => [
      key.startsWith(`${name}.`) ? key : `${name}.${key}`,
      String(one),
    ]);
  });
  const text = new URLSearchParams(pairs).toString();
  return `${base.replace(/\/+$/, "")}${filled}${text === "" ? "" : `?${text}`}`;
}
