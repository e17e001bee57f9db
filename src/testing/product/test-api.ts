import { issueToken } from "../../auth/jwt.ts";
import { createSigningKey } from "../../crypto/signing-key.ts";
import { emptyRound } from "../../delivery/reconcile-report.ts";
import type { SmtpReply } from "../../email/smtp.ts";
import { createAccept } from "../../emails/accept.ts";
import { createChange } from "../../emails/change.ts";
import type { ApiEnv } from "../../http/api-env.ts";
import { createApp } from "../../http/app.ts";
import type { AppDeps } from "../../http/app-deps.ts";
import { createUnreadableNote } from "../../http/emails/unreadable-note.ts";
import { createRateLimits } from "../../http/middleware/rate-limits.ts";
import { createLiveEvents } from "../../journal/live-events.ts";
import { createLogger } from "../../log.ts";
import type { Transport } from "../../mail/transport.ts";
import { createOutgoing } from "../../outgoing/create-outgoing.ts";
import { createPauseWatch } from "../../queue/pause-watch.ts";
import { createCredentials } from "../../server/credentials.ts";
import { createAudit } from "../../store/audit.ts";
import { createBulkCancel } from "../../store/bulk-cancel.ts";
import { createBulkChange } from "../../store/bulk-change.ts";
import { createChanges } from "../../store/changes.ts";
import type { Database } from "../../store/database.ts";
import { createDeadLetters } from "../../store/dead-letters.ts";
import { createEmails } from "../../store/emails.ts";
import { createEraseRecipient } from "../../store/erasure.ts";
import { createEvents } from "../../store/events.ts";
import { createOwners } from "../../store/owners.ts";
import { createPauses } from "../../store/pauses.ts";
import { createPostgresDatabase } from "../../store/postgres-database.ts";
import type { Quota } from "../../store/stored-email.ts";
import { createWebhooks } from "../../store/webhooks.ts";
import { createEndpoints } from "../../webhooks/endpoints.ts";
import { send } from "../../webhooks/send.ts";
import { freshDatabase } from "../servers/fresh-database.ts";
import { createDelivery, type Delivery } from "./delivery.ts";

const jwt = { secret: "the secret of the tests", audience: "authenticated", issuer: null };
const messageBytesMaxDefault = 36_700_160;

export interface ApiRequest {
  /** Sent as JSON; a string is sent as it is. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Whose token is sent; default `ada`, null: none. */
  as?: string | null;
  role?: "admin";
}

/** One answer of the API; `json` is empty when the body is none. */
export interface TestAnswer<Data = Record<string, unknown>> {
  status: number;
  headers: Headers;
  text: string;
  json: {
    success: boolean;
    data: Data;
    page?: Record<string, unknown>;
    code?: string;
    detail?: string;
    errors?: { pointer: string; detail: string }[];
  };
}

/** The whole API in this process, on a database of its own; the test itself is the worker. */
export interface TestApi {
  readonly deps: AppDeps;
  readonly database: Database;
  readonly delivery: Delivery;
  /** Lines of the log, parsed. */
  readonly lines: Record<string, unknown>[];
  request<Data = Record<string, unknown>>(
    method: string,
    path: string,
    request?: ApiRequest,
    env?: ApiEnv["Bindings"],
  ): Promise<TestAnswer<Data>>;
  /** Asks another process on the same database, with these parts of its own. */
  another(overrides?: Partial<AppDeps>): TestApi["request"];
  /** POST /schedule-mail of a harmless email with these fields over it; its id. */
  schedule(fields?: Record<string, unknown>, request?: ApiRequest): Promise<string>;
  /** Claims and delivers this email; the next hop says `reply` to the dot. */
  deliver(id: string, reply?: SmtpReply): Promise<void>;
  close(): Promise<void>;
}

export const okReply: SmtpReply = { code: 250, enhanced: "2.0.0", text: "OK queued" };
export const noUserReply: SmtpReply = { code: 550, enhanced: "5.1.1", text: "No such user" };

/** A request body with what matters to a test put over a harmless email. */
export function mailBody(fields: Record<string, unknown> = {}) {
  return { recipients: ["bob@example.com"], subject: "Hello", body: "A few words.", ...fields };
}

export interface TestApiOptions {
  /** Emails really go there, whatever `deliver` says is replied. */
  transport?: Transport;
  quota?: Quota;
  messageBytesMax?: number;
}

export async function startTestApi(
  overrides: Partial<AppDeps> = {},
  { transport, ...limits }: TestApiOptions = {},
): Promise<TestApi> {
  const { url } = await freshDatabase();
  const database = createPostgresDatabase({ url });
  const script = { reply: okReply };
  const delivery = createDelivery(database, {
    transport: transport ?? scriptedTransport(script),
  });
  const lines: Record<string, unknown>[] = [];
  const deps = { ...apiDeps(database, delivery, lines, limits), ...overrides };
  const request = requestTo(createApp(deps));
  return {
    deps,
    database,
    delivery,
    lines,
    request,
    another: (own = {}) => requestTo(createApp({ ...deps, ...own })),
    async schedule(fields, given) {
      const path = "/api/v1/schedule-mail";
      const answer = await request<{ id: string }>("POST", path, {
        ...given,
        body: mailBody(fields),
      });
      if (answer.status !== 201) throw new Error(answer.text);
      return answer.json.data.id;
    },
    async deliver(id, reply = okReply) {
      script.reply = reply;
      await delivery.run(id);
    },
    async close() {
      await delivery.close();
      await database.close();
    },
  };
}

