import { join } from "node:path";
import type pg from "pg";
import { sharedPostgres } from "../../src/testing/servers/postgres-server.ts";
import { startRedis } from "../../src/testing/servers/redis-server.ts";
import { type BenchProduct, startBenchProduct } from "./bench-product.ts";
import type { Curve } from "./figure.ts";
import { httpLoad } from "./http-load.ts";
import { startLineProcess } from "./line-process.ts";
import { benchMail } from "./messages.ts";
import { cpuMs, watchMemory } from "./process-usage.ts";
import { lossOf } from "./sink-dump.ts";
import { type SinkProcess, startSink } from "./sink-process.ts";

/** One burst of one contender. */
export interface BurstRun {
  perSecond: number;
  /** CPU of the sending process once all was accepted, a mail: before the moment as well. */
  cpuUsPerMail: number;
  peakMb: number;
  points: Curve["points"];
  broken: string[];
}

export interface Contender {
  readonly name: string;
  burst(prefix: string, count: number): Promise<BurstRun>;
  close(): Promise<void>;
}

/** Nothing of it may take longer; what is measured takes seconds. */
const patienceMs = 300_000;

/** Counts what a sink took from a moment on. */
async function counted(
  sink: SinkProcess,
  { prefix, count, before, pid }: { prefix: string; count: number; before: number; pid: number },
  begin: () => Promise<{ startedAt: number; cpuBefore: number }>,
  atRest: () => Promise<void>,
): Promise<BurstRun> {
  const { startedAt, cpuBefore } = await begin();
  const memory = watchMemory(pid);
  await sink.waitFor(before + count, patienceMs).finally(() => memory.stop());
  await atRest();
  const cpuUsPerMail = ((cpuMs(pid) - cpuBefore) * 1_000) / count;
  const points = sink.sightings
    .filter(([, seen]) => seen > before)
    .map(([at, seen]): [number, number] => [at - startedAt, seen - before]);
  const end = points.find(([, seen]) => seen >= count);
  return {
    perSecond: (count * 1_000) / (end?.[0] ?? Number.NaN),
    cpuUsPerMail,
    peakMb: memory.stop(),
    points,
    broken: lossOf(sink.takeTally(prefix), count).map((words) => `${prefix} ${words}`),
  };
}

/** Until the moment; the scheduling before it must not have used it up. */
async function waitForMoment(moment: number, name: string): Promise<void> {
  const leftMs = moment - Date.now();
  if (leftMs < 200) throw new Error(`${name}: accepting took until the burst was due`);
  await Bun.sleep(leftMs);
}

/** When a burst may be due: the first is given much time, the next ones twice what one took. */
function createPace() {
  let lead = (count: number) => 10_000 + count * 10;
  return {
    /** Schedules for a moment, waits for it and returns it. */
    async schedule(name: string, count: number, accept: (moment: number) => Promise<void>) {
      const beganAt = Date.now();
      const moment = beganAt + lead(count);
      await accept(moment);
      const msPerMail = (Date.now() - beganAt) / count;
      lead = (next) => 2_000 + 2 * msPerMail * next;
      await waitForMoment(moment, name);
      return moment;
    },
  };
}

export async function ourselves(
  tools: string,
  env: Record<string, string> = {},
): Promise<Contender & { bench: BenchProduct; sink: SinkProcess }> {
  const sink = await startSink(tools);
  const bench = await startBenchProduct(sink.port, { env });
  const pace = createPace();
  return {
    name: "Taskforce Mailer",
    bench,
    sink,
    burst(prefix, count) {
      const { pid } = bench.product;
      const before = sink.count;
      return counted(
        sink,
        { prefix, count, before, pid },
        async () => {
          let cpuBefore = 0;
          const moment = await pace.schedule("Taskforce Mailer", count, async (at) => {
            await bench.accept(prefix, count, new Date(at).toISOString());
            cpuBefore = cpuMs(pid);
          });
          return { startedAt: moment, cpuBefore };
        },
        () => bench.untilAtRest(patienceMs),
      );
    },
    async close() {
      await bench.close();
      await sink.stop();
    },
  };
}

export async function ceiling(tools: string, kind: "pool" | "raw"): Promise<Contender> {
  const sink = await startSink(tools);
  const child = startLineProcess("ceiling.ts", [kind, String(sink.port), "20"]);
  return {
    name: `ceiling-${kind}`,
    async burst(prefix, count) {
      const before = sink.count;
      const memory = watchMemory(child.pid);
      const ask = child.ask<{ startedAt: number; cpuMs: number }>(`${prefix} ${count}`);
      const answer = await ask.finally(() => memory.stop());
      await sink.waitFor(before + count, patienceMs);
      const points = sink.sightings
        .filter(([, seen]) => seen > before)
        .map(([at, seen]): [number, number] => [at - answer.startedAt, seen - before]);
      return {
        perSecond: (count * 1_000) / (points.at(-1)?.[0] ?? Number.NaN),
        cpuUsPerMail: (answer.cpuMs * 1_000) / count,
        peakMb: memory.stop(),
        points,
        broken: lossOf(sink.takeTally(prefix), count).map((words) => `ceiling-${kind}: ${words}`),
      };
    },
    async close() {
      await child.stop();
      await sink.stop();
    },
  };
}

export async function naive(tools: string): Promise<Contender & { url: string; pid: number }> {
  const sink = await startSink(tools);
  const postgres = await sharedPostgres();
  const redis = await startRedis();
  const child = startLineProcess("naive-server.ts", [], {
    EXPRESS: expressIn(tools),
    DATABASE_URL: await postgres.createDatabase(`naive_${crypto.randomUUID().slice(0, 8)}`),
    REDIS_PORT: String(redis.port),
    SMTP_PORT: String(sink.port),
  });
  const { url } = await child.read<{ url: string }>();
  const pace = createPace();
  return {
    name: "naive",
    url,
    pid: child.pid,
    burst(prefix, count) {
      const before = sink.count;
      return counted(
        sink,
        { prefix, count, before, pid: child.pid },
        async () => {
          let cpuBefore = 0;
          const moment = await pace.schedule("naive", count, async (at) => {
            const sendAt = new Date(at).toISOString();
            const bodies = Array.from({ length: count }, (_, index) =>
              JSON.stringify({ ...benchMail(prefix, index), sendAt }),
            );
            await httpLoad(`${url}/schedule`, { bodies, connections: 32 });
            cpuBefore = cpuMs(child.pid);
          });
          return { startedAt: moment, cpuBefore };
        },
        // Its last jobs are written off while the next contender accepts.
        () => Bun.sleep(500),
      );
    },
    async close() {
      await child.stop();
      await redis.stop();
      await sink.stop();
    },
  };
}

export function expressIn(tools: string): string {
  return join(tools, "npm/node_modules/express/index.js");
}

/** The database's own number, for the record. */
export async function postgresVersion(sql: pg.Pool): Promise<string> {
  const { rows } = await sql.query<{ server_version: string }>("show server_version");
  return rows[0]?.server_version ?? "";
}
