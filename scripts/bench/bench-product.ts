import pg from "pg";
import { guardedFolder, type Product, startProduct } from "../../src/testing/product/product.ts";
import { freshDatabase } from "../../src/testing/servers/fresh-database.ts";
import { type RedisServer, startRedis } from "../../src/testing/servers/redis-server.ts";
import { apiMail } from "./messages.ts";

/** The compiled binary with all safety on, on a PostgreSQL and a Redis of its own. */
export interface BenchProduct {
  readonly product: Product;
  readonly redis: RedisServer;
  readonly sql: pg.Pool;
  readonly env: Record<string, string>;
  readonly token: string;
  /** Accepts mails of this prefix in batches; a fixed moment, or now. */
  accept(prefix: string, count: number, scheduledAt?: string): Promise<void>;
  /** Emails by state. */
  states(): Promise<Record<string, number>>;
  /** Resolves once nothing is pending or being sent. */
  untilAtRest(timeoutMs: number): Promise<void>;
  /** Starts another process on the same parts, after the first is gone. */
  restart(): Promise<Product>;
  close(): Promise<void>;
}

const batchSize = 100;

export async function startBenchProduct(
  smtpPort: number,
  options: { env?: Record<string, string>; redis?: "aof" | "package" } = {},
): Promise<BenchProduct> {
  const [{ url }, redis] = await Promise.all([
    freshDatabase(),
    startRedis({ persistence: options.redis ?? "aof" }),
  ]);
  const env: Record<string, string> = {
    NODE_ENV: "production",
    HOST: "127.0.0.1",
    DATABASE_URL: url,
    REDIS_URL: redis.url,
    SMTP_HOST: "127.0.0.1",
    SMTP_PORT: String(smtpPort),
    SMTP_FROM: "mailer@example.test",
    ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
    JWT_SECRET: "a-secret-only-this-bench-knows",
    ...options.env,
  };
  const dataDir = guardedFolder("bench");
  const start = () => startProduct({ env, dataDir });
  let product = await start();
  const sql = new pg.Pool({ connectionString: url, max: 2 });
  const token = await product.token("bench");

  const bench: BenchProduct = {
    get product() {
      return product;
    },
    redis,
    sql,
    env,
    token,
    async accept(prefix, count, scheduledAt) {
      for (let from = 0; from < count; from += batchSize) {
        const size = Math.min(batchSize, count - from);
        const emails = Array.from({ length: size }, (_, index) =>
          apiMail(prefix, from + index, scheduledAt),
        );
        const body = { emails, mode: "strict" };
        const answer = await product.api("POST", "/api/v1/schedule-mail/batch", body, token);
        if (answer.status !== 201) throw new Error(`batch: ${answer.status} ${answer.text}`);
      }
    },
    async states() {
      const { rows } = await sql.query<{ state: string; count: number }>(
        "select state, count(*)::integer as count from mailer.emails group by state",
      );
      return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
    },
    async untilAtRest(timeoutMs) {
      const endsAt = performance.now() + timeoutMs;
      for (;;) {
        const { rows } = await sql.query<{ open: boolean }>(
          "select exists (select from mailer.emails where state in ('pending', 'sending')) as open",
        );
        if (rows[0]?.open === false) return;
        if (performance.now() > endsAt) {
          throw new Error(`not at rest: ${JSON.stringify(await bench.states())}`);
        }
        await Bun.sleep(50);
      }
    },
    async restart() {
      await product.kill();
      product = await start();
      return product;
    },
    async close() {
      await product.kill();
      await sql.end();
      await redis.stop();
    },
  };
  return bench;
}

/** How the binary was set, for the record; what is not named is at its default. */
export function productSettings(): Record<string, string | number> {
  return {
    "SMTP pool": "20 (default)",
    "worker concurrency": "100 (default)",
    log: "info (default)",
  };
}
