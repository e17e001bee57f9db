import { inMs } from "../../src/testing/product/email-requests.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import { defineFault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import type { World } from "./world.ts";

/** Owners with nothing to do with the flood beside them. */
const bystanders = 20;

export const floodBesideOwners = defineFault({
  name: "flood-beside-owners",
  what: `A flood of one owner, all due at once, beside ${bystanders} owners with an email a second each.`,
  mails: { small: 2_000, full: 100_000 },
  parts: { otherOwners: { small: bystanders, full: bystanders } },
  limits: {
    // The length of the flood, at 250 a second: of its own speed only the bench says anything.
    latenessP99Ms: { small: 5_000, full: 400_000 },
    othersLatenessP99Ms: 1_000,
    uncertain: 0,
  },
  async run(world) {
    await world.start();
    const seconds = world.scale === "full" ? 60 : 4;
    const count = bystanders * seconds;
    const others = world.others.steady({ count, perSecond: bystanders, fields: nowAndSoon });
    await world.load.burst(world.mails);
    world.count();
    await others;
  },
});

export const manyOwners = defineFault({
  name: "many-owners",
  what: "Ten emails each of very many owners (small scale: 200), all due at the same moment.",
  mails: { small: 2_000, full: 100_000 },
  parts: { otherOwners: { small: 200, full: 10_000 } },
  limits: {
    latenessP99Ms: { small: 5_000, full: 400_000 },
    othersLatenessP99Ms: { small: 5_000, full: 400_000 },
    uncertain: 0,
  },
  async run(world) {
    await world.start();
    const dueAt = inMs(world.scale === "full" ? 240_000 : 4_000);
    let left = world.mails / 10;
    world.count(left);
    const lane = async () => {
      while (left > 0) {
        left -= 1;
        await world.others.burst(10, () => ({ scheduled_at: dueAt }));
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
  },
});

export const floodShared = defineFault({
  name: "flood-shared",
  what: "A flood of one owner, half of it due at one moment, half as it is accepted, that two processes share.",
  mails: { small: 1_000, full: 50_000 },
  // At full speed its 40 connections take 62 s for it.
  limits: { latenessP99Ms: { small: 5_000, full: 200_000 }, uncertain: 0 },
  async run(world) {
    // A next hop that takes its time: alone, one process would need far longer.
    world.sink.setRules(({ phase }) =>
      phase === "dot" ? { do: "wait", until: Bun.sleep(50) } : null,
    );
    await Promise.all([world.start(), world.start()]);
    const dueAt = inMs(world.scale === "full" ? 120_000 : 3_000);
    await world.load.burst(world.mails, (index) =>
      index % 2 === 0 ? { scheduled_at: dueAt } : {},
    );
    world.count();
    await world.sink.waitForAcceptances(world.mails, 300_000).catch(() => undefined);
    await expectShared(world, 2);
  },
});

/** A flood that all but one process leave alone proves nothing of sharing. */
async function expectShared(world: World, processes: number): Promise<void> {
  const shares = await world.sql<{ count: number }>(
    "select count(*)::int as count from mailer.attempts group by worker_id",
  );
  const isShared =
    shares.length === processes && shares.every(({ count }) => count > world.mails / 10);
  if (!isShared) world.miss(`shared by ${processes} processes as ${JSON.stringify(shares)}`);
}

export const redisAbsent = defineFault({
  name: "redis-absent",
  what: "No Redis from the start to the end, with one process that accepts and another that sends, so that nothing tells the one of the other's emails.",
  mails: { small: 200, full: 5_000 },
  limits: { latenessP99Ms: 1_500, uncertain: 0 },
  async run(world) {
    await world.region().redis.kill();
    world.count();
    await Promise.all([world.start({ role: "api" }), world.start({ role: "worker" })]);
    const perSecond = world.scale === "full" ? 100 : 50;
    await world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    await sentWithoutRedis(world);
  },
});

/** All goes out first; the runner asks Redis for its version. */
async function sentWithoutRedis(world: World): Promise<void> {
  await world.sink.waitForAcceptances(world.mails, 120_000).catch(() => undefined);
  await world.region().redis.restart();
}

/** An email past its fence when sending was paused ends within this. */
const underWayMs = 1_000;

export const pausedWithoutRedis = defineFault({
  name: "paused-without-redis",
  what: "Sending paused for a while with Redis absent, amid a flood that is sent, waits in memory and is still to come: nothing gets out, and all of it once it is resumed.",
  mails: { small: 600, full: 10_000 },
  limits: { latenessP99Ms: { small: 5_000, full: 60_000 }, uncertain: 0 },
  async run(world) {
    world.sink.setRules(({ phase }) =>
      phase === "dot" ? { do: "wait", until: Bun.sleep(50) } : null,
    );
    await world.region().redis.kill();
    await Promise.all([world.start(), world.start({ role: "worker" })]);
    const half = world.mails / 2;
    await world.load.burst(half);
    const dueAt = inMs(2_500);
    await world.load.burst(half, () => ({ scheduled_at: dueAt }));
    await until("a part is sent", () => world.sink.acceptances.length >= half / 10);
    await world.outage(async () => {
      await world.sql(
        `insert into mailer.pauses (kind, name, paused_at, paused_by, reason)
         values ('region', 'local', clock_timestamp(), 'olga', 'wrong list')`,
      );
      await Bun.sleep(underWayMs);
      const before = world.sink.acceptances.length;
      await Bun.sleep(world.scale === "full" ? 20_000 : 3_000);
      const sent = world.sink.acceptances.length - before;
      if (sent > 0) world.miss(`${sent} emails sent while sending was paused`);
      await world.sql("delete from mailer.pauses");
    });
    await sentWithoutRedis(world);
  },
});
