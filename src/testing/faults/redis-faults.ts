import { defineFault } from "./fault.ts";

export const redisFlushed = defineFault({
  name: "redis-flushed",
  what: "FLUSHALL three times while emails are due, queued and still to come.",
  mails: { small: 300, full: 5_000 },
  limits: { latenessP99Ms: 5_000 },
  async run(world) {
    await world.start();
    await world.start({ role: "worker" });
    const spreadMs = world.mails * 10;
    const start = Date.now() + 500;
    await world.load.burst(world.mails, (index) => ({
      scheduled_at: new Date(start + (index * spreadMs) / world.mails).toISOString(),
    }));
    for (let round = 0; round < 3; round++) {
      await Bun.sleep(spreadMs / 4);
      await world.redis().flushall();
      world.count();
    }
  },
});
