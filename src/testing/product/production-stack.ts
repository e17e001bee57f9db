import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freshDatabase } from "../servers/fresh-database.ts";
import { sharedPostgres } from "../servers/postgres-server.ts";
import { type RedisServer, startRedis } from "../servers/redis-server.ts";
import { createSmtpSink, type SmtpSink, type SmtpSinkOptions } from "../servers/smtp-sink.ts";
import { guardedFolder, type Product, type ProductOptions, startProduct } from "./product.ts";

export interface StackOptions {
  /** How the product and its next hop talk. Default `clear`. */
  wire?: "clear" | "starttls" | "tls";
  /** False: an empty database, which `serve` has to migrate. Default true. */
  isMigrated?: boolean;
  sink?: SmtpSinkOptions;
  env?: Record<string, string>;
}

/** PostgreSQL, Redis and a next hop of one's own, and the settings that point the binary at them. */
export interface ProductionStack {
  readonly env: Record<string, string>;
  readonly databaseUrl: string;
  readonly redis: RedisServer;
  readonly sink: SmtpSink;
  /** Starts one more process of the product on these parts. */
  start(env?: Record<string, string>, options?: ProductOptions): Promise<Product>;
  /** Kills what was started and ends the parts. */
  close(): Promise<void>;
}

const account = { user: "mailer@example.test", pass: "s3cret-of-the-smtp-account" };
const settingsOfWire = {
  clear: {},
  starttls: { SMTP_TLS: "required", SMTP_SECURE: "false" },
  tls: { SMTP_SECURE: "true" },
} as const;
const tlsOfWire = { clear: "none", starttls: "starttls", tls: "implicit" } as const;

export async function startStack(options: StackOptions = {}): Promise<ProductionStack> {
  const wire = options.wire ?? "clear";
  const [databaseUrl, redis, sink] = await Promise.all([
    options.isMigrated === false ? emptyDatabase() : freshDatabase().then(({ url }) => url),
    startRedis(),
    createSmtpSink({ auth: account, tls: tlsOfWire[wire], ...options.sink }),
  ]);
  const env: Record<string, string> = {
    NODE_ENV: "production",
    HOST: "127.0.0.1",
    DATABASE_URL: databaseUrl,
    REDIS_URL: redis.url,
    SMTP_HOST: "127.0.0.1",
    SMTP_PORT: String(sink.port),
    SMTP_FROM: "mailer@example.test",
    ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
    JWT_SECRET: "a-secret-only-these-tests-know",
    RETRY_BASE_MS: "20",
    RECONCILE_INTERVAL_MS: "500",
    ...(sink.ca === null ? {} : { SMTP_USER: account.user, SMTP_PASS: account.pass }),
    ...(sink.ca === null ? {} : { SMTP_TLS_CA: caFile(sink.ca) }),
    ...settingsOfWire[wire],
    ...options.env,
  };
  const products: Product[] = [];
  return {
    env,
    databaseUrl,
    redis,
    sink,
    async start(more = {}, productOptions = {}) {
      const product = await startProduct({ ...productOptions, env: { ...env, ...more } });
      products.push(product);
      return product;
    },
    async close() {
      await Promise.all(products.map((product) => product.kill()));
      await sink.close();
      await redis.stop();
    },
  };
}

async function emptyDatabase(): Promise<string> {
  const server = await sharedPostgres();
  return server.createDatabase(`empty_${crypto.randomUUID().slice(0, 8)}`);
}

function caFile(pem: string): string {
  const file = join(guardedFolder("ca"), "ca.pem");
  writeFileSync(file, pem);
  return file;
}
