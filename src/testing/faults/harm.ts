import type { ProcessOptions, ProductProcess, World } from "./world.ts";

/**
 * SIGKILL. What the process held and had not fenced counts as hit: from now until it is sent by
 * another it is being recovered. (What was fenced waits for the reply timeout by design and then
 * ends as uncertain.)
 */
export async function killNoting(world: World, process: ProductProcess): Promise<void> {
  const at = Date.now();
  await process.kill();
  world.count();
  for (const { id } of await heldUnfenced(world, process.workerId)) {
    world.hits.push({ emailId: id, at });
  }
  for (const id of await takenUnclaimed(world, process.region)) {
    world.hits.push({ emailId: id, at });
  }
}

/** SIGSTOP, with the same note. */
export async function freezeNoting(world: World, process: ProductProcess): Promise<void> {
  const at = Date.now();
  process.freeze();
  world.count();
  for (const { id } of await heldUnfenced(world, process.workerId)) {
    world.hits.push({ emailId: id, at });
  }
}

/** Starts one in the place of another, with the same role and region. */
export function replace(
  world: World,
  { role, region }: ProductProcess,
  options: ProcessOptions = {},
): Promise<ProductProcess> {
  return world.start({ role: role as "api" | "worker" | "all", region, ...options });
}

function heldUnfenced(world: World, workerId: string): Promise<{ id: string }[]> {
  return world.sql(
    `select id from mailer.emails where state = 'sending' and worker_id = $1
     and fenced_at is null`,
    [workerId],
  );
}

/** How long a living worker may hold a job before it has claimed its email. */
const claimWithinMs = 500;

/**
 * Jobs that a worker took from the queue and did not live to claim: active now and a moment
 * later, with their emails still pending under the same wake.
 */
async function takenUnclaimed(world: World, region: string): Promise<string[]> {
  const before = new Set(await activeJobs(world, region));
  await Bun.sleep(claimWithinMs);
  const both = (await activeJobs(world, region)).filter((job) => before.has(job));
  if (both.length === 0) return [];
  const rows = await world.sql<{ id: string }>(
    `select id from mailer.emails where state = 'pending' and id || '-' || wake = any ($1)
     and next_attempt_at < clock_timestamp() - interval '300 ms'`,
    [both],
  );
  return rows.map(({ id }) => id);
}

async function activeJobs(world: World, region: string): Promise<string[]> {
  const redis = world.redis(region);
  return await redis.lrange("{mailer}:emails:active", 0, -1).finally(() => redis.disconnect());
}
