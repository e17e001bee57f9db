import type { Parser } from "./config-parsers.ts";
import {
  bearerToken,
  encryptionKey,
  flag,
  integer,
  listOf,
  oneOf,
  proxyTrust,
  secret,
  serviceRoleKey,
  signingSeed,
  supabaseUrl,
  text,
  url,
} from "./config-parsers.ts";
import { smtpVariables } from "./config-smtp-variables.ts";
import { hidden, plain, secretExample, unused, type Variable } from "./config-variable.ts";

const general = {
  NODE_ENV: plain(text("production, or anything else"), {
    meaning: "`production` makes `HOST` `0.0.0.0` and insists on `SMTP_HOST` or `TRANSPORT`",
    example: "production",
  }),
  ROLE: plain(oneOf("all", "api", "worker"), {
    default: "`all`",
    meaning:
      "What this process does: answer HTTP, send, or both. The embedded database needs `all`",
    example: "all",
  }),
  REGION: plain(regionName(), {
    default: "`FLY_REGION`, else `local`",
    meaning: "Name of this deployment beside its own Redis",
    example: "fra",
  }),
  FLY_REGION: plain(regionName(), {
    meaning: "Set by Fly.io; used when `REGION` is not set",
    example: "fra",
  }),
  DATA_DIR: plain(text("a folder"), {
    default: "`./data`",
    meaning: "Folder of the embedded database, of generated secrets and of captured mails",
    example: "/var/lib/taskforce-mailer",
  }),
  LOG_LEVEL: plain(oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent"), {
    default: "`info`",
    meaning: "Least severity that is logged",
    example: "info",
  }),
};

const http = {
  PORT: plain(integer(0, 65_535), {
    default: "`3000`",
    meaning: "Port of the API and the console; `0` picks a free one and prints it",
    example: "3000",
  }),
  HOST: plain(text("a host name or an IP address", /^[\w.:-]+$/), {
    default: "`127.0.0.1`; `0.0.0.0` in production",
    meaning: "Address to listen on",
    example: "127.0.0.1",
  }),
  PUBLIC_URL: plain(url("http", "https"), {
    meaning: "Address under which browsers reach this server, for links",
    example: "https://mailer.example.com",
  }),
  TRUST_PROXY: plain(proxyTrust(), {
    default: "`false`",
    meaning:
      "Believe `X-Forwarded-For` and `X-Forwarded-Proto` (set it only behind a proxy). `true`: " +
      "one proxy, so the right-most entry counts; a number: so many in a row; addresses and " +
      "networks, separated by commas: from the right, the first that is not among them; `fly`: " +
      "`Fly-Client-IP`",
    example: "true",
  }),
};

const database = {
  DATABASE_URL: hidden(url("postgresql", "postgres"), {
    meaning:
      "PostgreSQL ≥ 15; `?sslmode=verify-full` encrypts (`sslrootcert=/path/to/ca.pem` names the " +
      "provider's CA, `sslmode=no-verify` checks nothing). Neither this nor `SUPABASE_URL`: an " +
      "embedded database in `DATA_DIR`. " +
      "With `SUPABASE_URL`: the project's connection string, for `migrate`, and for the queue " +
      "when there is no Redis",
    example: "postgresql://mailer:secret@db.example.com:5432/mailer",
  }),
  DATABASE_READ_URL: unused(
    hidden(url("postgresql", "postgres"), {
      meaning: "Read replica for lists",
      example: "postgresql://mailer:secret@replica.example.com:5432/mailer",
    }),
  ),
  AUTO_MIGRATE: plain(flag(), {
    default: "`true`",
    meaning: "`serve` brings the schema of `DATABASE_URL` up to date before it starts",
    example: "true",
  }),
  POSTGRES_PASSWORD: hidden(text("a text without line breaks", /^[^\r\n\0]+$/), {
    meaning: "Read by `docker compose` only, for the PostgreSQL it starts",
    example: "a-long-random-text",
  }),
  SUPABASE_URL: plain(supabaseUrl(), {
    meaning:
      "Supabase project whose database is used, through its API. Needs " +
      "`SUPABASE_SERVICE_ROLE_KEY`, and Redis or `DATABASE_URL` for the queue",
    example: "https://abcdefgh.supabase.co",
  }),
  SUPABASE_SERVICE_ROLE_KEY: hidden(serviceRoleKey(), {
    meaning: "The project's service_role key, or an `sb_secret_…` key",
    example: "sb_secret_abcdefgh",
  }),
  SUPABASE_ANON_KEY: hidden(text("the key", /^[^\r\n\0]+$/), {
    meaning:
      "Lets the users of the project's Supabase Auth in: its key set verifies their tokens, as " +
      "with `JWKS_URL`, and they sign in to the console with their password",
    example: "sb_publishable_abcdefgh",
  }),
};

