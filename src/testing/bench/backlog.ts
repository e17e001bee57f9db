import { Redis } from "ioredis";
import { inMs } from "../email-requests.ts";
import { productSettings } from "./bench-product.ts";
import { ourselves } from "./contenders.ts";
import type { Figure } from "./figure.ts";
import { httpLoad } from "./http-load.ts";
import type { Bench, Measurement } from "./measurement.ts";
import { cpuMs, residentMb } from "./process-usage.ts";
import { lossOf } from "./sink-dump.ts";
import { middle, unevenness } from "./statistics.ts";

type Us = Awaited<ReturnType<typeof ourselves>>;

/** What is measured with so many emails waiting; medians of the rounds. */
interface AtSize {
  size: number;
  acceptPerSecond: number;
  deliverPerSecond: number;
  firstPageMs: number;
  deepPageMs: number;
  /** The same page, asked for by the cursor of the one before. */
  cursorPageMs: number;
  memoryMb: number;
  redisMb: number;
  idlePercent: number;
  redisIdlePercent: number;
}

const warmUps = 4;

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
    const us = await ourselves(bench.tools);
    const redis = new Redis(us.bench.redis.url);
    const broken: string[] = [];
    const found: AtSize[] = [];
    let filled = 0;
    try {
      // As it is after some minutes: a process that grows faster meanwhile would hide what slows it.
      for (let turn = 1; turn <= warmUps; turn++) {
        bench.say(`warming up, ${turn} of ${warmUps}`);
        await probe(us, bench, { prefix: `warm-${turn}-`, broken });
      }
      for (const size of sizes) {
        bench.say(`filling up to ${size}`);
        await fill(us, filled, size);
        filled = size;
        // Statistics as autovacuum would have made them by the next minute.
        await us.bench.sql.query("analyze");
        found.push(await atSize(us, { bench, redis, size, broken }));
      }
      return {
        figures: figuresOf(found),
        settings: {
          sizes: sizes.join(" → "),
          "deep page": "offset 199,980, or the last page of fewer",
          ...productSettings(),
        },
        broken,
      };
    } finally {
      redis.disconnect();
      await us.close();
    }
  },
};

