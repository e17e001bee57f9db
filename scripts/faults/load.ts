import { emailRequest, inMs } from "../../src/testing/product/email-requests.ts";
import { type Content, createLoadChanges, type LoadChanges } from "./load-changes.ts";

/** What the product has answered for: from here on the email is its duty. */
export interface Ack {
  id: string;
  /** As asked for; null: as soon as possible. */
  scheduledAt: number | null;
  /** When the 201 had arrived, by this machine's clock. */
  ackedAt: number;
  /** The content that was asked to be sent. */
  content: Content;
}

/** Address of the process that answers now; a function, since processes are killed and replaced. */
export type ApiUrl = () => string;

export interface SteadyLoad {
  count: number;
  perSecond: number;
  fields?: (index: number) => Record<string, unknown>;
  /** Default: any living process that takes emails. */
  api?: ApiUrl;
}

/** Hands emails to the product and remembers every promise it makes. */
export interface Load extends LoadChanges {
  readonly acks: Map<string, Ack>;
  /** Ids whose cancel was answered 200, and when. */
  readonly cancelled: Map<string, number>;
  /** How long each answered POST took, its last try alone, in milliseconds. */
  readonly acceptMs: number[];
  /** Tries that had no answer, or a 5xx; each was repeated under the same Idempotency-Key. */
  readonly unanswered: number;
  /** In batches of up to 500, as fast as they are taken; the ids in order. */
  burst(
    count: number,
    fields?: (index: number) => Record<string, unknown>,
    api?: ApiUrl,
  ): Promise<string[]>;
  /** One POST each, at a steady rate; resolves with the ids once all are answered. */
  steady(load: SteadyLoad): Promise<string[]>;
  /** The status of the answer; 0: none came. */
  cancel(id: string, api?: ApiUrl): Promise<number>;
  /** Called in the moment in which an acknowledgement is read; null: nobody is. */
  onAck(listener: (() => void) | null): void;
  /** Ends the repeating of what nobody answers. */
  stop(): void;
}

interface Scheduled {
  id: string;
}

/** The request body for one email, or for a batch. */
interface Body extends Record<string, unknown> {
  emails?: Record<string, unknown>[];
}

interface Answered<Data> {
  data: Data;
  /** The body that was accepted: its times may differ from those asked for first. */
  asked: Body;
}

/**
 * By turns due at once, which a process that accepts and sends does without the queue, and in two
 * seconds, which the queue is for.
 */
export function nowAndSoon(index: number): Record<string, unknown> {
  return index % 2 === 0 ? {} : { scheduled_at: inMs(2_000) };
}

const batchMax = 500;
const retryMs = 100;

