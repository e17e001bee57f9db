import { Redis } from "ioredis";
import { inMs } from "../../src/testing/product/email-requests.ts";
import { productSettings } from "./bench-product.ts";
import { ourselves } from "./contenders.ts";
import type { Figure } from "./figure.ts";
import { httpLoad } from "./http-load.ts";
import type { Bench, Measurement } from "./measurement.ts";
import { cpuMs, residentMb } from "./process-usage.ts";
import { lossOf } from "./sink-dump.ts";
import { middle, unevenness } from "./statistics.ts";

type Us = Awaited<ReturnType<typeof ourselves>>;

/** A whole service with so many emails waiting, and what its rounds came to. */
interface AtSize {
  size: number;
  us: Us;
  redis: Redis;
  acceptPerSecond: number[];
  deliverPerSecond: number[];
  /** Of the list's places, in the order of `placeNames`; milliseconds. */
  pageMs: number[][];
}

interface AtRest {
  memoryMb: number;
  redisMb: number;
  idlePercent: number;
  redisIdlePercent: number;
}

const warmUps = 3;
/** Medians of fewer are further apart than what is measured. */
const roundsMin = 5;
const placeNames = ["list, page 1", "list, deep page by offset", "list, deep page by cursor"];
const probeTag = "probe";

/** Between a day and a month away: in the database, and beyond the horizon of the queue. */
function waiting(index: number) {
  return {
    recipients: [`waits-${index}@example.test`],
    subject: `Waits ${index}`,
    body: "A few words.",
    scheduled_at: inMs(86_400_000 + (index % 30) * 86_400_000),
  };
}

export const backlog: Measurement = {
  name: "backlog",
  what: "Accept, claim, list, memory and idle CPU with ever more emails waiting for days to come.",
  async run(bench) {
    const sizes = bench.isQuick
      ? [100, 300]
      : [1_000, 10_000, 100_000, ...(bench.isLong ? [1_000_000] : [])];
    const rounds = bench.isQuick ? bench.rounds : Math.max(bench.rounds, roundsMin);
    const broken: string[] = [];
    const all: AtSize[] = [];
    try {
      for (const size of sizes) {
        const one = await start(size, bench);
        all.push(one);
        await fillUp(one, bench);
      }
      for (let round = 1 - warmUps; round <= rounds; round++) {
        for (const one of all) {
          const turn = round < 1 ? "warming up" : `round ${round} of ${rounds}`;
          bench.say(`${one.size} waiting, ${turn}`);
          await probe(one, bench, { round, broken });
        }
      }
      bench.say("listing");
      for (const { us } of all) await vacuum(us);
      await list(all, bench.count(5, 150));
      bench.say("idle");
      await Bun.sleep(bench.count(1_000, 10_000));
      const atRest = await rest(all, bench.count(3_000, 30_000));
      return {
        figures: figuresOf(all, atRest),
        settings: {
          sizes: sizes.join(", "),
          rounds,
          "deep page": "offset 199,980, or the last page of fewer",
          ...productSettings(),
        },
        broken,
      };
    } finally {
      for (const { redis, us } of all) {
        redis.disconnect();
        await us.close();
      }
    }
  },
};

/** Each size has a service of its own, so that they can take turns. */
async function start(size: number, bench: Bench): Promise<AtSize> {
  const us = await ourselves(bench.tools);
  const redis = new Redis(us.bench.redis.url);
  const pageMs = placeNames.map(() => []);
  return { size, us, redis, acceptPerSecond: [], deliverPerSecond: [], pageMs };
}

/** The process is a new one afterwards: none has done more work than another. */
async function fillUp({ us, size }: AtSize, bench: Bench): Promise<void> {
  bench.say(`filling up to ${size}`);
  await fill(us, size);
  await vacuum(us);
  await us.bench.restart();
}

/** What autovacuum comes to do within some minutes, here at the same time for all. */
async function vacuum(us: Us): Promise<void> {
  await us.bench.sql.query("vacuum analyze");
}

