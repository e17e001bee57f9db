import type http from "node:http";
import { createOutgoing } from "../../outgoing/create-outgoing.ts";
import { createEvents } from "../../store/events.ts";
import { createJournal } from "../../store/journal.ts";
import { createWebhookWork, type WebhookWork } from "../../store/webhook-work.ts";
import { createDeliverer, type Deliverer, type DelivererDeps } from "../../webhooks/deliverer.ts";
import { send } from "../../webhooks/send.ts";
import { type HttpTarget, startHttpTarget } from "../servers/http-target.ts";
import { startTestApi, type TestApi } from "./test-api.ts";

/** What came in at the receiver. */
export interface Seen {
  headers: http.IncomingHttpHeaders;
  path: string;
  body: string;
}

export interface MadeWebhook {
  id: string;
  secret: string;
}

/** One row of GET /api/v1/webhooks/{id}/deliveries. */
export interface Delivered {
  id: string;
  type: string;
  outcome: string;
  tries: number;
  status_code: number | null;
  error: string | null;
  answer: string | null;
  next_try_at: string | null;
}

/** The API in this process, a receiver, and deliverers between them; the test seals the journal. */
export interface WebhookStage {
  readonly api: TestApi;
  readonly target: HttpTarget;
  /** Oldest first. */
  readonly seen: Seen[];
  /** What the receiver does with a request once it is in `seen`; default: 200. */
  answer: (req: http.IncomingMessage, res: http.ServerResponse) => void;
  /** One more deliverer, running; its waits between tries are those of a minute of `minuteMs`. */
  start(options?: StartOptions): Deliverer;
  workOf(): WebhookWork;
  /** By default ada's, at `/hook`; as `root` an admin's. */
  make(fields?: Record<string, unknown>, as?: string): Promise<MadeWebhook>;
  deliveries(id: string, query?: string): Promise<Delivered[]>;
  seal(): Promise<void>;
  /** Looks again whenever something came in, and every 20 ms. */
  until<T>(find: () => T | undefined | false | Promise<T | undefined | false>): Promise<T>;
  close(): Promise<void>;
}

export interface StartOptions extends Partial<Pick<DelivererDeps, "work" | "isBusy">> {
  minuteMs?: number;
  /** The time for one request; default 15 s. */
  deadlineMs?: number;
}

export async function openWebhookStage(): Promise<WebhookStage> {
  const api = await startTestApi();
  const seen: Seen[] = [];
  const running: Deliverer[] = [];
  let changed = Promise.withResolvers<void>();
  const target = await startHttpTarget((req, res) => {
    const { body = "", path = "" } = target.requests.at(-1) ?? {};
    seen.push({ headers: req.headers, path, body });
    stage.answer(req, res);
    changed.resolve();
    changed = Promise.withResolvers<void>();
  });
  const workOf = () => createWebhookWork(api.database, { workerId: Bun.randomUUIDv7() });
  const stage: WebhookStage = {
    ...{ api, target, seen, workOf },
    answer: (_, res) => res.end("ok"),
    start({ work = workOf(), isBusy = () => false, minuteMs = 60, deadlineMs } = {}) {
      const deliverer = createDeliverer({
        ...{ work, isBusy, log: api.deps.log, keyRing: api.deps.keyRing },
        events: createEvents(api.database),
        send: sender(deadlineMs),
        waits: { minuteMs, random: () => 0 },
      });
      running.push(deliverer);
      deliverer.start();
      return deliverer;
    },
    async make(fields = {}, as = "ada") {
      const url = `http://127.0.0.1:${target.port}/hook`;
      const role = as === "root" ? { role: "admin" as const } : {};
      const body = { url, ...fields };
      const made = await api.request<MadeWebhook>("POST", "/api/v1/webhooks", {
        ...{ body, as, ...role },
      });
      if (made.status !== 201) throw new Error(made.text);
      return made.json.data;
    },
    async deliveries(id, query = "") {
      const path = `/api/v1/webhooks/${id}/deliveries${query}`;
      return (await api.request<Delivered[]>("GET", path)).json.data;
    },
    async seal() {
      const store = createJournal(api.database);
      while ((await store.seal(1_000)).hasMore);
    },
    async until(find) {
      for (;;) {
        const found = await find();
        if (found) return found;
        await Promise.race([changed.promise, Bun.sleep(20)]);
      }
    },
    async close() {
      await Promise.all(running.map((one) => one.stop(5_000)));
      await target.close();
      await api.close();
    },
  };
  return stage;
}

function sender(deadlineMs: number | undefined): DelivererDeps["send"] {
  const outgoing = createOutgoing({ allowPrivate: true });
  const deps = { outgoing, now: () => new Date(), userAgent: "test" };
  return (request) => send({ ...deps, ...(deadlineMs !== undefined && { deadlineMs }) }, request);
}
