import { chmodSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Redis } from "ioredis";
import { issueToken } from "../../src/auth/jwt.ts";
import type { Database } from "../../src/store/database.ts";
import { createPostgresDatabase } from "../../src/store/postgres-database.ts";
import {
  faultyBinary,
  guardedFolder,
  type Product,
  type ProductOptions,
  startProduct,
} from "../../src/testing/product/product.ts";
import { freshDatabase } from "../../src/testing/servers/fresh-database.ts";
import { migrateAt } from "../../src/testing/servers/migrate-at.ts";
import { type PostgresServer, startPostgres } from "../../src/testing/servers/postgres-server.ts";
import { type RedisServer, startRedis } from "../../src/testing/servers/redis-server.ts";
import {
  createSmtpSink,
  type SmtpSink,
  type SmtpSinkOptions,
} from "../../src/testing/servers/smtp-sink.ts";
import { createTcpProxy, type TcpProxy } from "../../src/testing/servers/tcp-proxy.ts";
import { createSettableClock, type SettableClock } from "./clock-offset.ts";
import { countOpenByHttp, createEmbeddedSql } from "./embedded-world.ts";
import type { Scale } from "./fault.ts";
import { createLoad, type Load } from "./load.ts";
import { createSql } from "./world-sql.ts";

export interface WorldOptions {
  /** `own`: a server that may be hurt; default `shared`, a new database on a shared one. */
  postgres?: "shared" | "own";
  /** Names of the regions, each with its own Redis; default one, `local`. */
  regions?: string[];
  /** The clock of the database, which has to be `own`, can be set. */
  hasSettableClock?: boolean;
  /** Which connections go through a proxy; the others are direct. */
  proxied?: ("postgres" | "redis" | "smtp")[];
  /**
   * `embedded`: the default without any server. One process at a time has it, and SQL only once
   * `endProcesses` has ended that; default `postgres`.
   */
  database?: "embedded" | "postgres";
  /** `postgres`: BullMQ on the database, no process knows a Redis; default `redis`. */
  queue?: "redis" | "postgres";
  sink?: SmtpSinkOptions;
  /** How many owners `others` is of, by turns; default one. */
  otherOwners?: Record<Scale, number>;
  /** Settings of every process. */
  env?: Record<string, string>;
}

export interface ProcessOptions extends ProductOptions {
  /** Default `all`. */
  role?: "api" | "worker" | "all";
  /** Default: the first of the world's regions. */
  region?: string;
}

/** One process of the product. */
export interface ProductProcess extends Product {
  readonly role: string;
  readonly region: string;
  /** Its name in the database. */
  readonly workerId: string;
  readonly hasEnded: boolean;
}

export interface Region {
  redis: RedisServer;
  /** Null unless `redis` is proxied. */
  proxy: TcpProxy | null;
}

/** Somebody was hit at a moment; recovered when the email was sent after it. */
export interface Hit {
  emailId: string;
  /** Milliseconds since the epoch: when the harm was done, or when an outage was over. */
  at: number;
}

/** Real servers, a next hop that keeps the oracle's record, and processes of the product. */
export interface World {
  readonly scale: Scale;
  /** How many emails this run is about. */
  readonly mails: number;
  readonly seed: number;
  readonly env: Record<string, string>;
  readonly databaseUrl: string;
  readonly isEmbedded: boolean;
  /** Past the proxy, where there is one. */
  readonly directUrl: string;
  /** Emails that are pending or sending. */
  countOpen(): Promise<number>;
  /** The embedded database is read in this process from now on. */
  endProcesses(): Promise<void>;
  /** For the functions of the product; to be closed. */
  openDatabase(): Promise<Database>;
  /** The proxy and the world's own queries go to another server from here on. */
  useDatabaseAt(port: number): void;
  /** Throws unless `postgres: "own"` was asked for. */
  readonly postgres: PostgresServer;
  /** Null unless `hasSettableClock` was asked for. */
  readonly databaseClock: SettableClock | null;
  readonly sink: SmtpSink;
  /** The fsynced record of what the next hop took. */
  readonly acceptanceFile: string;
  readonly load: Load;
  /** The load of a second owner, or of several, whose lateness is measured apart from everybody's. */
  readonly others: Load;
  readonly processes: ProductProcess[];
  readonly hits: Hit[];
  /** Emails that kill their workers, and how many deaths each has caused. */
  readonly poison: Map<string, number>;
  readonly regionNames: string[];
  /** The first region unless one is named. */
  region(name?: string): Region;
  /** Throws unless it is proxied. */
  proxy(part: "postgres" | "redis" | "smtp", region?: string): TcpProxy;
  start(options?: ProcessOptions): Promise<ProductProcess>;
  /** SQL past the product, directly at the server. */
  sql<Row = Record<string, unknown>>(text: string, params?: unknown[]): Promise<Row[]>;
  /** A connection to a region's Redis, past every proxy. */
  redis(region?: string): Redis;
  /** Values that depend on the seed alone, in the order of the calls. */
  draw<T>(arbitrary: fc.Arbitrary<T>, count: number): T[];
  /**
   * Does harm for a while: what was due before its end and is sent after it counts as hit, and
   * has to recover from then on.
   */
  outage<T>(harm: () => Promise<T>): Promise<T>;
  /** One line of progress while it runs, on a terminal. */
  say(text: string): void;
  /** Adds to the count of harms in the row, such as kills. */
  count(harms?: number): void;
  readonly harms: number;
  /** Fails the run with these words: for what only the fault can see, such as an exit code. */
  miss(words: string): void;
  readonly missed: string[];
  /** Ends with the world. */
  closeWith(end: () => Promise<void>): void;
  /** What must have ended before rest is waited for, such as a load that is still answered. */
  readonly pending: Promise<unknown>[];
  readonly outages: { from: number; to: number }[];
  close(): Promise<void>;
}