const queue = {
  REDIS_URL: hidden(url("redis", "rediss"), {
    meaning:
      "Redis ≥ 7 or Valkey for the queue (`rediss://` for TLS). Neither this nor `REDIS_HOST`: " +
      "the queue lives in the database",
    example: "redis://:secret@redis.example.com:6379",
  }),
  REDIS_HOST: plain(text("a host name or an IP address", /^[\w.:-]+$/), {
    meaning: "The same in parts; `REDIS_URL` wins",
    example: "redis.example.com",
  }),
  REDIS_PORT: plain(integer(1, 65_535), {
    default: "`6379`",
    meaning: "Port of `REDIS_HOST`",
    example: "6379",
  }),
  REDIS_PASSWORD: hidden(text("a text without line breaks", /^[^\r\n\0]+$/), {
    meaning: "Password of `REDIS_HOST`",
    example: "a-long-random-text",
  }),
  WORKER_CONCURRENCY: plain(integer(1, 1000), {
    default: "`100`",
    meaning:
      "Attempts one process has begun at the same time: e-mails that are decrypted, sent or settled",
    example: "100",
  }),
  RECONCILE_INTERVAL_MS: plain(integer(200, 3_600_000), {
    default: "`5000`",
    meaning: "How often it is looked for what dead workers had claimed",
    example: "5000",
  }),
  RETRY_BASE_MS: plain(integer(10, 3_600_000), {
    default: "`60000`",
    meaning: "The minute of the retry waits of 2, 4, 8 … minutes",
    example: "60000",
  }),
  DRAIN_TIMEOUT_MS: plain(integer(100, 3_600_000), {
    default: "`25000`",
    meaning: "Longest stop: after it, what is still in the SMTP conversation becomes `uncertain`",
    example: "25000",
  }),
};

const security = {
  ENCRYPTION_KEY: hidden(encryptionKey(), {
    default: "generated into `DATA_DIR` with the embedded database",
    meaning:
      "Encrypts stored content: 64 hex digits, base64 of 32 bytes, or a passphrase of ≥ 16 " +
      "characters. Required with a shared database. Lost key, lost content",
    example: secretExample,
  }),
  ENCRYPTION_KEYS_OLD: hidden(listOf(encryptionKey()), {
    meaning: "Earlier keys that still decrypt, separated by commas",
    example: "the former ENCRYPTION_KEY",
  }),
  JWT_SECRET: hidden(secret(16), {
    default: "generated into `DATA_DIR` with the embedded database",
    meaning: "Verifies and signs tokens (HS256), ≥ 16 characters. Required with a shared database",
    example: secretExample,
  }),
  JWT_ISSUER: plain(text("any text"), {
    meaning: "When set, `iss` of a token must equal it",
    example: "https://abcdefgh.supabase.co/auth/v1",
  }),
  JWT_AUDIENCE: plain(text("any text"), {
    default: "`authenticated`",
    meaning: "`aud` of a token must contain it",
    example: "authenticated",
  }),
  AUDIT_SIGNING_KEY: hidden(signingSeed(), {
    default: "derived from `ENCRYPTION_KEY`",
    meaning:
      "Ed25519 key that signs checkpoints of the journal: 64 hex digits or base64 of 32 bytes",
    example: secretExample,
  }),
  METRICS_TOKEN: hidden(bearerToken(16), {
    default: "none: only an admin's token reads them",
    meaning: "Bearer token that reads `/metrics` and nothing else, ≥ 16 characters",
    example: secretExample,
  }),
  JWKS_URL: plain(url("https", "http"), {
    default: "that of `SUPABASE_URL` when `SUPABASE_ANON_KEY` is set",
    meaning:
      "Key set that verifies tokens of another issuer (ES256, RS256), beside `JWT_SECRET`. " +
      "`http://` only to private addresses",
    example: "https://abcdefgh.supabase.co/auth/v1/.well-known/jwks.json",
  }),
};

const limits = {
  RATE_LIMIT_PER_MINUTE: plain(integer(0, 1_000_000), {
    default: "`600`",
    meaning:
      "Requests a minute of each credential, for writing and reading apart; a batch is one. " +
      "Shared by the processes of a region through Redis; without Redis each counts for itself. " +
      "`0`: no limit",
    example: "600",
  }),
  QUOTA_EMAILS_PER_DAY: plain(integer(1, 1_000_000_000), {
    meaning: "Most e-mails of one owner that are accepted in a day (UTC). Unset: no limit",
    example: "10000",
  }),
  QUOTA_PENDING: plain(integer(1, 1_000_000_000), {
    meaning: "Most e-mails of one owner that wait to be sent. Unset: no limit",
    example: "100000",
  }),
};

const later = {
  WEBHOOK_ALLOW_PRIVATE: unused(
    plain(flag(), { meaning: "Webhooks may go to private addresses", example: "false" }),
  ),
  SMTP_IN_PORT: unused(
    plain(integer(1, 65_535), { meaning: "Port of the submission listener", example: "2525" }),
  ),
  RETENTION_DAYS: unused(
    plain(integer(1, 36_500), { meaning: "Days finished e-mails are kept", example: "365" }),
  ),
};

/** Every variable the program knows, in the order of the README. */
export const variables = {
  ...general,
  ...http,
  ...database,
  ...queue,
  ...smtpVariables,
  ...security,
  ...limits,
  ...later,
};

export type VariableName = keyof typeof variables;

/** What was read: the parsed value, or null when the variable is unset, empty or at fault. */
export type VariableValues = {
  [Name in VariableName]: (typeof variables)[Name] extends Variable<infer T> ? T | null : never;
};

/** The same as a list, for the README's table. */
export const configVariables: readonly ({ readonly name: VariableName } & Variable<unknown>)[] =
  Object.entries(variables).map(([name, variable]) => ({
    name: name as VariableName,
    ...(variable as Variable<unknown>),
  }));

/** It stands in journal entries, logs and worker names. */
function regionName(): Parser<string> {
  return text("a short name of letters, digits, dots and dashes", /^[A-Za-z0-9][\w.-]{0,62}$/);
}
