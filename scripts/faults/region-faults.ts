import { inMs } from "../../src/testing/product/email-requests.ts";
import { defineFault } from "./fault.ts";

export const regionsRace = defineFault({
  name: "two-regions-race",
  what: "Two processes that share no Redis, as two regions do, claim the same emails at the same instant.",
  mails: { small: 500, full: 10_000 },
  // The buffer of one process must not hold all of the small scale.
  parts: { regions: ["a", "b"], env: { WORKER_CONCURRENCY: "20" } },
  limits: { latenessP99Ms: 10_000, uncertain: 0 },
  async run(world) {
    await world.start({ role: "all", region: "a" });
    // Beside the other region's Redis, and for the emails of this one.
    await world.start({ role: "worker", region: "b", env: { REGION: "a" } });
    const dueAt = inMs(world.scale === "full" ? 20_000 : 6_000);
    await world.load.burst(world.mails, () => ({ scheduled_at: dueAt }));
    world.count(world.mails);
    await world.sink.waitForAcceptances(world.mails, 300_000).catch(() => undefined);
    const claims = await world.sql<{ count: number }>(
      "select count(*)::int as count from mailer.attempts group by worker_id",
    );
    // A race that one side never entered proves nothing.
    if (claims.length < 2 || claims.some(({ count }) => count < world.mails / 50)) {
      world.miss(`one process won hardly any race: ${JSON.stringify(claims)}`);
    }
  },
});

export const regionDead = defineFault({
  name: "region-dead",
  what: "All processes of one region and its Redis killed for good while emails that belong to it are due and to come; another region has to send them. Then it comes back with its old queue.",
  mails: { small: 200, full: 2_000 },
  isLongOnly: true,
  parts: { regions: ["a", "b"] },
  limits: { latenessP99Ms: 90_000, recoveryP99Ms: 90_000 },
  async run(world) {
    const dying = await world.start({ role: "all", region: "a" });
    await world.start({ role: "all", region: "b" });
    await world.load.burst(
      world.mails,
      (index) => ({ scheduled_at: inMs(2_000 + (index * 90_000) / world.mails) }),
      () => dying.url,
    );
    await Bun.sleep(8_000);
    const diedAt = Date.now();
    await dying.kill();
    await world.region("a").redis.kill();
    world.count();
    const left = await world.sql<{ id: string; dueMs: number }>(
      `select id, (extract(epoch from next_attempt_at) * 1000)::float8 as "dueMs"
       from mailer.emails where state = 'pending'`,
    );
    for (const { id, dueMs } of left) world.hits.push({ emailId: id, at: Math.max(diedAt, dueMs) });
    await world.sink.waitForAcceptances(world.mails, 240_000).catch(() => undefined);
    // It comes back, and what its queue still holds of emails that others sent is harmless.
    await world.region("a").redis.restart();
    await world.start({ role: "all", region: "a" });
  },
});