export interface WorldSettings extends WorldOptions {
  scale: Scale;
  mails: number;
  seed: number;
  say: (text: string) => void;
}

const jwtSecret = "a-secret-only-these-tests-know";

export async function createWorld(settings: WorldSettings): Promise<World> {
  const { scale, mails, seed, proxied = [], regions: names = ["local"], say } = settings;
  const folder = guardedFolder("faults");
  const acceptanceFile = join(folder, "acceptances.jsonl");
  const databaseClock = settings.hasSettableClock ? createSettableClock(openFolder()) : null;
  const clockEnv = databaseClock?.env ?? {};
  const own = settings.postgres === "own" ? await startPostgres({ env: clockEnv }) : null;
  const isEmbedded = settings.database === "embedded";
  const shared = async () => (isEmbedded ? "" : (await freshDatabase()).url);
  let direct = own ? await migratedDatabase(own) : await shared();
  const sink = await createSmtpSink({ logFile: acceptanceFile, ...settings.sink });
  const regions = new Map<string, Region>();
  for (const name of names) regions.set(name, await openRegion(proxied.includes("redis")));
  const postgresProxy = proxied.includes("postgres")
    ? await createTcpProxy(Number(new URL(direct).port))
    : null;
  const smtpProxy = proxied.includes("smtp") ? await createTcpProxy(sink.port) : null;
  const databaseUrl = postgresProxy ? withPort(direct, postgresProxy.port) : direct;
  const env = productEnv(
    isEmbedded ? null : databaseUrl,
    smtpProxy?.port ?? sink.port,
    settings.env,
  );
  const processes: ProductProcess[] = [];
  const clients: Redis[] = [];
  const embedded = createEmbeddedSql(folder);
  const sqlClient = isEmbedded ? embedded : createSql(() => direct);
  const ends: (() => Promise<void>)[] = [];
  const outages: { from: number; to: number }[] = [];
  const missed: string[] = [];
  let draws = 0;
  let harms = 0;
  let turn = 0;

  /** Processes that take emails, one after the other. */
  function anyApi(): string {
    const living = processes.filter((one) => one.role !== "worker" && !one.hasEnded);
    turn += 1;
    // A port nobody listens on: the load tries again.
    return living[turn % Math.max(1, living.length)]?.url ?? "http://127.0.0.1:1";
  }

  function regionOf(name = names[0] ?? ""): Region {
    const region = regions.get(name);
    if (!region) throw new Error(`this world has no region ${JSON.stringify(name)}`);
    return region;
  }

  const ada = await bearerOf("ada");
  const load = createLoad(anyApi, [ada]);
  const otherNames = Array.from(
    { length: settings.otherOwners?.[scale] ?? 1 },
    (_, n) => `eve-${n}`,
  );
  const otherBearers = await Promise.all(otherNames.map(bearerOf));
  const others = createLoad(anyApi, otherBearers);
  return {
    scale,
    mails,
    seed,
    env,
    databaseUrl,
    get directUrl() {
      return direct;
    },
    useDatabaseAt(port) {
      direct = withPort(direct, port);
      postgresProxy?.target(port);
    },
    closeWith: (end) => void ends.push(end),
    databaseClock,
    get postgres() {
      if (!own) throw new Error('this fault needs `parts: { postgres: "own" }`');
      return own;
    },
    sink,
    acceptanceFile,
    load,
    others,
    processes,
    hits: [],
    poison: new Map(),
    outages,
    regionNames: names,
    region: regionOf,
    proxy(part, name) {
      const proxies = { postgres: postgresProxy, smtp: smtpProxy, redis: regionOf(name).proxy };
      const proxy = proxies[part];
      if (!proxy) throw new Error(`this fault needs \`parts: { proxied: ["${part}"] }\``);
      return proxy;
    },
    isEmbedded,
    async countOpen() {
      if (isEmbedded) return await countOpenByHttp(anyApi(), [ada, ...otherBearers]);
      const [open] = await sqlClient.query<{ count: number }>(
        "select count(*)::int as count from mailer.emails where state in ('pending', 'sending')",
      );
      return open?.count ?? 0;
    },
    async endProcesses() {
      for (const process of processes) await process.stop();
    },
    openDatabase: async () =>
      isEmbedded
        ? await embedded.database()
        : createPostgresDatabase({ url: direct, deadlineMs: 60_000 }),
    async start({ role: asked = "all", region = names[0] ?? "", ...options } = {}) {
      const role = isEmbedded ? "all" : asked;
      const living = processes.find(({ hasEnded }) => !hasEnded);
      if (isEmbedded && living) return living;
      const { redis, proxy } = regionOf(region);
      const redisUrl = withPort(redis.url, proxy?.port);
      const queue: Record<string, string> =
        settings.queue === "postgres" || isEmbedded ? {} : { REDIS_URL: redisUrl };
      const places = { ROLE: role, REGION: region, ...queue };
      const product = await startProduct({
        dataDir: folder,
        // It is the product, and says besides what it holds; the oracle asks for that.
        bin: faultyBinary,
        ...options,
        env: { ...env, ...places, ...options.env },
      });
      const process = withRole(product, role, region);
      processes.push(process);
      return process;
    },
    sql: sqlClient.query,
    redis(name) {
      const client = new Redis(regionOf(name).redis.url);
      // A Redis that is down is what these tests are about.
      client.on("error", () => undefined);
      clients.push(client);
      return client;
    },
    draw<T>(arbitrary: fc.Arbitrary<T>, count: number): T[] {
      draws += 1;
      return fc.sample(arbitrary, { seed: seed + draws, numRuns: count });
    },
    async outage(harm) {
      const outage = { from: Date.now(), to: Number.POSITIVE_INFINITY };
      outages.push(outage);
      harms += 1;
      try {
        return await harm();
      } finally {
        outage.to = Date.now();
      }
    },
    say,
    count(more = 1) {
      harms += more;
    },
    get harms() {
      return harms;
    },
    miss: (words) => void missed.push(words),
    missed,
    pending: [],
    async close() {
      load.stop();
      others.stop();
      for (const client of clients) client.disconnect();
      await Promise.all(processes.map((process) => process.kill()));
      await sqlClient.close();
      await postgresProxy?.close();
      await smtpProxy?.close();
      await sink.close();
      for (const { redis, proxy } of regions.values()) {
        await proxy?.close();
        await redis.stop();
      }
      for (const end of ends) await end();
      await own?.stop();
    },
  };
}

