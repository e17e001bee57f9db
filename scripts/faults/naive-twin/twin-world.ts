import { join } from "node:path";
import { Queue } from "bullmq";
import fc from "fast-check";
import { guardedFolder } from "../../../src/testing/product/product.ts";
import { asChild, until } from "../../../src/testing/servers/child-server.ts";
import { type RedisServer, startRedis } from "../../../src/testing/servers/redis-server.ts";
import { createSmtpSink, type SmtpSink } from "../../../src/testing/servers/smtp-sink.ts";

export interface TwinOptions {
  persistence?: "aof" | "package";
}

export interface TwinProcess {
  readonly pid: number;
  readonly url: string;
  kill(): Promise<void>;
  stop(): Promise<void>;
  freeze(): void;
  thaw(): void;
}

/** One mail that the twin answered 201 for; `address` is how the next hop knows it. */
export interface TwinMail {
  id: string;
  addresses: string[];
  ackedAt: number;
  dueAt: number;
  cancelledAt: number | null;
}

/** The same next hop and record as for the product, a Redis, and processes of the twin. */
export interface TwinWorld {
  readonly sink: SmtpSink;
  readonly acceptanceFile: string;
  readonly redis: RedisServer;
  readonly mails: TwinMail[];
  harms: number;
  start(role: "api" | "worker", env?: Record<string, string>): Promise<TwinProcess>;
  /** One POST; nothing is remembered of what was not answered 201. */
  schedule(mail: { inMs?: number; kinds?: string[] }): Promise<TwinMail | null>;
  steady(
    count: number,
    perSecond: number,
    mail?: (index: number) => { inMs?: number; kinds?: string[] },
  ): Promise<void>;
  cancel(mail: TwinMail): Promise<number>;
  draw<T>(arbitrary: fc.Arbitrary<T>, count: number): T[];
  /** Jobs that BullMQ gave up: a person can see them among the failed ones. */
  failedJobs(): Promise<Set<string>>;
  /** Until no job waits, runs or is delayed; rejects after the time. */
  rest(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

export async function createTwinWorld(seed: number, options: TwinOptions): Promise<TwinWorld> {
  const folder = guardedFolder("naive-twin");
  const acceptanceFile = join(folder, "acceptances.jsonl");
  const sink = await createSmtpSink({ logFile: acceptanceFile });
  const redis = await startRedis(options);
  const processes: TwinProcess[] = [];
  const mails: TwinMail[] = [];
  let api = "";
  let draws = 0;
  let made = 0;
  // No mail of another run can be taken for one of this.
  const tag = crypto.randomUUID().slice(0, 8);

  async function withQueue<T>(use: (queue: Queue) => Promise<T>): Promise<T> {
    const queue = new Queue("mail", { connection: { host: "127.0.0.1", port: redis.port } });
    queue.on("error", () => undefined);
    try {
      return await use(queue);
    } finally {
      await queue.close();
    }
  }

  const world: TwinWorld = {
    sink,
    acceptanceFile,
    redis,
    mails,
    harms: 0,
    async start(role, env = {}) {
      const ports = { REDIS_PORT: String(redis.port), SMTP_PORT: String(sink.port) };
      const started = await spawnTwin({ ROLE: role, ...ports, ...env });
      processes.push(started);
      if (role === "api") api = started.url;
      return started;
    },
    async schedule({ inMs = 0, kinds = ["mail"] }) {
      made += 1;
      const addresses = kinds.map((kind) => `${kind}-${tag}-${made}@example.test`);
      const dueAt = Date.now() + inMs;
      const sendAt = new Date(dueAt).toISOString();
      const body = { to: addresses, subject: `Load ${made}`, text: "A few words.", sendAt };
      try {
        const res = await fetch(`${api}/schedule`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(5_000),
        });
        if (res.status !== 201) return null;
        const { id } = (await res.json()) as { id: string };
        const mail = { id, addresses, ackedAt: Date.now(), dueAt, cancelledAt: null };
        mails.push(mail);
        return mail;
      } catch {
        return null;
      }
    },
    async steady(count, perSecond, mail = () => ({})) {
      const startedAt = performance.now();
      const running: Promise<unknown>[] = [];
      for (let index = 0; index < count; index++) {
        const waitMs = startedAt + (index * 1000) / perSecond - performance.now();
        if (waitMs > 1) await Bun.sleep(waitMs);
        running.push(world.schedule(mail(index)));
      }
      await Promise.all(running);
    },
    async cancel(mail) {
      const { status } = await fetch(`${api}/schedule/${mail.id}`, { method: "DELETE" });
      if (status === 200) mail.cancelledAt = Date.now();
      return status;
    },
    draw(arbitrary, count) {
      draws += 1;
      return fc.sample(arbitrary, { seed: seed + draws, numRuns: count });
    },
    failedJobs: () =>
      withQueue(async (queue) => {
        const jobs = await queue.getFailed(0, -1);
        return new Set(jobs.flatMap(({ id }) => (id === undefined ? [] : [id])));
      }),
    rest: (timeoutMs) =>
      withQueue((queue) =>
        until(
          "the twin comes to rest",
          async () => {
            const counts = await queue.getJobCounts("wait", "active", "delayed");
            return Object.values(counts).every((count) => count === 0);
          },
          timeoutMs,
        ),
      ),
    async close() {
      await Promise.all(processes.map((one) => one.kill()));
      await sink.close();
      await redis.stop();
    },
  };
  return world;
}

async function spawnTwin(env: Record<string, string>): Promise<TwinProcess> {
  const program = join(import.meta.dir, "server.ts");
  const command = asChild([process.execPath, program], "SIGKILL", null);
  const child = Bun.spawn(command, {
    env: { PATH: process.env.PATH ?? "", ...env },
    stdout: "pipe",
    stderr: "ignore",
  });
  let output = "";
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) output += decoder.decode(chunk, { stream: true });
  })();
  await until("the twin is ready", () => output.includes("\n"), 30_000);
  const { url } = JSON.parse(output.split("\n")[0] ?? "{}") as { url: string };
  return {
    pid: child.pid,
    url,
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
    async stop() {
      child.kill("SIGTERM");
      await child.exited;
    },
    freeze: () => child.kill("SIGSTOP"),
    thaw: () => child.kill("SIGCONT"),
  };
}
