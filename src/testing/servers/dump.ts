import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

/** Everything a PostgreSQL database holds, as `pg_dump` writes it. */
export async function dumpPostgres(url: string, ...options: string[]): Promise<string> {
  const command = [pgDump(), "--dbname", url, ...options];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const [dump, complaint] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`pg_dump failed: ${complaint}`);
  return dump;
}

/** The newest one: a dump program may be newer than its server, never older. */
function pgDump(): string {
  const root = "/usr/lib/postgresql";
  try {
    const versions = readdirSync(root).map(Number).filter(Number.isFinite);
    return join(root, String(Math.max(...versions)), "bin", "pg_dump");
  } catch {
    // No Debian: then it is on the PATH.
    return "pg_dump";
  }
}

/** Every command Redis runs from now on, words and all, until it is closed. */
export async function watchRedis(url: string): Promise<{ text(): string; close(): void }> {
  const redis = new Redis(url);
  const monitor = await redis.monitor();
  const words: string[] = [];
  monitor.on("monitor", (_time: string, args: string[]) => words.push(args.join(" ")));
  return {
    text: () => words.join("\n"),
    close() {
      monitor.disconnect();
      redis.disconnect();
    },
  };
}

/** Every key of Redis with what is in it. */
export async function dumpRedis(url: string): Promise<string> {
  const redis = new Redis(url);
  const lines: string[] = [];
  for (const key of await redis.keys("*")) {
    lines.push(`${key} ${JSON.stringify(await readKey(redis, key))}`);
  }
  redis.disconnect();
  return lines.join("\n");
}

async function readKey(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key);
  if (type === "hash") return redis.hgetall(key);
  if (type === "list") return redis.lrange(key, 0, -1);
  if (type === "set") return redis.smembers(key);
  if (type === "zset") return redis.zrange(key, "0", "-1");
  if (type === "stream") return redis.xrange(key, "-", "+");
  if (type === "string") return redis.get(key);
  // Gone between the two calls.
  if (type === "none") return null;
  throw new Error(`no reader for Redis type ${type}`);
}

/** Moves a database with PostgreSQL's own tools: `pg_dump` in its own format, then `pg_restore`. */
export async function restorePostgres(
  from: string,
  to: string,
  ...options: string[]
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "taskforce-mailer-test-dump-"));
  const file = join(folder, "mailer.dump");
  try {
    await dumpPostgres(from, "--format=custom", `--file=${file}`);
    const restore = pgDump().replace(/pg_dump$/, "pg_restore");
    const child = Bun.spawn([restore, "--exit-on-error", ...options, "--dbname", to, file], {
      ...{ stdout: "ignore", stderr: "pipe" },
    });
    const complaint = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) throw new Error(`pg_restore failed: ${complaint}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
