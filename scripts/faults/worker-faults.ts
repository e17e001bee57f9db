import fc from "fast-check";
import { defineFault } from "./fault.ts";
import { freezeNoting, killNoting, replace } from "./harm.ts";
import { nowAndSoon } from "./load.ts";
import type { ProductProcess, World } from "./world.ts";

/** A next hop that takes its time, so that a harm meets conversations in every phase. */
function slowHop(world: World, { rcptMs, dotMs }: { rcptMs: number; dotMs: number }): void {
  const waits: Record<string, number> = { rcpt: rcptMs, dot: dotMs };
  world.sink.setRules(({ phase }) => {
    const ms = waits[phase];
    return ms === undefined ? null : { do: "wait", until: Bun.sleep(ms) };
  });
}

export const workersKilled = defineFault({
  name: "workers-killed",
  what: "SIGKILL to one of four workers, two of which accept emails as well, every 0.2 to 1.2 s, whatever it is doing, and another started in its place.",
  mails: { small: 120, full: 10_000 },
  limits: { latenessP99Ms: 10_000, recoveryP99Ms: 10_000 },
  async run(world) {
    slowHop(world, { rcptMs: 200, dotMs: 50 });
    await world.start({ role: "api" });
    const roles = ["worker", "all", "worker", "all"] as const;
    const workers = await Promise.all(roles.map((role) => world.start({ role })));
    const kills = world.scale === "full" ? 300 : 5;
    const pauses = world.draw(fc.integer({ min: 200, max: 1_200 }), kills);
    const victims = world.draw(fc.nat({ max: workers.length - 1 }), kills);
    const perSecond = Math.ceil(world.mails / (kills * 0.9));
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    for (const [index, pauseMs] of pauses.entries()) {
      await Bun.sleep(pauseMs);
      const place = victims[index] ?? 0;
      const victim = workers[place];
      if (!victim) continue;
      await killNoting(world, victim);
      workers[place] = await replace(world, victim);
    }
    await load;
  },
});

export const apiKilled = defineFault({
  name: "api-killed",
  what: "SIGKILL to one of two processes that accept, of which one also sends, every 0.3 to 1.5 s under a steady load of requests, each repeated under its Idempotency-Key until it is answered.",
  mails: { small: 300, full: 5_000 },
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await world.start({ role: "worker" });
    const roles = ["api", "all"] as const;
    const apis = await Promise.all(roles.map((role) => world.start({ role })));
    const kills = world.scale === "full" ? 100 : 6;
    const pauses = world.draw(fc.integer({ min: 300, max: 1_500 }), kills);
    const perSecond = Math.ceil(world.mails / (kills * 0.9));
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    for (const [index, pauseMs] of pauses.entries()) {
      await Bun.sleep(pauseMs);
      const victim = apis[index % 2];
      if (!victim) continue;
      await victim.kill();
      world.count();
      apis[index % 2] = await replace(world, victim);
    }
    await load;
  },
});

export const workerFrozen = defineFault({
  name: "worker-frozen",
  what: "SIGSTOP to one of two workers for 9 s, longer than its lease, while it sends; then SIGCONT.",
  mails: { small: 200, full: 5_000 },
  limits: { latenessP99Ms: 10_000, recoveryP99Ms: 10_000 },
  async run(world) {
    slowHop(world, { rcptMs: 100, dotMs: 100 });
    await world.start({ role: "api" });
    const workers = await Promise.all([1, 2].map(() => world.start({ role: "worker" })));
    const rounds = world.scale === "full" ? 20 : 1;
    const pauses = world.draw(fc.integer({ min: 300, max: 1_300 }), rounds);
    const perSecond = Math.ceil(world.mails / (rounds * 11));
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    for (const [index, pauseMs] of pauses.entries()) {
      await Bun.sleep(pauseMs);
      const victim = workers[index % 2];
      if (!victim) continue;
      await freezeNoting(world, victim);
      await Bun.sleep(9_000);
      victim.thaw();
    }
    await load;
  },
});

/** Stops and starts, one process after the other, as a rolling deployment does. */
async function roll(world: World, processes: ProductProcess[], times: number): Promise<void> {
  for (let index = 0; index < times; index++) {
    await Bun.sleep(500);
    const place = index % processes.length;
    const victim = processes[place];
    if (!victim) continue;
    const { code, tookMs } = await victim.stop();
    world.count();
    if (code !== 0) world.miss(`exit code ${code} after SIGTERM`);
    if (tookMs > 10_000) world.miss(`SIGTERM took ${Math.round(tookMs)} ms`);
    processes[place] = await replace(world, victim);
  }
}

export const stoppedUnderLoad = defineFault({
  name: "stopped-under-load",
  what: "SIGTERM to one process after the other while it sends, each replaced: a rolling deployment.",
  mails: { small: 300, full: 5_000 },
  parts: { env: { DRAIN_TIMEOUT_MS: "8000" } },
  limits: { latenessP99Ms: 2_000, uncertain: 0 },
  async run(world) {
    slowHop(world, { rcptMs: 50, dotMs: 50 });
    const processes = [await world.start(), await world.start()];
    const times = world.scale === "full" ? 50 : 4;
    const perSecond = Math.ceil(world.mails / (times * 1.5));
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    await roll(world, processes, times);
    await load;
  },
});

export const stoppedWithoutRedis = defineFault({
  name: "stopped-without-redis",
  what: "SIGTERM to both processes under load while Redis is down; they are started again, then Redis.",
  mails: { small: 200, full: 2_000 },
  parts: { env: { DRAIN_TIMEOUT_MS: "8000" } },
  limits: { latenessP99Ms: 8_000, uncertain: 0 },
  async run(world) {
    slowHop(world, { rcptMs: 50, dotMs: 50 });
    const processes = [await world.start(), await world.start()];
    const perSecond = world.mails / 12;
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    await Bun.sleep(1_000);
    await world.outage(async () => {
      await world.region().redis.kill();
      await Bun.sleep(500);
      await roll(world, processes, 2);
      await world.region().redis.restart();
    });
    await load;
  },
});
