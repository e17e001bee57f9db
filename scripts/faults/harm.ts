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

async function heldUnfenced(world: World, workerId: string): Promise<{ id: string }[]> {
  // From outside nobody can tell.
  if (world.isEmbedded) return [];
  return await world.sql(
    `select id from mailer.emails where state = 'sending' and worker_id = $1
     and fenced_at is null`,
    [workerId],
  );
}
