import type { Parser } from "./config-parsers.ts";
import {
  allowedOwner,
  bearerToken,
  encryptionKey,
  flag,
  hostPort,
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
import { regionNamePattern, regionNameWords } from "./email/region-name.ts";

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
    meaning: "Minimum log level",
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
  DATABASE_READ_URL: hidden(url("postgresql", "postgres"), {
    meaning:
      "Streaming replica of the database, or several behind one address: answers lists, status, " +
      "the audit trail and statistics; the primary answers where it is behind, down or promoted",
    example: "postgresql://mailer:secret@replica.example.com:5432/mailer?sslmode=verify-full",
  }),
  READ_LAG_MAX_MS: plain(integer(100, 600_000), {
    default: "`2000`",
    meaning:
      "How old an answer of `DATABASE_READ_URL` may be. A caller's own writes are always in it",
    example: "2000",
  }),
  AUTO_MIGRATE: plain(flag(), {
    default: "`true`",
    meaning: "`serve` brings the schema of `DATABASE_URL` up to date before it starts",
    example: "true",
  }),
  POSTGRES_HOST: plain(text("a host name or an IP address", /^[\w.:-]+$/), {
    meaning: "`DATABASE_URL` in parts, as the `postgres` image names them; `DATABASE_URL` wins",
    example: "postgres",
  }),
  POSTGRES_PORT: plain(integer(1, 65_535), {
    default: "`5432`",
    meaning: "Port of `POSTGRES_HOST`",
    example: "5432",
  }),
  POSTGRES_DB: plain(text("a name without line breaks", /^[^\r\n\0]+$/), {
    default: "`POSTGRES_USER`",
    meaning: "Database on `POSTGRES_HOST`",
    example: "mailer",
  }),
  POSTGRES_USER: plain(text("a name without line breaks", /^[^\r\n\0]+$/), {
    default: "`postgres`",
    meaning: "User on `POSTGRES_HOST`",
    example: "mailer",
  }),
  POSTGRES_PASSWORD: hidden(text("a text without line breaks", /^[^\r\n\0]+$/), {
    meaning:
      "Password on `POSTGRES_HOST`, with any characters. The compose file starts its PostgreSQL " +
      "with it",
    example: secretExample,
  }),
  POSTGRES_RUN_TIME_USER: plain(
    text("a name of small letters, digits and _", /^[a-z_][a-z0-9_]{0,62}$/),
    {
      default: "none: `POSTGRES_USER` does both",
      meaning:
        "`migrate`, which logs in as `POSTGRES_USER`, makes this user of the database, who may call " +
        "the program's functions and nothing else; everything but `migrate` logs in as it, by a " +
        "password derived from `ENCRYPTION_KEY`, and needs no `POSTGRES_PASSWORD`",
      example: "mailer_run_time",
    },
  ),
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
    meaning: "Password of Redis, with any characters; a password in `REDIS_URL` counts there",
    example: secretExample,
  }),
  REDIS_SENTINELS: plain(listOf(hostPort(26_379)), {
    meaning:
      "Redis Sentinels that name the primary, separated by commas; with `REDIS_PASSWORD` and " +
      "`REDIS_TLS`, in place of `REDIS_URL`",
    example: "sentinel-1.example.com:26379,sentinel-2.example.com:26379",
  }),
  REDIS_SENTINEL_NAME: plain(text("a name without blanks", /^\S{1,100}$/), {
    default: "`mymaster`",
    meaning: "Name under which the Sentinels know the primary",
    example: "mymaster",
  }),
  REDIS_SENTINEL_PASSWORD: hidden(text("a text without line breaks", /^[^\r\n\0]+$/), {
    default: "none",
    meaning: "Password of the Sentinels themselves",
    example: secretExample,
  }),
  REDIS_CLUSTER: plain(listOf(hostPort(6379)), {
    meaning:
      "Some nodes of a Redis Cluster, separated by commas; with `REDIS_PASSWORD` and `REDIS_TLS`, " +
      "in place of `REDIS_URL`",
    example: "redis-1.example.com:6379,redis-2.example.com:6379",
  }),
  REDIS_TLS: plain(flag(), {
    default: "`false`",
    meaning: "TLS to `REDIS_HOST`, to Sentinels and what they name, or to every node of a Cluster",
    example: "true",
  }),
  REDIS_TLS_CA: plain(text("a path"), {
    default: "the system's authorities",
    meaning: "PEM file of an authority that is trusted besides, for Redis and Sentinels",
    example: "/etc/ssl/redis-ca.pem",
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
    meaning: "Length of the minute in the retry waits of 2, 4, 8 … minutes",
    example: "60000",
  }),
  DRAIN_TIMEOUT_MS: plain(integer(100, 3_600_000), {
    default: "`25000`",
    meaning: "Maximum shutdown time; SMTP conversations still open then end as `uncertain`",
    example: "25000",
  }),
};

