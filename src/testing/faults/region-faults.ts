import { Queue } from "bullmq";
import { aheadMs } from "../../queue/ready-times.ts";
import { inMs } from "../email-requests.ts";
import { defineFault } from "./fault.ts";
import type { World } from "./world.ts";

interface DueJob {
  id: string;
  wake: number;
  dueMs: number;
}

/** Puts jobs for the same emails and wakes into a region's queue that was never told of them. */
async function queueAlsoIn(world: World, region: string): Promise<void> {
  const due = await world.sql<DueJob>(
    `select id, wake, (extract(epoch from next_attempt_at) * 1000)::float8 as "dueMs"
     from mailer.emails where state = 'pending'`,
  );
  const connection = { url: world.region(region).redis.url };
  const queue = new Queue("emails", { connection, prefix: "{mailer}" });
  const options = { attempts: 1, removeOnComplete: true, removeOnFail: true };
  for (let from = 0; from < due.length; from += 1_000) {
    await queue.addBulk(
      due.slice(from, from + 1_000).map(({ id, wake, dueMs }, index) => ({
        name: "wake",
        // As of a flood, of which some are claimed before their time.
        data: { emailId: id, wake, dueAt: dueMs, isBehind: true },
        opts: {
          ...options,
          jobId: `${id}-${wake}`,
          delay: Math.max(0, dueMs - Date.now() - (index % 2 === 0 ? aheadMs : 0)),
        },
      })),
    );
  }
  await queue.close();
}

export const regionsRace = defineFault({
  name: "two-regions-race",
  what: "Two regions, each with its own Redis and workers, are woken for the same emails at the same instant.",
  mails: { small: 500, full: 10_000 },
  parts: { regions: ["a", "b"] },
  limits: { latenessP99Ms: 10_000, uncertain: 0 },
  async run(world) {
    await world.start({ role: "all", region: "a" });
    await world.start({ role: "worker", region: "b" });
    const dueAt = inMs(world.scale === "full" ? 20_000 : 6_000);
    await world.load.burst(world.mails, () => ({ scheduled_at: dueAt }));
    await queueAlsoIn(world, "b");
    world.count(world.mails);
    await world.sink.waitForAcceptances(world.mails, 300_000).catch(() => undefined);
    const claims = await world.sql<{ region: string; count: number }>(
      `select region, count(*)::int as count from mailer.attempts group by region`,
    );
    // A race that one side never entered proves nothing.
    for (const name of world.regionNames) {
      if (!claims.some(({ region, count }) => region === name && count > world.mails / 50)) {
        world.miss(`region ${name} won hardly any race: ${JSON.stringify(claims)}`);
      }
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
