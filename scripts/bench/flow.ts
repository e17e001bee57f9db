import { sharedPostgres } from "../../src/testing/servers/postgres-server.ts";
import { productSettings } from "./bench-product.ts";
import { ourselves } from "./contenders.ts";
import type { Figure } from "./figure.ts";
import { startHaraka } from "./haraka.ts";
import { httpLoad } from "./http-load.ts";
import { startLineProcess } from "./line-process.ts";
import { type Bench, type Measurement, warmUps } from "./measurement.ts";
import { apiMail } from "./messages.ts";
import { startPostfix, whyNoPostfix } from "./postfix.ts";
import { familyCpuMs } from "./process-usage.ts";
import { type Relay, untilQueueIsEmpty } from "./relay.ts";
import { lossOf } from "./sink-dump.ts";
import { type SinkProcess, startSink } from "./sink-process.ts";
import { ratios } from "./statistics.ts";

interface Runner {
  name: string;
  sink: SinkProcess;
  /** First processes whose families' CPU is told, by the name of the figure. */
  pids: Record<string, number[]>;
  /** Hands the mails over and returns when it began to, in milliseconds since 1970. */
  handOver(prefix: string, count: number): Promise<number>;
  /** Resolves once nothing is left that it has to write down. */
  untilAtRest(): Promise<void>;
  close(): Promise<void>;
}

/** Of HTTP to us, of SMTP to a relay. */
const connections = 64;
const product = "Taskforce Mailer";
/** How many times as fast as each relay we mean to be. */
const targets: Record<string, { gate: number; aim: number }> = {
  Haraka: { gate: 1, aim: 1.5 },
  Postfix: { gate: 2, aim: 3 },
};

/** Handed over one by one, due now, until sent: what a relay does all day. */
export const flow: Measurement = {
  name: "flow",
  what: "One POST a mail, due now, until sent, over 64 connections; beside relays with --with-relays.",
  async run(bench) {
    const count = bench.count(100, 5_000);
    const values = new Map<string, number[]>();
    const broken: string[] = [];
    const runners: Runner[] = [];
    const settings: Record<string, string | number> = { mails: count, connections };
    try {
      runners.push(await ours(bench.tools));
      if (bench.hasRelays) await addRelays(bench, runners, settings);
      for (let round = 1 - warmUps; round <= bench.rounds; round++) {
        for (const runner of runners) {
          const { name } = runner;
          bench.say(round < 1 ? `${name} warms up` : `round ${round}: ${name}`);
          const result = await measure(runner, `f${round}-`, count);
          broken.push(...result.broken.map((words) => `${name}: ${words}`));
          if (round > 0) collect(values, result.values);
        }
      }
    } finally {
      for (const runner of runners) await runner.close();
    }
    return { figures: figuresOf(values), settings: { ...settings, ...productSettings() }, broken };
  },
};

async function addRelays(
  { tools, say }: Bench,
  runners: Runner[],
  settings: Record<string, string | number>,
): Promise<void> {
  const reason = whyNoPostfix();
  if (reason !== null) {
    say(`without Postfix: ${reason}`);
    settings.Postfix = `left out: ${reason}`;
  }
  for (const start of reason === null ? [startHaraka, startPostfix] : [startHaraka]) {
    const sink = await startSink(tools);
    const relay = await start(tools, sink.port);
    settings[relay.name] = relay.settings;
    runners.push(relayed(relay, sink));
  }
}

/** One turn of one contender: its figures by name, and what it lost or doubled, in words. */
async function measure(runner: Runner, prefix: string, count: number) {
  const { sink, pids } = runner;
  const wanted = sink.count + count;
  const before = cpuOf(pids);
  const startedAt = await runner.handOver(prefix, count);
  await sink.waitFor(wanted, 300_000);
  const [endedAt] = sink.sightings.find(([, seen]) => seen >= wanted) ?? [Number.NaN];
  // What it still writes down is part of its work, and must not weigh on the next one's turn.
  await runner.untilAtRest();
  const cpu = cpuOf(pids).map(([name, ms], index): [string, number] => {
    return [name, ((ms - (before[index]?.[1] ?? Number.NaN)) * 1_000) / count];
  });
  const values: [string, number][] = [
    [runner.name, (count * 1_000) / (endedAt - startedAt)],
    ...cpu,
  ];
  return { values, broken: lossOf(sink.takeTally(prefix), count) };
}

function cpuOf(pids: Runner["pids"]): [name: string, ms: number][] {
  return Object.entries(pids).map(([name, firsts]) => {
    return [name, firsts.reduce((sum, pid) => sum + familyCpuMs(pid), 0)];
  });
}

function collect(values: Map<string, number[]>, found: [string, number][]): void {
  for (const [name, value] of found) values.set(name, [...(values.get(name) ?? []), value]);
}

const cpuSuffix = ", CPU per mail";

function figuresOf(values: Map<string, number[]>): Figure[] {
  const us = values.get(product) ?? [];
  const compared = Object.entries(targets).flatMap(([name, target]): Figure[] => {
    const theirs = values.get(name);
    if (!theirs) return [];
    return [
      {
        name: `flow: POST due now → sent, per second ÷ ${name}`,
        unit: "×",
        values: ratios(us, theirs),
        target: { ...target, better: "higher" },
      },
    ];
  });
  const others = [...values].map(([name, rounds]): Figure => {
    return { name: `flow: ${name}`, unit: name.endsWith(cpuSuffix) ? "µs" : "/s", values: rounds };
  });
  return [...compared, ...others];
}

async function ours(tools: string): Promise<Runner> {
  const { bench, sink, close } = await ourselves(tools);
  const { pid } = bench.product;
  const postgres = await sharedPostgres();
  const pids: Runner["pids"] = { [`${product}${cpuSuffix}`]: [pid] };
  // A relay's queue is in its own processes.
  if (postgres.pid !== null) {
    pids[`${product} with PostgreSQL and Redis${cpuSuffix}`] = [pid, postgres.pid, bench.redis.pid];
  }
  return {
    name: product,
    sink,
    pids,
    async handOver(prefix, count) {
      const bodies = Array.from({ length: count }, (_, index) =>
        JSON.stringify(apiMail(prefix, index)),
      );
      const startedAt = Date.now();
      const url = `${bench.product.url}/api/v1/schedule-mail`;
      await httpLoad(url, { bodies, connections, token: bench.token });
      return startedAt;
    },
    untilAtRest: () => bench.untilAtRest(60_000),
    close,
  };
}

/** Handed prebuilt bytes, so that nothing of its client is composed while it works. */
function relayed(relay: Relay, sink: SinkProcess): Runner {
  const client = startLineProcess("ceiling.ts", ["raw", String(relay.port), String(connections)]);
  return {
    name: relay.name,
    sink,
    pids: { [`${relay.name}${cpuSuffix}`]: [relay.pid] },
    async handOver(prefix, count) {
      const { startedAt } = await client.ask<{ startedAt: number }>(`${prefix} ${count}`);
      return startedAt;
    },
    untilAtRest: () => untilQueueIsEmpty(relay, 60_000),
    async close() {
      await client.stop();
      await relay.close();
      await sink.stop();
    },
  };
}
