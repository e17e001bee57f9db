import { Hono } from "hono";
import { type BoardDeps, boardPath, mountBoard } from "../../admin/board/board.ts";
import { maintenanceQueueName } from "../../admin/board/board-rules.ts";
import { openBoard } from "../../admin/board/open-board.ts";
import { createSessions } from "../../admin/session/session.ts";
import { createAuthenticator, issueToken } from "../../auth/jwt.ts";
import { createChange } from "../../emails/change.ts";
import { type KeyMaker, makeApiKey } from "../../http/credentials/create-api-key.ts";
import { changeWebhook, makeWebhook, type WebhookMaker } from "../../http/webhooks/webhooks.ts";
import { createLogger } from "../../log.ts";
import { createPauseWatch } from "../../queue/pause-watch.ts";
import { createQueueBackend } from "../../queue/queue-backend.ts";
import { type TickJob, tickQueueName } from "../../queue/ticks.ts";
import { createActions } from "../../store/actions.ts";
import { createApiKeys } from "../../store/api-keys.ts";
import { createAudit } from "../../store/audit.ts";
import { createBulkCancel } from "../../store/bulk-cancel.ts";
import { createBulkChange } from "../../store/bulk-change.ts";
import { createChanges } from "../../store/changes.ts";
import { createDeadLetters } from "../../store/dead-letters.ts";
import { createEmails } from "../../store/emails.ts";
import { createEvents } from "../../store/events.ts";
import { createMinutes } from "../../store/minutes.ts";
import { createPauses } from "../../store/pauses.ts";
import { createPostgresDatabase } from "../../store/postgres-database.ts";
import { createProbeRequests } from "../../store/probe-requests.ts";
import { createProcesses } from "../../store/processes.ts";
import { createSessionStore } from "../../store/sessions.ts";
import { createTimelines } from "../../store/timeline.ts";
import { createWebhooks, type StoredWebhook } from "../../store/webhooks.ts";
import { createEndpoints } from "../../webhooks/endpoints.ts";
import { directSql } from "../servers/direct-sql.ts";
import { freshDatabase } from "../servers/fresh-database.ts";
import { startRedis } from "../servers/redis-server.ts";
import { createSmtpSink } from "../servers/smtp-sink.ts";
import type { SinkRule } from "../servers/smtp-sink-rules.ts";
import { createDelivery } from "./delivery.ts";

const jwt = { secret: "the secret of the tests", audience: "authenticated", issuer: null };
const base = "http://127.0.0.1:3000";

export type TestBoard = Awaited<ReturnType<typeof startTestBoard>>;

