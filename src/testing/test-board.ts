import { Hono } from "hono";
import { type BoardDeps, boardPath, mountBoard } from "../admin/board.ts";
import { openBoard } from "../admin/open-board.ts";
import { createSessions } from "../admin/session.ts";
import { createAuthenticator, issueToken } from "../auth/jwt.ts";
import { createChange } from "../emails/change.ts";
import { createLogger } from "../log.ts";
import { createPauseWatch } from "../queue/pause-watch.ts";
import { createQueueBackend } from "../queue/queue-backend.ts";
import { type TickJob, tickQueueName } from "../queue/ticks.ts";
import { createChanges } from "../store/changes.ts";
import { createEmails } from "../store/emails.ts";
import { createPauses } from "../store/pauses.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { createSessionStore } from "../store/sessions.ts";
import { createDelivery } from "./delivery.ts";
import { directSql } from "./direct-sql.ts";
import { freshDatabase } from "./fresh-database.ts";
import { startRedis } from "./redis-server.ts";
import { createSmtpSink } from "./smtp-sink.ts";
import type { SinkRule } from "./smtp-sink-rules.ts";

const jwt = { secret: "the secret of the tests", audience: "authenticated", issuer: null };
const base = "http://127.0.0.1:3000";

export type TestBoard = Awaited<ReturnType<typeof startTestBoard>>;

/** The board in this process, on a PostgreSQL and a Redis of its own; the test is the worker. */
export async function startTestBoard(rules: SinkRule[]) {
  const [redis, sink] = await Promise.all([startRedis(), createSmtpSink({ rules })]);
  const database = createPostgresDatabase({ url: (await freshDatabase()).url });
  const delivery = createDelivery(database, { sink });
  const log = createLogger({ level: "silent" });
  const config = { driver: "redis", url: redis.url } as const;
  const backend = createQueueBackend({ config, database, region: "here", log });
  const queue = backend.createQueue<TickJob>(tickQueueName);
  const { ticks, keyRing } = delivery.deps;
  const app = new Hono();
  const emails = createEmails(database);
  const sessions = createSessions({ store: createSessionStore(database) });
  const deps: BoardDeps = {
    authenticator: createAuthenticator(jwt),
    sessions,
    publicUrl: null,
    isBehindProxy: () => false,
    queue,
    emails,
    change: createChange({
      ...{ changes: createChanges(database), emails, keyRing, ticks },
      semaphore: delivery.deps.semaphore,
      messageBytesMax: 1_000_000,
    }),
    pauses: createPauseWatch({ pauses: createPauses(database), onResumed: () => {}, log }),
    ticks,
    keyRing,
    region: "here",
    peerAddress: () => "192.0.2.7",
    log,
  };
  mountBoard(app, deps);
  const sql = await directSql(database);
  await queue.add("tick", {}, { jobId: "here-1", delay: 600_000 });

  return {
    app,
    /** What Bull Board answers; `app` has one route for all of it. */
    boardRoutes: boardRoutes(deps),
    sessions,
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
