import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { makeTestCertificate } from "../fixtures/test-certificate.ts";
import { asChild, freePort, guardFolder, privateFolder } from "./child-server.ts";

export interface RedisNodesOptions {
  /** All of them speak TLS, also with each other, and nothing else. */
  isTls?: boolean;
}

/** Redis servers and Sentinels with passwords, of which one set stands in for each other. */
export interface RedisNodes {
  /** Settings of the product that let it in. */
  readonly env: Readonly<Record<string, string>>;
  readonly password: string;
  readonly sentinelPassword: string;
  freePort(): Promise<number>;
  start(port: number, options: string[]): void;
  /** Watches the primary at a port under a name. */
  startSentinel(port: number, name: string, primary: number): void;
  /** One question to a server of ours, and its answer as text. */
  say(port: number, command: string, ...args: string[]): Promise<string>;
  ask(port: number, command: string, ...args: string[]): Promise<unknown>;
  /** Runs redis-cli; throws with what it says when it fails. */
  cli(...args: string[]): void;
  kill(port: number): void;
  stop(): void;
}

const password = "with: signs, / and @";
const sentinelPassword = "of the Sentinels: / and @";

export function createRedisNodes({ isTls = false }: RedisNodesOptions): RedisNodes {
  const running = new Map<number, Bun.Subprocess>();
  const sentinels = new Set<number>();
  const tls = isTls ? writeCertificate() : null;

  function launch(port: number, args: (folder: string) => string[]): void {
    const folder = privateFolder(`redis-${port}`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const server = Bun.spawn(asChild(["redis-server", ...args(folder)], "SIGKILL", null), {
      cwd: folder,
      stdout: "ignore",
      stderr: "ignore",
    });
    guardFolder(folder)(server.pid);
    running.set(port, server);
  }
  /** Where it listens, in the words of redis.conf. */
  const listen = (port: number): [string, string][] =>
    tls === null
      ? [["port", `${port}`]]
      : [["port", "0"], ["tls-port", `${port}`], ...tls.settings, ["tls-replication", "yes"]];

  async function ask(port: number, command: string, ...args: string[]): Promise<unknown> {
    const redis = new Redis({
      port,
      password: sentinels.has(port) ? sentinelPassword : password,
      lazyConnect: true,
      retryStrategy: () => null,
      ...(tls === null ? {} : { tls: { ca: tls.ca } }),
    });
    redis.on("error", () => {});
    try {
      await redis.connect();
      return await redis.call(command, ...args);
    } finally {
      redis.disconnect();
    }
  }

  return {
    env: {
      REDIS_PASSWORD: password,
      ...(tls === null ? {} : { REDIS_TLS: "true", REDIS_TLS_CA: tls.caFile }),
    },
    password,
    sentinelPassword,
    freePort,
    ask,
    say: async (port, command, ...args) => String(await ask(port, command, ...args)),
    start(port, options) {
      const cluster = tls !== null && options.includes("--cluster-enabled");
      launch(port, (folder) => [
        ...listen(port).flatMap(([name, value]) => [`--${name}`, value]),
        ...(cluster ? ["--tls-cluster", "yes"] : []),
        ...["--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes"],
        ...["--requirepass", password, "--masterauth", password],
        ...["--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"],
        ...options,
      ]);
    },
    startSentinel(port, name, primary) {
      sentinels.add(port);
      launch(port, (folder) => {
        const file = join(folder, "sentinel.conf");
        const lines = [
          ...listen(port).map(([setting, value]) => `${setting} "${value}"`),
          ...["bind 127.0.0.1", `dir "${folder}"`, `requirepass "${sentinelPassword}"`],
          `sentinel sentinel-pass "${sentinelPassword}"`,
          `sentinel monitor ${name} 127.0.0.1 ${primary} 2`,
          `sentinel auth-pass ${name} "${password}"`,
          `sentinel down-after-milliseconds ${name} 1000`,
          `sentinel failover-timeout ${name} 5000`,
          "",
        ];
        writeFileSync(file, lines.join("\n"));
        return [file, "--sentinel"];
      });
    },
    cli(...args) {
      const secure = tls === null ? [] : ["--tls", "--cacert", tls.caFile];
      const { exitCode, stdout } = Bun.spawnSync(["redis-cli", ...secure, ...args], {
        env: { PATH: process.env.PATH ?? "", REDISCLI_AUTH: password },
      });
      if (exitCode !== 0) throw new Error(stdout.toString());
    },
    kill: (port) => running.get(port)?.kill("SIGKILL"),
    stop() {
      for (const server of running.values()) server.kill("SIGKILL");
    },
  };
}

/** One certificate for all, and the settings that name it. */
function writeCertificate() {
  const folder = privateFolder("redis-tls");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  guardFolder(folder);
  const made = makeTestCertificate();
  const write = (name: keyof typeof made) => {
    const path = join(folder, `${name}.pem`);
    writeFileSync(path, made[name], { mode: 0o600 });
    return path;
  };
  const caFile = write("ca");
  const settings: [string, string][] = [
    ["tls-cert-file", write("cert")],
    ["tls-key-file", write("key")],
    ["tls-ca-cert-file", caFile],
    ["tls-auth-clients", "no"],
  ];
  return { ca: made.ca, caFile, settings };
}
