import { prefetchMs } from "../../src/delivery/dispatcher.ts";
import { productSettings } from "./bench-product.ts";
import { type BurstRun, ceiling, naive, ourselves } from "./contenders.ts";
import type { Figure, Outcome } from "./figure.ts";
import { type Bench, type Measurement, warmUps } from "./measurement.ts";
import { ratios } from "./statistics.ts";

/** Everything due at one moment, in turns with what else could do it. */
export const burst: Measurement = {
  name: "burst",
  what: "Mails of 10 kB, all due at one moment, until the sink has the last of them.",
  async run(bench) {
    const contenders = [
      await ourselves(bench.tools),
      await ceiling(bench.tools, "pool"),
      await ceiling(bench.tools, "raw"),
      await naive(bench.tools),
    ];
    try {
      const runs = await inTurns(bench, contenders);
      const larger: BurstRun[] = [];
      for (let round = 1; round <= bench.rounds; round++) {
        bench.say(`four times as many, round ${round}`);
        const run = await contenders[0]?.burst(`large${round}-`, 4 * burstCount(bench));
        if (run) larger.push(run);
      }
      return outcome(bench, runs, larger);
    } finally {
      for (const contender of contenders) await contender.close();
    }
  },
};

type Runs = Map<string, BurstRun[]>;

async function inTurns(
  bench: Bench,
  contenders: Awaited<ReturnType<typeof ceiling>>[],
): Promise<Runs> {
  const runs: Runs = new Map(contenders.map(({ name }) => [name, []]));
  for (const contender of contenders) {
    bench.say(`${contender.name} warms up`);
    // A few first: how long accepting takes, and with it when the next may be due, is not known yet.
    await contender.burst("pace-", bench.count(20, 300));
    for (let turn = 1; turn <= warmUps; turn++) {
      await contender.burst(`warm${turn}-`, burstCount(bench));
    }
  }
  for (let round = 1; round <= bench.rounds; round++) {
    for (const { name, burst: run } of contenders) {
      bench.say(`round ${round}: ${name}`);
      runs.get(name)?.push(await run(`r${round}-`, burstCount(bench)));
    }
  }
  return runs;
}

function burstCount(bench: Bench): number {
  return bench.count(200, 5_000);
}

function outcome(bench: Bench, runs: Runs, larger: BurstRun[]): Outcome {
  const of = (name: string) => runs.get(name) ?? [];
  const rate = (name: string) => of(name).map(({ perSecond }) => perSecond);
  const us = "Taskforce Mailer";
  const figures: Figure[] = [
    {
      name: "burst: delivered/s ÷ ceiling-pool",
      unit: "×",
      values: ratios(rate(us), rate("ceiling-pool")),
      target: { gate: 1.2, aim: 2, better: "higher" },
    },
    {
      name: "burst: delivered/s ÷ naive",
      unit: "×",
      values: ratios(rate(us), rate("naive")),
      target: { gate: 8, aim: 15, better: "higher" },
    },
    {
      name: "burst: CPU per mail in our process, due → sent",
      unit: "ms",
      values: of(us).map(({ cpuUsPerMail }) => cpuUsPerMail / 1_000),
      target: { gate: 0.8, aim: 0.4, better: "lower" },
    },
    {
      name: "burst: resident memory, highest",
      unit: "MB",
      values: of(us).map(({ peakMb }) => peakMb),
      target: { gate: 250, aim: 150, better: "lower" },
    },
    {
      name: "burst: first mail at the sink after the moment",
      unit: "ms",
      values: of(us).map(({ points }) => points[0]?.[0] ?? Number.NaN),
      target: { gate: 100, aim: 25, better: "lower" },
    },
    ...[...runs].flatMap(([name, list]): Figure[] => [
      { name: `burst: ${name}`, unit: "/s", values: rate(name) },
      { name: `burst: ${name}, CPU per mail`, unit: "µs", values: list.map((r) => r.cpuUsPerMail) },
    ]),
    {
      name: `burst of ${4 * burstCount(bench)}: ${us}`,
      unit: "/s",
      values: larger.map(({ perSecond }) => perSecond),
    },
  ];
  return {
    figures,
    settings: {
      mails: burstCount(bench),
      "claimed ahead": `${prefetchMs} ms`,
      ...productSettings(),
      "ceiling pool": 20,
      "naive concurrency": 50,
      sink: "smtp-sink -c -D",
    },
    broken: [...runs.values(), larger].flat().flatMap(({ broken }) => broken),
    curves: [...runs].map(([name, list]) => ({ name, points: list.at(-1)?.points ?? [] })),
  };
}