function requestTo(app: ReturnType<typeof createApp>): TestApi["request"] {
  return async (method, path, given = {}, env = {}) => {
    const { body, as = "ada", role } = given;
    const headers = new Headers(given.headers);
    if (as !== null && !headers.has("authorization")) {
      headers.set("authorization", `Bearer ${await tokenOf(as, role)}`);
    }
    if (body !== undefined && !headers.has("content-type")) {
      headers.set("content-type", "application/json");
    }
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const res = await app.request(path, { method, headers, body: text ?? null }, env);
    return read(res);
  };
}

function apiDeps(
  database: Database,
  delivery: Delivery,
  lines: Record<string, unknown>[],
  { quota, messageBytesMax = messageBytesMaxDefault }: Omit<TestApiOptions, "transport">,
): AppDeps {
  const { keyRing, ticks, semaphore } = delivery.deps;
  const emails = createEmails(database);
  const events = createEvents(database);
  const webhooks = createWebhooks(database);
  const sendDeps = {
    outgoing: createOutgoing({ allowPrivate: true }),
    now: () => new Date(),
    userAgent: "test",
  };
  const config = {
    role: "all" as const,
    region: "local",
    messageBytesMax,
    sender: {
      from: "mailer@example.org",
      fromName: "Mailer",
      allowed: ["example.org"],
      headersAllowed: [],
    },
  };
  const workerId = Bun.randomUUIDv7();
  const log = createLogger({
    level: "debug",
    stream: { write: (line) => lines.push(JSON.parse(line)) },
    isForPeople: false,
  });
  return {
    config,
    version: "0.0.0",
    log,
    rateLimits: createRateLimits({ perMinute: 0, redis: null, log }),
    noteUnreadable: createUnreadableNote(log),
    ...createCredentials(
      {
        jwt: { ...jwt, jwksUrl: null, adminAal: "aal2", ownersAllowed: null },
        supabaseAuth: null,
      },
      { database, jwtSecrets: { current: jwt.secret, former: [] } },
    ),
    emails,
    deadLetters: createDeadLetters(database),
    bulkCancel: createBulkCancel(database),
    bulkChange: createBulkChange(database),
    owners: createOwners(database),
    audit: createAudit(database),
    events,
    liveEvents: createLiveEvents({ events, log, everyMs: 20 }),
    webhooks,
    endpoints: createEndpoints({
      ...{ webhooks, events, keyRing },
      newId: () => Bun.randomUUIDv7(),
      now: () => new Date(),
      send: (request) => send(sendDeps, request),
      wake: () => undefined,
    }),
    judgeUrl: async (url) => (URL.canParse(url) ? null : "expected a URL"),
    checkpointKey: createSigningKey({ auditSigningKey: "ab".repeat(32), encryptionKey: "" }),
    accept: createAccept({
      emails,
      keyRing,
      semaphore,
      ticks,
      region: config.region,
      messageBytesMax,
      ...(quota === undefined ? {} : { quota }),
      newId: () => Bun.randomUUIDv7(),
    }),
    change: createChange({
      changes: createChanges(database),
      emails,
      keyRing,
      semaphore,
      ticks,
      messageBytesMax,
    }),
    keyRing,
    semaphore,
    pauses: createPauseWatch({
      pauses: createPauses(database),
      onResumed: () => ticks.wakeOthers(),
      log,
    }),
    health: async () => ({ status: "ok", accepting: true, components: {} }),
    examine: async () => [],
    eraseRecipient: createEraseRecipient(database),
    reconcile: async () => emptyRound(),
    copyDatabase: async () => ({ folder: "backup.tmp-1", sizeBytes: 1, heldMs: 1 }),
    countWorkers: async () => 1,
    metrics: { text: async () => "", contentType: "text/plain", token: null },
    observeRequest: () => {},
    workerId,
    isDraining: () => false,
    now: () => new Date(),
    peerAddress: () => "192.0.2.7",
    mounts: [],
  };
}

/** Takes everything up to the dot, asks for the fence, and says what the script says. */
function scriptedTransport(script: { reply: SmtpReply }): Transport {
  return {
    name: "smtp.example.net:25",
    async send({ fence, messageDate }) {
      const date = messageDate ?? new Date("2030-01-02T03:04:05Z");
      await fence(date);
      return {
        phase: "reply",
        fenced: true,
        messageDate: date,
        reply: script.reply,
        recipients: [],
        error: null,
        withheld: null,
        transport: "smtp.example.net:25",
      };
    },
    close: async () => {},
  };
}

function tokenOf(sub: string, role: "admin" | undefined): Promise<string> {
  return issueToken({ ...jwt, sub, ...(role ? { role } : {}), ttlSeconds: 3600, now: new Date() });
}

async function read<Data>(res: Response): Promise<TestAnswer<Data>> {
  const text = await res.text();
  const isJson = /\bjson\b/.test(res.headers.get("content-type") ?? "");
  return {
    status: res.status,
    headers: res.headers,
    text,
    json: isJson && text !== "" ? JSON.parse(text) : {},
  };
}