/** The board in this process, on a PostgreSQL and a Redis of its own; the test is the worker. */
export async function startTestBoard(rules: SinkRule[]) {
  const [redis, sink] = await Promise.all([startRedis(), createSmtpSink({ rules })]);
  const database = createPostgresDatabase({ url: (await freshDatabase()).url });
  const delivery = createDelivery(database, { sink });
  const log = createLogger({ level: "silent" });
  const config = { driver: "redis", place: { kind: "single", url: redis.url } } as const;
  const backend = createQueueBackend({ config, database, region: "here", log });
  const queue = backend.createQueue<TickJob>(tickQueueName);
  const maintenance = backend.createQueue(maintenanceQueueName);
  const { ticks, keyRing } = delivery.deps;
  const app = new Hono();
  const emails = createEmails(database);
  const apiKeys = createApiKeys(database);
  const webhooks = createWebhooks(database);
  const endpoints = createEndpoints({
    ...{ webhooks, keyRing: delivery.deps.keyRing, events: createEvents(database) },
    ...{ newId: () => Bun.randomUUIDv7(), now: () => new Date(), wake: () => {} },
    send: refuseToSend,
  });
  const sessions = createSessions({ secret: jwt.secret, store: createSessionStore(database) });
  const change = createChange({
    ...{ changes: createChanges(database), emails, keyRing, ticks },
    semaphore: delivery.deps.semaphore,
    messageBytesMax: 1_000_000,
  });
  const deps: BoardDeps = {
    authenticator: createAuthenticator(jwt),
    sessions,
    publicUrl: null,
    isBehindProxy: () => false,
    queues: [
      { queue, description: "What wakes the workers." },
      {
        queue: maintenance,
        description: "Periodic work.",
        onRunNow: async (task, { claims, origin }) => {
          const action = { action: "maintenance.run_now", detail: { task }, origin } as const;
          await createActions(database).record(action, claims);
        },
      },
    ],
    emails,
    change,
    pauses: createPauseWatch({ pauses: createPauses(database), onResumed: () => {}, log }),
    ticks,
    keyRing,
    region: "here",
    peerAddress: () => "192.0.2.7",
    log,
  };
  mountBoard(app, deps);
  const sql = await directSql(database);
  // A queue refuses to add while it is not connected, which it is not at once.
  await queue.waitUntilReady();
  await queue.add("tick", {}, { jobId: "here-1", delay: 600_000 });

  return {
    app,
    /** The queue of the periodic work. */
    maintenance,
    /** What Bull Board answers; `app` has one route for all of it. */
    boardRoutes: boardRoutes(deps),
    sessions,
    /** What the pages of the console act through, on the same database. */
    pages: {
      ...{ emails, keyRing, semaphore: delivery.deps.semaphore, change },
      bulk: {
        deadLetters: createDeadLetters(database),
        bulkCancel: createBulkCancel(database),
        bulkChange: createBulkChange(database),
        isDraining: () => false,
        newId: () => Bun.randomUUIDv7(),
        log,
      },
      timelines: createTimelines(database),
      ...{ webhooks, endpoints },
      makeWebhook: (body: unknown, by: WebhookMaker) =>
        makeWebhook({ endpoints, judgeUrl: async () => null }, body, by),
      changeWebhook: (webhook: StoredWebhook, body: unknown, by: WebhookMaker) =>
        changeWebhook({ endpoints, judgeUrl: async () => null }, webhook, body, by),
      settings: () => [],
      apiKeys,
      makeApiKey: (body: unknown, by: KeyMaker) => makeApiKey({ apiKeys }, body, by),
      audit: createAudit(database),
      health: async () => ({ status: "ok", components: {} }),
      minutes: createMinutes(database, { workerId: Bun.randomUUIDv7(), region: "here" }),
      processes: createProcesses(database),
      probeRequests: createProbeRequests(database, "here"),
      skewMs: () => ({}),
      pauses: deps.pauses,
      pausesShownTo: () => [],
      isPauseReason: () => true,
      regions: () => ["here"],
      accept: { accept: refuseToSchedule, preview: refuseToSchedule },
      toDraft: refuseToDraft,
      draftWarnings: () => [],
      senderName: null,
      toEdit: (body: unknown) => ({
        scheduledAt: new Date(String((body as { scheduled_at: string }).scheduled_at)),
      }),
    },
    queue,
    redis,
    sql,
    delivery,
    /** As olga, an admin, from the board's own page unless told otherwise. */
    async request(method: string, path: string, headers: Record<string, string | null> = {}) {
      const Authorization = `Bearer ${await tokenOf("olga", "admin")}`;
      const admin = { Authorization, Origin: base, "X-Requested-With": "board" };
      const given = Object.entries({ ...admin, ...headers }).filter(([, value]) => value !== null);
      const init = { method, headers: Object.fromEntries(given) as Record<string, string> };
      return await app.request(`${base}/admin/queues${path}`, init);
    },
    /** An email that was refused for good. */
    async deadLetter(...addresses: string[]): Promise<string> {
      const to = addresses.map((address) => ({ address, name: null }));
      const id = await delivery.accept({ to, subject: "Invoice 4711", maxRetries: 0 });
      await delivery.run(id);
      return id;
    },
    async close() {
      await sql.close();
      await backend.close(2_000);
      await delivery.close();
      await database.close();
      await sink.close();
      await redis.stop();
    },
  };
}

export function tokenOf(sub: string, role?: "admin"): Promise<string> {
  return issueToken({ ...jwt, sub, ...(role ? { role } : {}), ttlSeconds: 3600, now: new Date() });
}

function boardRoutes(deps: BoardDeps) {
  const unused = (): never => {
    throw new Error("only its routes are looked at");
  };
  return openBoard({ ...deps, basePath: boardPath, who: unused, describe: unused }).routes;
}

/** Nothing is written by hand in the tests of the board. */
async function refuseToSchedule(): Promise<never> {
  throw new Error("a test of the board composes nothing");
}

function refuseToDraft(): never {
  throw new Error("a test of the board composes nothing");
}

async function refuseToSend(): Promise<never> {
  throw new Error("a test of the board delivers nothing to a webhook");
}
