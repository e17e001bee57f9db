import { productSettings } from "./bench-product.ts";
import { ourselves } from "./contenders.ts";
import type { Figure } from "./figure.ts";
import { startHaraka } from "./haraka.ts";
import { httpLoad } from "./http-load.ts";
import { startLineProcess } from "./line-process.ts";
import type { Measurement } from "./measurement.ts";
import { apiMail } from "./messages.ts";
import { lossOf } from "./sink-dump.ts";
import { startSink } from "./sink-process.ts";
import { ratios } from "./statistics.ts";

/** Mails a second from the first hand-over until the sink has the last, and what went wrong. */
interface Flow {
  perSecond: number;
  broken: string[];
}

interface Runner {
  name: string;
  run(prefix: string, count: number): Promise<Flow>;
  close(): Promise<void>;
}

const connections = 64;

/** Handed over one by one, due now, until sent: what a relay does all day. */
export const flow: Measurement = {
  name: "flow",
  what: "One POST a mail, due now, at 64 connections, until sent; beside relays with --with-relays.",
  async run(bench) {
    const runners = [await ours(bench.tools)];
    if (bench.hasRelays) runners.push(await haraka(bench.tools));
    const count = bench.count(100, 5_000);
    const rates = new Map<string, number[]>(runners.map(({ name }) => [name, []]));
    const broken: string[] = [];
    try {
      for (let round = 0; round <= bench.rounds; round++) {
        for (const { name, run } of runners) {
          bench.say(round === 0 ? `${name} warms up` : `round ${round}: ${name}`);
          const result = await run(`f${round}-`, round === 0 ? bench.count(20, 300) : count);
          broken.push(...result.broken.map((words) => `${name}: ${words}`));
          if (round > 0) rates.get(name)?.push(result.perSecond);
        }
      }
    } finally {
      for (const runner of runners) await runner.close();
    }
    return {
      figures: figuresOf(rates),
      settings: {
        mails: count,
        connections,
        "connections to a relay": 20,
        relays: bench.hasRelays ? "Haraka, outbound 100" : "not asked for",
        ...productSettings(),
      },
      broken,
    };
  },
};

function figuresOf(rates: Map<string, number[]>): Figure[] {
  const us = rates.get("Taskforce Mailer") ?? [];
  const theirs = rates.get("Haraka");
  return [
    ...(theirs
      ? [
          {
            name: "flow: POST due now → sent, per second ÷ Haraka",
            unit: "×" as const,
            values: ratios(us, theirs),
            target: { gate: 1, aim: 1.5, better: "higher" as const },
          },
        ]
      : []),
    ...[...rates].map(([name, values]): Figure => ({ name: `flow: ${name}`, unit: "/s", values })),
  ];
}

async function ours(tools: string): Promise<Runner> {
  const us = await ourselves(tools);
  return {
    name: us.name,
    async run(prefix, count) {
      const before = us.sink.count;
      const bodies = Array.from({ length: count }, (_, index) =>
        JSON.stringify(apiMail(prefix, index)),
      );
      const startedAt = Date.now();
      const url = `${us.bench.product.url}/api/v1/schedule-mail`;
      await httpLoad(url, { bodies, connections, token: us.bench.token });
      await us.sink.waitFor(before + count, 300_000);
      const endedAt = us.sink.sightings.at(-1)?.[0] ?? Number.NaN;
      await us.bench.untilAtRest(60_000);
      return {
        perSecond: (count * 1_000) / (endedAt - startedAt),
        broken: lossOf(us.sink.takeTally(prefix), count),
      };
    },
    close: us.close,
  };
}

/** A relay is handed prebuilt bytes over 20 connections: nothing of its client is composed. */
async function haraka(tools: string): Promise<Runner> {
  const sink = await startSink(tools);
  const relay = await startHaraka(tools, sink.port);
  const client = startLineProcess("ceiling.ts", ["raw", String(relay.port)]);
  return {
    name: relay.name,
    async run(prefix, count) {
      const before = sink.count;
      const { startedAt } = await client.ask<{ startedAt: number }>(`${prefix} ${count}`);
      await sink.waitFor(before + count, 300_000);
      const endedAt = sink.sightings.at(-1)?.[0] ?? Number.NaN;
      return {
        perSecond: (count * 1_000) / (endedAt - startedAt),
        broken: lossOf(sink.takeTally(prefix), count),
      };
    },
    async close() {
      await client.stop();
      await relay.close();
      await sink.stop();
    },
  };
}
