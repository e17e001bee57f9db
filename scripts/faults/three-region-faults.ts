import { inMs } from "../../src/testing/product/email-requests.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import { createTcpProxy, type TcpProxy } from "../../src/testing/servers/tcp-proxy.ts";
import { defineFault, type Fault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import type { ProductProcess, World, WorldOptions } from "./world.ts";

/** One region: its process, and its ways to everything it talks to. */
interface Site {
  readonly name: string;
  readonly process: ProductProcess;
  readonly database: TcpProxy;
  readonly redis: TcpProxy;
  readonly hop: TcpProxy;
}

const names = ["a", "b", "c"];
const parts: WorldOptions = { regions: names, proxied: ["redis"] };
/** What the documentation promises for a region that is gone. */
const adoptionMsMax = 90_000;

async function openSite(world: World, name: string): Promise<Site> {
  const direct = new URL(world.directUrl);
  const database = await createTcpProxy(Number(direct.port));
  const hop = await createTcpProxy(world.sink.port);
  world.closeWith(async () => void (await Promise.all([database.close(), hop.close()])));
  direct.port = String(database.port);
  const env = { DATABASE_URL: direct.href, SMTP_PORT: String(hop.port) };
  const process = await world.start({ region: name, env });
  return { name, process, database, hop, redis: world.proxy("redis", name) };
}

async function openSites(world: World): Promise<[Site, Site, Site]> {
  const [a, b, c] = await Promise.all(names.map((name) => openSite(world, name)));
  if (!a || !b || !c) throw new Error("three regions were to start");
  return [a, b, c];
}

/** A third of the emails at each of these, due at once and soon. */
async function loadEach(world: World, sites: readonly Site[]): Promise<void> {
  const count = Math.ceil(world.mails / names.length);
  const perSecond = world.scale === "full" ? 30 : 20;
  await Promise.all(
    sites.map(({ process }) =>
      world.load.steady({ count, perSecond, fields: nowAndSoon, api: () => process.url }),
    ),
  );
}

/** Emails of one region that fall due over so many milliseconds from now. */
async function laterOf(world: World, { process }: Site, overMs: number): Promise<void> {
  const count = Math.ceil(world.mails / 3);
  const fields = (index: number) => ({ scheduled_at: inMs(1_500 + (index * overMs) / count) });
  await world.load.burst(count, fields, () => process.url);
}

/** Attempts that other regions made at emails of this one. */
async function adoptedFrom(world: World, region: string): Promise<number> {
  const [row] = await world.sql<{ count: number }>(
    `select count(*)::int as count from mailer.attempts t join mailer.emails e on e.id = t.email_id
     where e.region = $1 and t.region <> $1`,
    [region],
  );
  return row?.count ?? 0;
}

/**
 * Waits until the others send what belongs to a region that is silent. The minute of silence is awaited
 * at the full scale; at the small one the database is told that it has passed.
 */
async function untilAdopted(world: World, region: string): Promise<void> {
  const startedAt = Date.now();
  const isHastened = world.scale === "small";
  await until(
    "another region sends what is due there",
    async () => {
      if (isHastened) {
        const passed = "update mailer.regions set beat_at = beat_at - interval '1 minute'";
        await world.sql(`${passed} where name = $1`, [region]);
      }
      await Bun.sleep(250);
      return (await adoptedFrom(world, region)) > 0;
    },
    adoptionMsMax * 2,
  );
  const tookMs = Date.now() - startedAt;
  if (tookMs > adoptionMsMax) world.miss(`adoption took ${tookMs} ms, limit ${adoptionMsMax}`);
}

/** Every region lists the same emails in the same states once nothing is under way. */
async function compareLists(world: World, sites: readonly Site[]): Promise<void> {
  await until("nothing is under way", async () => (await world.countOpen()) === 0, 120_000);
  const lists = await Promise.all(
    sites.map(async ({ process }) => {
      const { body } = await process.api<{ id: string; status: string }[]>(
        "GET",
        "/api/v1/scheduled-emails?limit=100",
      );
      return body.data.map(({ id, status }) => `${id} ${status}`).join("\n");
    }),
  );
  if (new Set(lists).size > 1) world.miss("the regions list different emails");
}

/** One region loses what `cut` takes; the others send what is due there; then it comes back. */
function cutOff(name: string, what: string, cut: (site: Site) => TcpProxy[]): Fault {
  return defineFault({
    name,
    what,
    mails: { small: 90, full: 3_000 },
    parts,
    limits: { latenessP99Ms: 10_000, recoveryP99Ms: 10_000 },
    async run(world) {
      const sites = await openSites(world);
      const [a, b, c] = sites;
      await laterOf(world, c, world.scale === "full" ? 60_000 : 3_000);
      const load = loadEach(world, [a, b]);
      const ways = cut(c);
      await world.outage(async () => {
        for (const way of ways) way.blackhole();
        await untilAdopted(world, c.name);
      });
      for (const way of ways) await way.heal();
      await load;
      await loadEach(world, [c]);
      await compareLists(world, sites);
    },
  });
}

const steady = defineFault({
  name: "three-regions",
  what: "Nothing: three regions with a Redis each over one database, a third of the load at each.",
  mails: { small: 90, full: 6_000 },
  parts,
  limits: { latenessP99Ms: 1_000, uncertain: 0 },
  async run(world) {
    const sites = await openSites(world);
    await loadEach(world, sites);
    await compareLists(world, sites);
    for (const { name } of sites) {
      const adopted = await adoptedFrom(world, name);
      if (adopted > 0) world.miss(`${adopted} emails of ${name} went out elsewhere`);
    }
  },
});

const redisLost = defineFault({
  name: "region-redis-lost",
  what: "The Redis of one of three regions killed for good, with its data, under a steady load: the region goes on without.",
  mails: { small: 90, full: 3_000 },
  parts,
  limits: { latenessP99Ms: 5_000, uncertain: 0 },
  async run(world) {
    const sites = await openSites(world);
    const load = loadEach(world, sites);
    await Bun.sleep(1_000);
    await world.region("c").redis.kill();
    world.count();
    await load;
    await compareLists(world, sites);
    const adopted = await adoptedFrom(world, "c");
    if (adopted > 0) world.miss(`${adopted} emails of c went out elsewhere, though it lived`);
  },
});

const farAway = defineFault({
  name: "region-far-away",
  what: "One of three regions is 80 ms away from the database and its Redis, each way.",
  mails: { small: 90, full: 3_000 },
  parts,
  limits: { latenessP99Ms: 5_000, uncertain: 0 },
  async run(world) {
    const sites = await openSites(world);
    for (const way of [sites[2].database, sites[2].redis]) way.delay(80);
    world.count();
    await loadEach(world, sites);
    await compareLists(world, sites);
  },
});

const drainedAndAdded = defineFault({
  name: "region-drained-and-added",
  what: "All processes of one region of three stopped by SIGTERM while its emails are due and to come, and a region added under load; the others send what was left.",
  mails: { small: 90, full: 3_000 },
  parts: { regions: [...names, "d"], proxied: ["redis"] },
  limits: { latenessP99Ms: 10_000, recoveryP99Ms: 10_000, uncertain: 0 },
  async run(world) {
    const [a, b, c] = await openSites(world);
    await laterOf(world, c, world.scale === "full" ? 60_000 : 4_000);
    const load = loadEach(world, [a, b]);
    const added = openSite(world, "d");
    await world.outage(async () => {
      const { code } = await c.process.stop();
      if (code !== 0) world.miss(`the drained process ended with ${code}`);
      await untilAdopted(world, c.name);
    });
    const d = await added;
    await loadEach(world, [d]);
    await load;
    const elsewhere = await adoptedFrom(world, "d");
    if (elsewhere > 0) world.miss(`${elsewhere} emails of the added region went out elsewhere`);
    await compareLists(world, [a, b, d]);
  },
});

export const threeRegions: Fault[] = [
  steady,
  cutOff(
    "region-without-database",
    "One of three regions no longer reaches the database, connections stay open, while its emails fall due; another sends them, then it is back.",
    ({ database }) => [database],
  ),
  cutOff(
    "region-cut-off",
    "One of three regions no longer reaches anything, neither database nor Redis nor next hop, while its emails fall due; another sends them, then it is back.",
    ({ database, redis, hop }) => [database, redis, hop],
  ),
  redisLost,
  farAway,
  drainedAndAdded,
];