async function fill(us: Us, to: number): Promise<void> {
  const size = 500;
  // In slices, so that a million bodies are never in memory at once.
  const slice = 20_000;
  for (let begin = 0; begin < to; begin += slice) {
    const end = Math.min(to, begin + slice);
    const bodies: string[] = [];
    for (let first = begin; first < end; first += size) {
      const emails = Array.from({ length: Math.min(size, end - first) }, (_, index) =>
        waiting(first + index),
      );
      bodies.push(JSON.stringify({ mode: "strict", emails }));
    }
    const url = `${us.bench.product.url}/api/v1/schedule-mail/batch`;
    await httpLoad(url, { bodies, connections: 4, token: us.bench.token });
  }
}

/**
 * Posts that wait, which are cancelled again, so that no more wait than should; then mails due at
 * once. Warm-ups, before round 1, are not kept.
 */
async function probe(
  { us, acceptPerSecond, deliverPerSecond }: AtSize,
  bench: Bench,
  { round, broken }: { round: number; broken: string[] },
): Promise<void> {
  const { product, token } = us.bench;
  const count = bench.count(30, 2_000);
  const bodies = Array.from({ length: count }, (_, index) =>
    JSON.stringify({ ...waiting(index), tags: [probeTag] }),
  );
  const url = `${product.url}/api/v1/schedule-mail`;
  const { perSecond } = await httpLoad(url, { bodies, connections: 64, token });
  const cancelled = await product.api("POST", "/api/v1/cancel", { tag: probeTag }, token);
  if (cancelled.status !== 200) throw new Error(`cancel: ${cancelled.status} ${cancelled.text}`);

  const prefix = `p${round}-`;
  const before = us.sink.count;
  await us.bench.accept(prefix, count, inMs(6_000));
  await us.sink.waitFor(before + count, 120_000);
  const times = us.sink.sightings.filter(([, seen]) => seen > before).map(([at]) => at);
  const tookMs = Math.max(1, (times.at(-1) ?? 0) - (times[0] ?? 0));
  broken.push(...lossOf(us.sink.takeTally(prefix), count).map((words) => `${prefix} ${words}`));
  if (round < 1) return;
  acceptPerSecond.push(perSecond);
  deliverPerSecond.push((count * 1_000) / tookMs);
}

/** Makes `many` requests for each place of each list, in turns, one after the other. */
async function list(all: readonly AtSize[], many: number): Promise<void> {
  const places = await Promise.all(
    all.map(async ({ us, size }) => {
      const deep = Math.max(0, Math.min(199_980, size - 20));
      return ["offset=0", `offset=${deep}`, `cursor=${await cursorAt(us, deep)}`];
    }),
  );
  for (let turn = 0; turn < many; turn++) {
    for (const [which, { us, pageMs }] of all.entries()) {
      for (const [index, place] of (places[which] ?? []).entries()) {
        const startedAt = performance.now();
        await getPage(us, place);
        pageMs[index]?.push(performance.now() - startedAt);
      }
    }
  }
}

/** Where the page at this offset begins, as the page before it says. */
async function cursorAt(us: Us, offset: number): Promise<string> {
  const page = JSON.parse(await getPage(us, `offset=${Math.max(0, offset - 20)}`)).page;
  return page.next_cursor;
}

async function getPage(us: Us, place: string): Promise<string> {
  const url = `${us.bench.product.url}/api/v1/scheduled-emails?limit=20&${place}`;
  const res = await fetch(url, { headers: { authorization: `Bearer ${us.bench.token}` } });
  const text = await res.text();
  if (!res.ok) throw new Error(`${url} answered ${res.status}`);
  return text;
}

