import fc from "fast-check";
import { defineFault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import type { World } from "./world.ts";

/** The kill counts only when every process was hit this soon after the 201 was read. */
const withinMs = 1;

export const postgresKilled = defineFault({
  name: "postgres-killed-after-201",
  what: "Every process of PostgreSQL killed within a millisecond of a 201, and started again, until that has happened 500 times.",
  mails: { small: 40, full: 3_000 },
  parts: { postgres: "own" },
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start();
    await world.start({ role: "worker" });
    const wanted = world.scale === "full" ? 500 : 4;
    const perRound = Math.ceil(world.mails / wanted);
    let inTime = 0;
    // One kill follows the other: the whole of it is a time of harm.
    await world.outage(async () => {
      // Signals to a dozen processes take about a millisecond: not every kill is in time.
      for (let round = 0; inTime < wanted && round < wanted * 4; round++) {
        if ((await killAfterAck(world, perRound)) <= withinMs) inTime += 1;
        // Every kill is a harm; how many came in time is the condition of the full scale below.
        world.count();
        await world.postgres.restart();
        // A busy machine is late; what is lost then is lost all the same.
        if (world.scale === "small" && round + 1 === wanted) break;
      }
    });
    if (world.scale === "full" && inTime < wanted) {
      world.miss(`only ${inTime} of ${wanted} kills came within ${withinMs} ms of a 201`);
    }
  },
});

/** Several requests at once, and the kill as soon as the first of them is answered; ms between. */
export async function killAfterAck(world: World, count: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const aimed = world.postgres.aim();
  let isFirst = true;
  world.load.onAck(() => {
    if (!isFirst) return;
    isFirst = false;
    const at = performance.now();
    aimed.kill();
    resolve(performance.now() - at);
  });
  const load = world.load.steady({
    count,
    perSecond: 1_000,
    fields: nowAndSoon,
  });
  const ms = await promise;
  world.load.onAck(null);
  await aimed.ended;
  world.pending.push(load);
  return ms;
}

async function whileBroken(
  world: World,
  seconds: number,
  { harm, heal }: { harm: () => unknown; heal: () => unknown },
): Promise<void> {
  await world.start();
  await world.start({ role: "worker" });
  const perSecond = world.mails / (seconds + 5);
  const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
  const rounds = world.scale === "full" ? 3 : 1;
  for (let round = 0; round < rounds; round++) {
    await Bun.sleep(1_500);
    await world.outage(async () => {
      await harm();
      await Bun.sleep((seconds / rounds) * 1_000);
      await heal();
    });
  }
  await load;
}

export const postgresHung = defineFault({
  name: "postgres-hung",
  what: "Every process of PostgreSQL stopped with SIGSTOP, connections open and silent, then continued.",
  mails: { small: 200, full: 3_000 },
  parts: { postgres: "own" },
  limits: { latenessP99Ms: 15_000, recoveryP99Ms: 15_000 },
  async run(world) {
    const { pause, resume } = world.postgres;
    await whileBroken(world, world.scale === "full" ? 45 : 8, { harm: pause, heal: resume });
  },
});

export const postgresReadOnly = defineFault({
  name: "postgres-read-only",
  what: "PostgreSQL refuses every write, as a replica or a full cloud quota does, then takes them again.",
  mails: { small: 200, full: 3_000 },
  parts: { postgres: "own" },
  limits: { latenessP99Ms: 15_000, recoveryP99Ms: 15_000 },
  async run(world) {
    const set = async (value: string) => {
      await world.sql(`alter system set default_transaction_read_only = ${value}`);
      await world.sql("select pg_reload_conf()");
    };
    await whileBroken(world, world.scale === "full" ? 30 : 5, {
      harm: () => set("on"),
      heal: async () => {
        // Our own session is read-only as well by now, but for the one setting it needs.
        await world.sql("set default_transaction_read_only = off");
        await set("off");
      },
    });
  },
});

/** Of the functions of the database, whose replies get lost; a test sees to it that all are called. */
export const lostReplies = [
  "accept_emails",
  "claim_due",
  "lost_claims",
  "fence_attempts",
  "settle_attempts",
  "release_emails",
  "return_claims",
  "take_over",
  "beat",
];

export const replyLost = defineFault({
  name: "postgres-reply-lost",
  what: `The connection is reset after PostgreSQL has committed and before its reply arrives, at random calls of ${lostReplies.join(", ")}.`,
  mails: { small: 300, full: 5_000 },
  parts: { proxied: ["postgres"] },
  limits: { latenessP99Ms: 8_000 },
  async run(world) {
    await world.start();
    await world.start({ role: "worker" });
    const proxy = world.proxy("postgres");
    const seconds = world.scale === "full" ? 120 : 6;
    const perSecond = world.mails / seconds;
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    const cuts = world.draw(
      fc.record({
        call: fc.constantFrom(...lostReplies),
        pauseMs: fc.integer({ min: 20, max: 300 }),
      }),
      Math.round(seconds * 5),
    );
    for (const { call, pauseMs } of cuts) {
      await Bun.sleep(pauseMs);
      proxy.cut({ direction: "up", bytes: call, moment: "reply" });
    }
    await load;
    world.count(proxy.cuts);
    await proxy.heal();
  },
});