/** Requests come from the owners by turns; changes are asked for by the first. */
export function createLoad(anyApi: ApiUrl, bearers: readonly string[]): Load {
  const acks = new Map<string, Ack>();
  const cancelled = new Map<string, number>();
  const acceptMs: number[] = [];
  let unanswered = 0;
  let isStopped = false;
  let made = 0;
  let posts = 0;
  const [first = ""] = bearers;
  let ackListener: (() => void) | null = null;

  /**
   * Until it is answered: whoever gets no answer asks again under the same key. A time that has passed
   * by more than a minute meanwhile is refused, since nothing was stored: then for now, as a new request.
   */
  async function post<Data>(api: ApiUrl, path: string, asked: Body): Promise<Answered<Data>> {
    let key = crypto.randomUUID();
    let body = asked;
    let isRepeated = false;
    const bearer = bearers[posts % bearers.length] ?? first;
    posts += 1;
    while (!isStopped) {
      const startedAt = performance.now();
      try {
        const answer = await request(`${api()}${path}`, "POST", { body, key, bearer });
        if (answer.status === 201) {
          ackListener?.();
          acceptMs.push(performance.now() - startedAt);
          return { data: answer.data as Data, asked: body };
        }
        if (
          isRepeated &&
          answer.status === 422 &&
          answer.text.includes("scheduled_at") &&
          body !== dueNow(body)
        ) {
          body = dueNow(body);
          key = crypto.randomUUID();
          continue;
        }
        if (answer.status < 500 && answer.status !== 409) {
          throw new RefusedError(`${path} answered ${answer.status}: ${answer.text}`);
        }
      } catch (error) {
        if (error instanceof RefusedError) throw error;
      }
      unanswered += 1;
      isRepeated = true;
      await Bun.sleep(retryMs);
    }
    throw new Error("the load was stopped before it was accepted");
  }

  function remember({ id }: Scheduled, email: Record<string, unknown> = {}): string {
    const asked = email.scheduled_at;
    const scheduledAt = typeof asked === "string" ? Date.parse(asked) : null;
    acks.set(id, { id, ackedAt: Date.now(), scheduledAt, content: contentOf(email) });
    return id;
  }

  function emailOf(index: number, fields: (index: number) => Record<string, unknown>) {
    made += 1;
    const email: Record<string, unknown> = emailRequest({ subject: `Load ${made}` });
    return { ...email, ...fields(index) };
  }

  const changes = createLoadChanges(async (path, method, body) => {
    const answer = await request(`${anyApi()}${path}`, method, { body, bearer: first });
    return answer.status;
  });

  return {
    ...changes,
    acks,
    cancelled,
    acceptMs,
    get unanswered() {
      return unanswered;
    },
    async burst(count, fields = () => ({}), api = anyApi) {
      const ids: string[] = [];
      for (let from = 0; from < count; from += batchMax) {
        const size = Math.min(batchMax, count - from);
        const emails = Array.from({ length: size }, (_, index) => emailOf(from + index, fields));
        const path = "/api/v1/schedule-mail/batch";
        const body = { emails, mode: "strict" };
        const { data, asked } = await post<Scheduled[]>(api, path, body);
        for (const [index, answer] of data.entries()) {
          ids.push(remember(answer, asked.emails?.[index]));
        }
      }
      return ids;
    },
    async steady({ count, perSecond, fields = () => ({}), api = anyApi }) {
      const startedAt = performance.now();
      const running: Promise<string>[] = [];
      for (let index = 0; index < count && !isStopped; index++) {
        const waitMs = startedAt + (index * 1000) / perSecond - performance.now();
        if (waitMs > 1) await Bun.sleep(waitMs);
        const email = emailOf(index, fields);
        const answer = post<Scheduled>(api, "/api/v1/schedule-mail", email);
        const remembered = answer.then(({ data, asked }) => remember(data, asked));
        // The first to fail is reported by the `all` below, which may be minutes away.
        remembered.catch(() => undefined);
        running.push(remembered);
      }
      return await Promise.all(running);
    },
    async cancel(id, api = anyApi) {
      try {
        const answer = await request(`${api()}/api/v1/cancel/${id}`, "DELETE", { bearer: first });
        if (answer.status === 200) cancelled.set(id, Date.now());
        return answer.status;
      } catch {
        // No answer: whether it was cancelled, nobody was told.
        return 0;
      }
    },
    onAck(listener) {
      ackListener = listener;
    },
    stop() {
      isStopped = true;
    },
  };
}

/** The same request for now; itself when no time is asked for. */
function dueNow(body: Body): Body {
  const { scheduled_at: at, emails, ...rest } = body;
  const isTimed = (email: Body) => email.scheduled_at !== undefined;
  if (at === undefined && !emails?.some(isTimed)) return body;
  return emails === undefined ? rest : { ...rest, emails: emails.map(dueNow) };
}

function contentOf({ subject, body, recipients }: Record<string, unknown>): Content {
  const addresses = Array.isArray(recipients) ? recipients.map(String) : [];
  return { subject: String(subject), body: String(body), recipients: addresses };
}

class RefusedError extends Error {}

async function request(
  url: string,
  method: string,
  { body, key, bearer }: { body?: unknown; key?: string; bearer: string },
) {
  const headers = new Headers({ authorization: `Bearer ${bearer}` });
  if (key !== undefined) headers.set("idempotency-key", key);
  if (body !== undefined) headers.set("content-type", "application/json");
  const res = await fetch(url, {
    method,
    headers,
    signal: AbortSignal.timeout(20_000),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await res.text();
  const isJson = res.headers.get("content-type")?.includes("json") ?? false;
  const data: unknown = isJson ? JSON.parse(text).data : null;
  return { status: res.status, text, data };
}
