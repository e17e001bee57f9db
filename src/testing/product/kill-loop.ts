import { expect } from "bun:test";
import fc from "fast-check";
import { issueToken } from "../../auth/jwt.ts";
import { loadSecrets } from "../../crypto/secrets.ts";
import { emailRequest, inMs } from "./email-requests.ts";
import { guardedFolder, type Product, startProduct } from "./product.ts";

export interface KillLoop {
  /** How often the process is killed. */
  kills: number;
  /** Every so many kills the folder is thrown away, so that first starts are hit as well. */
  freshEvery: number;
  seed: number;
}

export interface KillLoopResult {
  acked: number;
  /** Kills before the process was ready: in the unpacking, the migration, the checkpoint. */
  killedWhileStarting: number;
}

const lifeMsMax = 6_000;
/** A kill behind the fence leaves an uncertain attempt; its retry shall not take minutes here. */
const env = { RETRY_BASE_MS: "20" };

/**
 * Starts the binary without any configuration, hands it emails as soon as it takes some, and
 * kills it at a moment nobody chose; again and again on the same folder. After every kill the
 * next start must work, and at the end of each folder's life nothing acknowledged is missing.
 */
export async function killLoop({ kills, freshEvery, seed }: KillLoop): Promise<KillLoopResult> {
  const moments = fc.sample(fc.integer({ min: 0, max: lifeMsMax }), { seed, numRuns: kills });
  const result = { acked: 0, killedWhileStarting: 0 };
  let dataDir = guardedFolder("kill-loop");
  let acked: string[] = [];
  for (const [index, lifeMs] of moments.entries()) {
    // However slow the machine starts it, every third life is counted from when it is ready.
    const ids = await liveFor(lifeMs, dataDir, index % 3 === 1);
    if (ids === null) result.killedWhileStarting += 1;
    acked.push(...(ids ?? []));
    const isLast = index === moments.length - 1;
    if (!isLast && (index + 1) % freshEvery !== 0) continue;
    await expectKept(dataDir, acked);
    result.acked += acked.length;
    dataDir = guardedFolder("kill-loop");
    acked = [];
  }
  return result;
}

/** The ids it acknowledged before it was killed; null when it was not ready by then. */
async function liveFor(
  lifeMs: number,
  dataDir: string,
  isFromReady: boolean,
): Promise<string[] | null> {
  const killed = Promise.withResolvers<"killed">();
  let killLater = () => {};
  const started = startProduct({
    dataDir,
    env,
    onSpawn: (kill) => {
      killLater = () =>
        setTimeout(() => {
          kill();
          killed.resolve("killed");
        }, lifeMs);
      if (!isFromReady) killLater();
    },
  }).catch(() => null);
  const product = await started;
  if (product === null) {
    await killed.promise;
    return null;
  }
  if (isFromReady) killLater();
  const ids: string[] = [];
  const bearer = await issueFor(dataDir);
  await Promise.all([1, 2, 3].map(() => scheduleUntilKilled(product, ids, bearer)));
  await product.exited;
  return ids;
}

/** Made here, since asking the binary takes longer than some of these lives. */
async function issueFor(dataDir: string): Promise<string> {
  const secret = loadSecrets(dataDir)?.jwtSecret ?? "";
  const now = new Date();
  return await issueToken({
    sub: "ada",
    ttlSeconds: 3600,
    secret,
    audience: "authenticated",
    issuer: null,
    now,
  });
}

async function scheduleUntilKilled(product: Product, ids: string[], bearer: string): Promise<void> {
  for (;;) {
    const body = emailRequest({ scheduled_at: inMs(ids.length % 2 === 0 ? 0 : 500) });
    // A request that was cut off has no answer: whether it was kept, nobody was told.
    const answer = await product
      .api("POST", "/api/v1/schedule-mail", body, bearer)
      .catch(() => null);
    if (answer?.status !== 201) return;
    ids.push(answer.body.data.id);
  }
}

async function expectKept(dataDir: string, ids: string[]): Promise<void> {
  const product = await startProduct({ dataDir, env });
  const until = Date.now() + 60_000;
  const missing = new Map(ids.map((id) => [id, "unknown"]));
  while (missing.size > 0 && Date.now() < until) {
    for (const id of [...missing.keys()]) {
      const { status, body } = await product.api("GET", `/api/v1/status/${id}`);
      expect([id, status]).toEqual([id, 200]);
      if (body.data.status === "sent") missing.delete(id);
      else missing.set(id, body.data.status);
    }
  }
  expect([...missing]).toEqual([]);
  await product.stop();
}
