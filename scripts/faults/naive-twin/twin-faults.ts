import fc from "fast-check";
import { clockOff } from "../clock-offset.ts";
import type { Scale } from "../fault.ts";
import { mixedRecipients } from "../smtp-rules.ts";
import type { TwinOptions, TwinWorld } from "./twin-world.ts";

export interface TwinFault {
  /** The product's fault it stands beside. */
  name: string;
  what: string;
  options?: TwinOptions;
  run(world: TwinWorld, scale: Scale): Promise<void>;
}

const many = (scale: Scale, small: number, full: number) => (scale === "full" ? full : small);

function slowHop(world: TwinWorld, { rcptMs, dotMs }: { rcptMs: number; dotMs: number }): void {
  const waits: Record<string, number> = { rcpt: rcptMs, dot: dotMs };
  world.sink.setRules(({ phase }) => {
    const ms = waits[phase];
    return ms === undefined ? null : { do: "wait", until: Bun.sleep(ms) };
  });
}

const workersKilled: TwinFault = {
  name: "workers-killed",
  what: "SIGKILL to one of four workers every 0.2 to 1.2 s, and another in its place.",
  async run(world, scale) {
    slowHop(world, { rcptMs: 200, dotMs: 50 });
    await world.start("api");
    const workers = await Promise.all([1, 2, 3, 4].map(() => world.start("worker")));
    const kills = many(scale, 8, 60);
    const pauses = world.draw(fc.integer({ min: 200, max: 1_200 }), kills);
    const load = world.steady(many(scale, 300, 2_000), Math.ceil(many(scale, 300, 2_000) / kills));
    for (const [index, pauseMs] of pauses.entries()) {
      await Bun.sleep(pauseMs);
      await workers[index % 4]?.kill();
      world.harms += 1;
      workers[index % 4] = await world.start("worker");
    }
    await load;
  },
};

const redisFlushed: TwinFault = {
  name: "redis-flushed",
  what: "FLUSHALL once while mails are still to come.",
  async run(world, scale) {
    await world.start("api");
    await world.start("worker");
    const count = many(scale, 300, 2_000);
    await world.steady(count, 400, (index) => ({ inMs: 2_000 + index * 10 }));
    const { Redis } = await import("ioredis");
    const redis = new Redis(world.redis.url);
    await redis.flushall();
    redis.disconnect();
    world.harms += 1;
  },
};

function redisKilled(persistence: "aof" | "package", remark: string): TwinFault {
  return {
    name: `redis-down-1s (${remark})`,
    what: `Redis killed with SIGKILL and started again after 1 s; ${remark}.`,
    options: { persistence },
    async run(world, scale) {
      await world.start("api");
      await world.start("worker");
      const count = many(scale, 200, 1_000);
      await world.steady(count, 200, (index) => ({ inMs: 3_000 + index * 10 }));
      await world.redis.kill();
      world.harms += 1;
      await Bun.sleep(1_000);
      await world.redis.restart();
    },
  };
}

const dotReplyLost: TwinFault = {
  name: "reply-to-the-dot-lost",
  what: "The connection is lost at the dot of two mails in five, one taken and one not.",
  async run(world, scale) {
    await world.start("api");
    await world.start("worker");
    let dots = 0;
    world.sink.setRules(({ phase }) => {
      if (phase !== "dot") return null;
      dots += 1;
      if (dots % 5 === 0) return { do: "accept_then_drop" };
      return dots % 5 === 2 ? { do: "drop" } : null;
    });
    await world.steady(many(scale, 300, 2_000), 60);
    world.harms += Math.floor((dots * 2) / 5);
  },
};