async function fill(us: Us, from: number, to: number): Promise<void> {
  const size = 500;
  // In slices, so that a million bodies are never in memory at once.
  const slice = 20_000;
  for (let begin = from; begin < to; begin += slice) {
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

/** Posts that wait, then mails due at once; both are few beside any backlog. */
async function probe(
  us: Us,
  bench: Bench,
  { prefix, broken }: { prefix: string; broken: string[] },
): Promise<{ acceptPerSecond: number; deliverPerSecond: number }> {
  const count = bench.count(30, 2_000);
  const url = `${us.bench.product.url}/api/v1/schedule-mail`;
  const bodies = Array.from({ length: count }, (_, index) => JSON.stringify(waiting(index)));
  const { perSecond } = await httpLoad(url, { bodies, connections: 64, token: us.bench.token });
  const before = us.sink.count;
  await us.bench.accept(prefix, count, inMs(8_000));
  await us.sink.waitFor(before + count, 120_000);
  const times = us.sink.sightings.filter(([, seen]) => seen > before).map(([at]) => at);
  const tookMs = Math.max(1, (times.at(-1) ?? 0) - (times[0] ?? 0));
  broken.push(...lossOf(us.sink.takeTally(prefix), count).map((words) => `${prefix} ${words}`));
  return { acceptPerSecond: perSecond, deliverPerSecond: (count * 1_000) / tookMs };
}

async function atSize(
  us: Us,
  with_: { bench: Bench; redis: Redis; size: number; broken: string[] },
): Promise<AtSize> {
  const { bench, redis, size, broken } = with_;
  const probes: Awaited<ReturnType<typeof probe>>[] = [];
  for (let round = 1; round <= bench.rounds; round++) {
    bench.say(`${size} waiting, round ${round}`);
    probes.push(await probe(us, bench, { prefix: `s${size}-${round}-`, broken }));
  }
  const deep = Math.max(0, Math.min(199_980, size - 20));
  const places = ["offset=0", `offset=${deep}`, `cursor=${await cursorAt(us, deep)}`];
  const [firstPageMs = 0, deepPageMs = 0, cursorPageMs = 0] = await listMs(
    us,
    places,
    bench.count(5, 150),
  );
  bench.say(`${size} waiting, idle`);
  await Bun.sleep(bench.count(1_000, 10_000));
  const idle = await idlePercents(us.bench.product.pid, redis, bench.count(3_000, 30_000));
  return {
    size,
    acceptPerSecond: middle(probes.map((one) => one.acceptPerSecond)).median,
    deliverPerSecond: middle(probes.map((one) => one.deliverPerSecond)).median,
    firstPageMs,
    deepPageMs,
    cursorPageMs,
    memoryMb: residentMb(us.bench.product.pid),
    redisMb: (await redisField(redis, "memory", "used_memory")) / 1_000_000,
    ...idle,
  };
}

/** The median of so many requests for each place, in turns, one after the other. */
async function listMs(us: Us, places: string[], many: number): Promise<number[]> {
  const took = places.map((): number[] => []);
  for (let turn = 0; turn < many; turn++) {
    for (const [index, place] of places.entries()) {
      const startedAt = performance.now();
      await list(us, place);
      took[index]?.push(performance.now() - startedAt);
    }
  }
  return took.map((times) => middle(times).median);
}

/** Where the page at this offset begins, as the page before it says. */
async function cursorAt(us: Us, offset: number): Promise<string> {
  const page = JSON.parse(await list(us, `offset=${Math.max(0, offset - 20)}`)).page;
  return page.next_cursor;
}

async function list(us: Us, place: string): Promise<string> {
  const url = `${us.bench.product.url}/api/v1/scheduled-emails?limit=20&${place}`;
  const res = await fetch(url, { headers: { authorization: `Bearer ${us.bench.token}` } });
  const text = await res.text();
  if (!res.ok) throw new Error(`${url} answered ${res.status}`);
  return text;
}

async function idlePercents(pid: number, redis: Redis, forMs: number) {
  const redisPid = await redisField(redis, "server", "process_id");
  const before = [cpuMs(pid), cpuMs(redisPid)] as const;
  const startedAt = performance.now();
  await Bun.sleep(forMs);
  const tookMs = performance.now() - startedAt;
  return {
    idlePercent: ((cpuMs(pid) - before[0]) / tookMs) * 100,
    redisIdlePercent: ((cpuMs(redisPid) - before[1]) / tookMs) * 100,
  };
}

async function redisField(redis: Redis, section: string, field: string): Promise<number> {
  const text = await redis.info(section);
  const value = new RegExp(`^${field}:(\\d+)`, "m").exec(text)?.[1];
  if (value === undefined) throw new Error(`INFO ${section} has no ${field}`);
  return Number(value);
}

function figuresOf(found: AtSize[]): Figure[] {
  const last = found.at(-1);
  const first = found[0];
  if (!last || !first) throw new Error("no size was measured");
  const sizeText = last.size.toLocaleString("en");
  const lower = (gate: number, aim: number) => ({ gate, aim, better: "lower" as const });
  const apart = (what: string, of: (one: AtSize) => number): Figure => ({
    name: `${what}: largest over smallest, up to ${sizeText} waiting`,
    unit: "%",
    values: [unevenness(found.map(of)) * 100],
    target: lower(20, 10),
  });
  const idleAt = found.find(({ size }) => size === 100_000) ?? last;
  const idleText = idleAt.size.toLocaleString("en");
  return [
    apart("accept", (one) => one.acceptPerSecond),
    apart("claim and send", (one) => one.deliverPerSecond),
    apart("list, page 1", (one) => one.firstPageMs),
    apart("list, page 10,000 by cursor", (one) => one.cursorPageMs),
    apart("list, page 10,000 by offset", (one) => one.deepPageMs),
    {
      name: `resident memory with ${sizeText} against ${first.size.toLocaleString("en")}`,
      unit: "%",
      values: [(last.memoryMb / first.memoryMb - 1) * 100],
      target: lower(10, 0),
    },
    {
      name: `Redis memory with ${sizeText} scheduled`,
      unit: "MB",
      values: [last.redisMb],
      target: lower(100, 20),
    },
    {
      name: `idle CPU with ${idleText} scheduled, process`,
      unit: "%",
      values: [idleAt.idlePercent],
      target: lower(1, 0.3),
    },
    {
      name: `idle CPU with ${idleText} scheduled, Redis`,
      unit: "%",
      values: [idleAt.redisIdlePercent],
      target: lower(1, 0.3),
    },
    ...found.flatMap((one): Figure[] => {
      const text = one.size.toLocaleString("en");
      return [
        { name: `${text} waiting: accept`, unit: "/s", values: [one.acceptPerSecond] },
        { name: `${text} waiting: claim and send`, unit: "/s", values: [one.deliverPerSecond] },
        { name: `${text} waiting: list, page 1`, unit: "ms", values: [one.firstPageMs] },
        {
          name: `${text} waiting: list, deep page by cursor`,
          unit: "ms",
          values: [one.cursorPageMs],
        },
        {
          name: `${text} waiting: list, deep page by offset`,
          unit: "ms",
          values: [one.deepPageMs],
        },
        { name: `${text} waiting: resident memory`, unit: "MB", values: [one.memoryMb] },
      ];
    }),
  ];
}