/** All are idle at the same time. */
async function rest(all: readonly AtSize[], forMs: number): Promise<AtRest[]> {
  const pids = await Promise.all(
    all.map(async ({ us, redis }) => {
      return [us.bench.product.pid, await redisField(redis, "server", "process_id")] as const;
    }),
  );
  const before = pids.map((both) => both.map(cpuMs));
  const startedAt = performance.now();
  await Bun.sleep(forMs);
  const tookMs = performance.now() - startedAt;
  const shares = pids.map((both, index) =>
    both.map(
      (pid, which) => ((cpuMs(pid) - (before[index]?.[which] ?? Number.NaN)) / tookMs) * 100,
    ),
  );
  return Promise.all(
    all.map(async ({ us, redis }, index) => {
      const [idlePercent = Number.NaN, redisIdlePercent = Number.NaN] = shares[index] ?? [];
      const redisMb = (await redisField(redis, "memory", "used_memory")) / 1_000_000;
      return { memoryMb: residentMb(us.bench.product.pid), redisMb, idlePercent, redisIdlePercent };
    }),
  );
}

async function redisField(redis: Redis, section: string, field: string): Promise<number> {
  const text = await redis.info(section);
  const value = new RegExp(`^${field}:(\\d+)`, "m").exec(text)?.[1];
  if (value === undefined) throw new Error(`INFO ${section} has no ${field}`);
  return Number(value);
}

/** The figures of one size, and how far apart those of all sizes are. */
const compared: { name: string; unit: "/s" | "ms"; of: (one: AtSize) => number[] }[] = [
  { name: "accept", unit: "/s", of: (one) => one.acceptPerSecond },
  { name: "claim and send", unit: "/s", of: (one) => one.deliverPerSecond },
  ...placeNames.map((name, index) => ({
    name,
    unit: "ms" as const,
    of: (one: AtSize) => one.pageMs[index] ?? [],
  })),
];

function figuresOf(all: readonly AtSize[], atRest: readonly AtRest[]): Figure[] {
  const sizes = all.map(({ size }) => size);
  const [firstRest, lastRest] = [atRest[0], atRest.at(-1)];
  if (!firstRest || !lastRest) throw new Error("no size was measured");
  const lower = (gate: number, aim: number) => ({ gate, aim, better: "lower" as const });
  const text = (size = Number.NaN) => size.toLocaleString("en");
  const last = text(sizes.at(-1));
  const idleAt = sizes.includes(100_000) ? sizes.indexOf(100_000) : sizes.length - 1;
  const idle = atRest[idleAt] ?? lastRest;
  return [
    ...compared.map(({ name, of }): Figure => {
      return {
        name: `${name.replace("deep page", "page 10,000")}: largest over smallest, up to ${last} waiting`,
        unit: "%",
        values: [unevenness(all.map((one) => middle(of(one)).median)) * 100],
        target: lower(20, 10),
      };
    }),
    {
      name: `resident memory with ${last} against ${text(sizes[0])}`,
      unit: "%",
      values: [(lastRest.memoryMb / firstRest.memoryMb - 1) * 100],
      target: lower(10, 0),
    },
    {
      name: `Redis memory with ${last} scheduled`,
      unit: "MB",
      values: [lastRest.redisMb],
      target: lower(100, 20),
    },
    {
      name: `idle CPU with ${text(sizes[idleAt])} scheduled, process`,
      unit: "%",
      values: [idle.idlePercent],
      target: lower(1, 0.3),
    },
    {
      name: `idle CPU with ${text(sizes[idleAt])} scheduled, Redis`,
      unit: "%",
      values: [idle.redisIdlePercent],
      target: lower(1, 0.3),
    },
    ...all.flatMap((one, index): Figure[] => [
      ...compared.map(({ name, unit, of }): Figure => {
        return { name: `${text(one.size)} waiting: ${name}`, unit, values: of(one) };
      }),
      {
        name: `${text(one.size)} waiting: resident memory`,
        unit: "MB",
        values: [atRest[index]?.memoryMb ?? Number.NaN],
      },
    ]),
  ];
}