const workerFrozen: TwinFault = {
  name: "worker-frozen",
  what: "SIGSTOP to one of two workers for 75 s, longer than its locks, while it sends; then SIGCONT.",
  async run(world, scale) {
    slowHop(world, { rcptMs: 300, dotMs: 300 });
    await world.start("api");
    const [victim] = await Promise.all([world.start("worker"), world.start("worker")]);
    const load = world.steady(many(scale, 200, 500), 100);
    await Bun.sleep(1_500);
    victim.freeze();
    world.harms += 1;
    await load;
    await Bun.sleep(75_000);
    victim.thaw();
  },
};

const partialAcceptance: TwinFault = {
  name: "partial-and-greylisted",
  what: "Mails to several recipients: some are taken, some greylisted twice, some refused.",
  async run(world, scale) {
    await world.start("api");
    await world.start("worker");
    world.sink.setRules(mixedRecipients());
    const kinds = ["good", "grey", "gone"];
    const count = many(scale, 200, 1_000);
    await world.steady(count, 60, (index) => ({
      kinds: kinds.filter((_, bit) => ((index % 7) + 1) & (1 << bit)),
    }));
    world.harms += count;
  },
};

const hopDown: TwinFault = {
  name: "next-hop-down-30-minutes",
  what: "The next hop closes every connection for 30 s while mails are due: half of the product's 60 s retry minute, so far shorter than its 30 minutes.",
  async run(world, scale) {
    await world.start("api");
    await world.start("worker");
    world.sink.setRules(({ phase }) => (phase === "connect" ? { do: "drop" } : null));
    await world.steady(many(scale, 300, 2_000), 100);
    world.harms += 1;
    await Bun.sleep(30_000);
    world.sink.setRules();
  },
};

const cancelRace: TwinFault = {
  name: "cancels-around-due-time",
  what: "Every mail is cancelled at a random moment within 200 ms of its time.",
  async run(world, scale) {
    await world.start("api");
    await world.start("worker");
    const rounds = many(scale, 1, 20);
    for (let round = 0; round < rounds; round++) {
      const offsets = world.draw(fc.integer({ min: -200, max: 200 }), 300);
      const cancels: Promise<unknown>[] = [];
      await world.steady(300, 300, () => ({ inMs: 1_500 }));
      for (const [index, mail] of world.mails.slice(round * 300).entries()) {
        const at = mail.dueAt + (offsets[index] ?? 0);
        cancels.push(Bun.sleep(Math.max(0, at - Date.now())).then(() => world.cancel(mail)));
      }
      await Promise.all(cancels);
    }
    world.harms += world.mails.length;
  },
};

const stoppedUnderLoad: TwinFault = {
  name: "stopped-under-load",
  what: "SIGTERM to one of two workers after the other while it sends, each replaced.",
  async run(world, scale) {
    slowHop(world, { rcptMs: 50, dotMs: 50 });
    await world.start("api");
    const workers = await Promise.all([world.start("worker"), world.start("worker")]);
    const times = many(scale, 4, 20);
    const load = world.steady(many(scale, 300, 2_000), Math.ceil(many(scale, 300, 2_000) / times));
    for (let index = 0; index < times; index++) {
      await Bun.sleep(500);
      await workers[index % 2]?.stop();
      world.harms += 1;
      workers[index % 2] = await world.start("worker");
    }
    await load;
  },
};

const clocksOff: TwinFault = {
  name: "clocks-off",
  what: "One of two workers has a clock that is an hour fast.",
  async run(world, scale) {
    await world.start("api");
    await world.start("worker");
    await world.start("worker", clockOff("+1h"));
    world.harms += 1;
    await world.steady(many(scale, 200, 500), 100, (index) => ({ inMs: 20_000 + index * 10 }));
  },
};

/** Those of the product's faults that can be done to the twin without making it look worse. */
export const twinFaults: TwinFault[] = [
  workersKilled,
  workerFrozen,
  stoppedUnderLoad,
  redisFlushed,
  redisKilled("package", "redis.conf as packaged: no AOF"),
  redisKilled("aof", "AOF on"),
  dotReplyLost,
  partialAcceptance,
  hopDown,
  cancelRace,
  clocksOff,
];