/** One that also those can read who run the database. */
function openFolder(): string {
  const folder = guardedFolder("clock");
  chmodSync(folder, 0o755);
  return folder;
}

function bearerOf(sub: string): Promise<string> {
  const claims = { sub, ttlSeconds: 24 * 3600, audience: "authenticated", issuer: null };
  return issueToken({ ...claims, secret: jwtSecret });
}

async function openRegion(isProxied: boolean): Promise<Region> {
  const redis = await startRedis();
  return { redis, proxy: isProxied ? await createTcpProxy(redis.port) : null };
}

async function migratedDatabase(server: PostgresServer): Promise<string> {
  const url = await server.createDatabase("mailer");
  await migrateAt(url);
  return url;
}

function productEnv(
  databaseUrl: string | null,
  smtpPort: number,
  more: Record<string, string> = {},
) {
  return {
    NODE_ENV: "production",
    HOST: "127.0.0.1",
    ...(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl }),
    SMTP_HOST: "127.0.0.1",
    SMTP_PORT: String(smtpPort),
    SMTP_FROM: "mailer@example.test",
    ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
    JWT_SECRET: jwtSecret,
    // Scaled: a minute of the retry schedule, and the wait for the reply to the dot.
    RETRY_BASE_MS: "100",
    SMTP_REPLY_TIMEOUT_MS: "2000",
    ...more,
  };
}

function withPort(url: string, port: number | undefined): string {
  if (port === undefined) return url;
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}

function withRole(product: Product, role: string, region: string): ProductProcess {
  let hasEnded = false;
  void product.exited.then(() => {
    hasEnded = true;
  });
  const line = product
    .output()
    .split("\n")
    .find((text) => text.startsWith("{") && text.includes('"listening"'));
  const workerId = String(JSON.parse(line ?? "{}").worker ?? "");
  return Object.defineProperty({ ...product, role, region, workerId, hasEnded }, "hasEnded", {
    get: () => hasEnded,
  });
}
