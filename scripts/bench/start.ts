import { readdirSync } from "node:fs";
import { join } from "node:path";
import { guardedFolder, type Product, startProduct } from "../../src/testing/product/product.ts";
import { createSmtpSink } from "../../src/testing/servers/smtp-sink.ts";
import { productSettings, startBenchProduct } from "./bench-product.ts";
import type { Measurement } from "./measurement.ts";
import { apiMail } from "./messages.ts";
import { residentMb, watchMemory } from "./process-usage.ts";

/** Milliseconds from the spawn until `/health/ready` answers 200, asked every 20 ms. */
async function timed(start: () => Promise<Product>): Promise<{ product: Product; tookMs: number }> {
  const startedAt = performance.now();
  const product = await start();
  return { product, tookMs: performance.now() - startedAt };
}

/** Production parts: start to ready, and memory at rest. */
export const start: Measurement = {
  name: "start",
  what: "From the spawn until ready with Redis and PostgreSQL connected, and memory when idle.",
  async run(bench) {
    const sink = await createSmtpSink();
    const us = await startBenchProduct(sink.port);
    const startMs: number[] = [];
    const idleMb: number[] = [];
    try {
      for (let round = 1; round <= bench.rounds; round++) {
        bench.say(`round ${round}`);
        await us.product.kill();
        const { tookMs } = await timed(() => us.restart());
        startMs.push(tookMs);
        await Bun.sleep(bench.count(2_000, 20_000));
        idleMb.push(residentMb(us.product.pid));
      }
      return {
        figures: [
          {
            name: "cold start to ready, Redis and PostgreSQL connected",
            unit: "ms",
            values: startMs,
            target: { gate: 400, aim: 250, better: "lower" },
          },
          {
            name: "resident memory, idle",
            unit: "MB",
            values: idleMb,
            target: { gate: 90, aim: 65, better: "lower" },
          },
        ],
        settings: { "files cached": "yes", "idle after": "20 s", ...productSettings() },
        broken: [],
      };
    } finally {
      await us.close();
      await sink.close();
    }
  },
};

/** What somebody gets who starts the binary with nothing set: PGlite and captured mails. */
export const embedded: Measurement = {
  name: "embedded",
  what: "The binary with nothing set: start from nothing, reopen, a burst into captured mails.",
  async run(bench) {
    const count = bench.count(50, 1_000);
    const runs: EmbeddedRun[] = [];
    for (let round = 1; round <= bench.rounds; round++) {
      bench.say(`round ${round}`);
      runs.push(await embeddedRun(count));
    }
    const lower = (gate: number, aim: number) => ({ gate, aim, better: "lower" as const });
    return {
      figures: [
        {
          name: "embedded: start from nothing",
          unit: "s",
          values: runs.map(({ firstMs }) => firstMs / 1_000),
          target: lower(3, 1.5),
        },
        {
          name: "embedded: reopen",
          unit: "s",
          values: runs.map(({ againMs }) => againMs / 1_000),
          target: lower(2, 0.8),
        },
        {
          name: "embedded: burst",
          unit: "/s",
          values: runs.map(({ perSecond }) => perSecond),
          target: { gate: 100, aim: 400, better: "higher" },
        },
        {
          name: "embedded: resident memory, highest",
          unit: "MB",
          values: runs.map(({ peakMb }) => peakMb),
          target: lower(600, 350),
        },
      ],
      settings: { mails: count, transport: "capture, one durable file a mail" },
      broken: runs.flatMap(({ broken }) => broken),
    };
  },
};

interface EmbeddedRun {
  firstMs: number;
  againMs: number;
  perSecond: number;
  peakMb: number;
  broken: string[];
}

async function embeddedRun(count: number): Promise<EmbeddedRun> {
  const dataDir = guardedFolder("embedded");
  const first = await timed(() => startProduct({ dataDir }));
  await first.product.stop();
  const { product, tookMs: againMs } = await timed(() => startProduct({ dataDir }));
  const memory = watchMemory(product.pid);
  try {
    const token = await product.token("bench");
    const batchSize = 50;
    const beganAt = Date.now();
    // Accepting takes a while here too; a burst needs everything to be there at its moment.
    const moment = beganAt + 5_000 + count * 25;
    for (let from = 0; from < count; from += batchSize) {
      const emails = Array.from({ length: Math.min(batchSize, count - from) }, (_, index) =>
        apiMail("e-", from + index, new Date(moment).toISOString()),
      );
      const body = { emails, mode: "strict" };
      const answer = await product.api("POST", "/api/v1/schedule-mail/batch", body, token);
      if (answer.status !== 201) throw new Error(`batch: ${answer.status} ${answer.text}`);
    }
    if (Date.now() > moment) throw new Error("accepting took until the burst was due");
    await Bun.sleep(moment - Date.now());
    const endsAt = performance.now() + 300_000;
    while (capturedIn(dataDir) < count && performance.now() < endsAt) await Bun.sleep(20);
    const tookMs = Date.now() - moment;
    const captured = capturedIn(dataDir);
    return {
      firstMs: first.tookMs,
      againMs,
      perSecond: (count * 1_000) / tookMs,
      peakMb: memory.stop(),
      broken: captured === count ? [] : [`${count - captured} of ${count} not captured`],
    };
  } finally {
    memory.stop();
    await product.kill();
  }
}

function capturedIn(dataDir: string): number {
  try {
    return readdirSync(join(dataDir, "captured")).filter((name) => name.endsWith(".eml")).length;
  } catch {
    // Nothing was captured yet.
    return 0;
  }
}
