import { mkdirSync, rmSync } from "node:fs";
import { Redis } from "ioredis";
import { asChild, freePort, guardFolder, privateFolder, until } from "./child-server.ts";

/** A Redis the tests may only use. */
export interface SharedRedis {
  readonly url: string;
}

/** A Redis of one's own, to be hurt at will. */
export interface RedisServer extends SharedRedis {
  readonly port: number;
  readonly pid: number;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
  /** SIGKILL; the folder stays. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open and nobody answers. */
  pause(): void;
  resume(): void;
  /** Starts it again on the same port and folder, killing it first if it runs. */
  restart(): Promise<void>;
}

let shared: Promise<SharedRedis> | null = null;

/** The one Redis of this test process, or that of `TEST_REDIS_URL`; started on first use. */
export function sharedRedis(): Promise<SharedRedis> {
  const url = process.env.TEST_REDIS_URL;
  shared ??= url ? Promise.resolve({ url }) : startRedis();
  return shared;
}

export interface RedisOptions {
  maxmemoryPolicy?: string;
  port?: number;
  /** `package`: snapshots now and then and no AOF, as redis.conf of Debian and Redis itself has it. */
  persistence?: "aof" | "package";
}

/** Starts redis-server as production should run it: AOF on, nothing evicted. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const folder = privateFolder("redis");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const port = options.port ?? (await freePort());
  const url = `redis://127.0.0.1:${port}`;
  const policy = options.maxmemoryPolicy ?? "noeviction";
  const persistence = options.persistence ?? "aof";
  let server = launch(folder, port, policy, persistence);
  const guard = guardFolder(folder);
  guard(server.pid);
  await until("Redis answers", () => answers(url));

  const kill = async () => {
    server.kill("SIGKILL");
    await server.exited;
  };
  return {
    url,
    port,
    get pid() {
      return server.pid;
    },
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
    kill,
    pause: () => server.kill("SIGSTOP"),
    resume: () => server.kill("SIGCONT"),
    async restart() {
      await kill();
      server = launch(folder, port, policy, persistence);
      guard(server.pid);
      await until("Redis answers again", () => answers(url));
    },
  };
}

function launch(folder: string, port: number, policy: string, persistence: "aof" | "package") {
  const binary = Bun.which("redis-server") ?? Bun.which("valkey-server");
  if (binary === null) throw new Error("redis-server is not installed");
  const settings = {
    port,
    bind: "127.0.0.1",
    dir: folder,
    appendonly: persistence === "aof" ? "yes" : "no",
    save: persistence === "aof" ? "" : "3600 1 300 100 60 10000",
    "maxmemory-policy": policy,
    daemonize: "no",
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  return Bun.spawn(asChild([binary, ...flags], "SIGKILL", null), {
    cwd: folder,
    stdout: "ignore",
    stderr: "ignore",
  });
}

async function answers(url: string): Promise<boolean> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
  redis.on("error", () => {});
  try {
    await redis.connect();
    return (await redis.ping()) === "PONG";
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}