const security = {
  ENCRYPTION_KEY: hidden(encryptionKey(), {
    default: "generated into `DATA_DIR` with the embedded database",
    meaning:
      "Encrypts stored content: 64 hex digits, base64 of 32 bytes, or a passphrase of ≥ 16 " +
      "characters. Required with a shared database. If you lose this key, stored content cannot be recovered",
    example: secretExample,
  }),
  ENCRYPTION_KEYS_OLD: hidden(listOf(encryptionKey()), {
    meaning: "Earlier keys that still decrypt, separated by commas",
    example: "the former ENCRYPTION_KEY",
  }),
  JWT_SECRET: hidden(secret(16), {
    default: "generated into `DATA_DIR` with the embedded database",
    meaning:
      "Verifies and signs tokens (HS256), ≥ 16 characters. Required with a shared database, unless " +
      "a key set verifies tokens (`SUPABASE_ANON_KEY` or `JWKS_URL`): then no token signed with a " +
      "secret is taken",
    example: secretExample,
  }),
  JWT_SECRETS_OLD: hidden(listOf(secret(16)), {
    meaning:
      "Former secrets, separated by commas: tokens and sessions that rest on one of them still count, " +
      "and nothing is signed with it. See `/docs/security`",
    example: "the former JWT_SECRET",
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
  ADMIN_AAL: plain(oneOf("aal2", "any"), {
    default: "`aal2`",
    meaning:
      "What an admin's token must say where it has an `aal`, as those of Supabase Auth do: `aal2` " +
      "is a second factor. With less the token is a user's; `any`: one factor will do",
    example: "any",
  }),
  OWNERS_ALLOWED: plain(listOf(allowedOwner()), {
    default: "every user",
    meaning:
      "Which users of a sign-up are served, separated by commas: a domain of their address " +
      "(`example.com`), a role in `app_metadata` (`role:staff`), or any claim but `user_metadata` " +
      "(`app_metadata.team=mail`). One has to fit; others get 403. Admins, and tokens made by " +
      "`taskforce-mailer token`, are not asked",
    example: "example.com,role:staff",
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

const webhooks = {
  WEBHOOK_ALLOW_PRIVATE: plain(flag(), {
    default: "`false`",
    meaning:
      "Webhooks may go to loopback and private addresses, also by `http://`. A cloud's metadata " +
      "service stays refused",
    example: "true",
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
    meaning: "Maximum of pending and held e-mails of one owner. Unset: no limit",
    example: "100000",
  }),
};

const later = {
  SMTP_IN_PORT: unused(
    plain(integer(1, 65_535), { meaning: "Port of the submission listener", example: "2525" }),
  ),
};

const retention = {
  RETENTION_DAYS: plain(integer(1, 36_500), {
    meaning:
      "Days after an e-mail has ended until its content is destroyed: message, subject, addresses and " +
      "replies. Its record stays. Unset: kept",
    example: "90",
  }),
  RETENTION_METADATA_DAYS: plain(integer(1, 36_500), {
    meaning:
      "Days after an e-mail has ended until its record is deleted, too: state, times, tags, metadata, " +
      "attempts. The journal stays. Unset: kept",
    example: "730",
  }),
  RETENTION_JOURNAL_DAYS: plain(integer(1, 36_500), {
    meaning:
      "Days after which entries of the journal are dropped, up to a signed checkpoint that vouches for " +
      "them; at least `RETENTION_METADATA_DAYS`, which has to be set. Unset: kept",
    example: "1095",
  }),
};

/** Every variable the program knows, in the order of public/docs/configuration.md. */
export const variables = {
  ...general,
  ...http,
  ...database,
  ...queue,
  ...smtpVariables,
  ...security,
  ...limits,
  ...webhooks,
  ...retention,
  ...later,
};

export type VariableName = keyof typeof variables;

/** The parsed value, or null when the variable is unset, empty or at fault. */
export type VariableValues = {
  [Name in VariableName]: (typeof variables)[Name] extends Variable<infer T> ? T | null : never;
};

/** The same as a list, for the table of that page. */
export const configVariables: readonly ({ readonly name: VariableName } & Variable<unknown>)[] =
  Object.entries(variables).map(([name, variable]) => ({
    name: name as VariableName,
    ...(variable as Variable<unknown>),
  }));

function regionName(): Parser<string> {
  return text(`a name of ${regionNameWords}`, regionNamePattern);
}
