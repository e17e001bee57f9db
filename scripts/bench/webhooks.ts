import { createSmtpSink } from "../../src/testing/servers/smtp-sink.ts";
import { type BenchProduct, productSettings, startBenchProduct } from "./bench-product.ts";
import type { Bench, Measurement } from "./measurement.ts";
import { apiMail } from "./messages.ts";
import { cpuMs } from "./process-usage.ts";
import { percentile } from "./statistics.ts";

const perSecond = 100;
const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString();

/** What a webhook costs: how soon it is told, how many a second, and what mail loses by it. */
export const webhooks: Measurement = {
  name: "webhooks",
  what: "Events to one receiver beside the bench: at 100 a second, as fast as it goes, during a burst.",
  async run(bench) {
    const soon: number[][] = [];
    const drained: { perSecond: number; cpuMs: number }[] = [];
    const bursts: { alone: number; told: number; behindMs: number }[] = [];
    for (let round = 1; round <= bench.rounds; round++) {
      bench.say(`round ${round}`);
      soon.push(await inStage(bench, tellSoon));
      drained.push(await inStage(bench, drain));
      bursts.push({ alone: (await inStage(bench, burst)).rate, ...(await toldBurst(bench)) });
    }
    return {
      figures: [
        {
          name: `webhooks: commit → first byte at ${perSecond} events/s, p99`,
          unit: "ms",
          values: soon.map((values) => percentile(values, 0.99)),
          target: { gate: 300, aim: 150, better: "lower" },
        },
        {
          name: "webhooks: the same, p50",
          unit: "ms",
          values: soon.map((v) => percentile(v, 0.5)),
        },
        {
          name: "webhooks: deliveries to a fast receiver",
          unit: "/s",
          values: drained.map((one) => one.perSecond),
          target: { gate: 1_000, aim: 1_000, better: "higher" },
        },
        {
          name: "webhooks: CPU per delivery in our process",
          unit: "ms",
          values: drained.map((one) => one.cpuMs),
          target: { gate: 1, aim: 0.5, better: "lower" },
        },
        {
          name: "burst with one webhook for everything ÷ without",
          unit: "×",
          values: bursts.map(({ alone, told }) => told / alone),
          target: { gate: 0.9, aim: 0.97, better: "higher" },
        },
        {
          name: "webhooks: caught up after that burst",
          unit: "s",
          values: bursts.map(({ behindMs }) => behindMs / 1_000),
          target: { gate: 60, aim: 20, better: "lower" },
        },
      ],
      settings: { "events at once": bench.count(500, 3_000), ...productSettings() },
      broken: [],
    };
  },
};

interface Stage {
  us: BenchProduct;
  sink: Awaited<ReturnType<typeof createSmtpSink>>;
  count: number;
  /** Arrivals: when, and how long after the event's own time. */
  arrivals: { at: number; afterMs: number }[];
  subscribe(): Promise<void>;
  untilHeard(count: number): Promise<void>;
}

async function inStage<T>(bench: Bench, run: (stage: Stage) => Promise<T>): Promise<T> {
  const sink = await createSmtpSink();
  const env = { WEBHOOK_ALLOW_PRIVATE: "true", RATE_LIMIT_PER_MINUTE: "0" };
  const us = await startBenchProduct(sink.port, { env });
  const arrivals: Stage["arrivals"] = [];
  const receiver = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(req) {
      const at = Date.now();
      const { timestamp } = (await req.json()) as { timestamp: string };
      arrivals.push({ at, afterMs: at - Date.parse(timestamp) });
      return new Response("ok");
    },
  });
  const url = `http://127.0.0.1:${receiver.port}/`;
  try {
    return await run({
      ...{ us, sink, arrivals, count: bench.count(500, 3_000) },
      async subscribe() {
        const made = await us.product.api("POST", "/api/v1/webhooks", { url }, us.token);
        if (made.status !== 201) throw new Error(made.text);
        // So that the process knows that there is somebody to tell.
        await us.accept("warm-", 10, tomorrow());
        while (arrivals.length < 10) await Bun.sleep(20);
        arrivals.length = 0;
      },
      async untilHeard(count) {
        while (arrivals.length < count) await Bun.sleep(10);
      },
    });
  } finally {
    await us.close();
    await sink.close();
    await receiver.stop(true);
  }
}

async function tellSoon({ us, subscribe, arrivals, untilHeard, count }: Stage): Promise<number[]> {
  await subscribe();
  const begin = Date.now();
  const size = Math.min(count, perSecond * 20);
  for (let index = 0; index < size; index++) {
    await Bun.sleep(Math.max(0, begin + (index * 1_000) / perSecond - Date.now()));
    const mail = apiMail("soon-", index, tomorrow());
    void us.product.api("POST", "/api/v1/schedule-mail", mail, us.token);
  }
  await untilHeard(size);
  return arrivals.map(({ afterMs }) => afterMs);
}

/** Everything at once, after it waited: nothing else is done meanwhile. */
async function drain({ us, subscribe, arrivals, untilHeard, count }: Stage) {
  await subscribe();
  await Bun.sleep(1_500);
  await us.sql.query("update mailer.webhooks set held_until = now() + interval '1 hour'");
  await us.accept("drain-", count, tomorrow());
  await Bun.sleep(2_000);
  const cpuBefore = cpuMs(us.product.pid);
  await us.sql.query("update mailer.webhooks set held_until = null");
  await untilHeard(count);
  const [first, last] = [arrivals[0]?.at ?? 0, arrivals.at(-1)?.at ?? 0];
  await Bun.sleep(200);
  const used = cpuMs(us.product.pid) - cpuBefore;
  return { perSecond: (count * 1_000) / (last - first), cpuMs: used / count };
}

async function burst({ us, sink, count }: Stage): Promise<{ rate: number; endedAt: number }> {
  // Accepting them takes a while, on a busy machine a long one.
  const due = Date.now() + 10_000 + 15 * count;
  await us.accept("burst-", count, new Date(due).toISOString());
  await sink.waitForAcceptances(count, 300_000);
  const last = sink.acceptances.at(-1)?.at.getTime() ?? 0;
  return { rate: (count * 1_000) / (last - due), endedAt: last };
}

async function toldBurst(bench: Bench): Promise<{ told: number; behindMs: number }> {
  return await inStage(bench, async (stage) => {
    await stage.subscribe();
    const { rate, endedAt } = await burst(stage);
    // Scheduled, sending and sent of each.
    await stage.untilHeard(3 * stage.count);
    const behindMs = (stage.arrivals.at(-1)?.at ?? endedAt) - endedAt;
    return { told: rate, behindMs };
  });
}
