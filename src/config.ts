import { resolve } from "node:path";
import { type Dotenv, readDotenvFile } from "./config-dotenv.ts";
import { ConfigError } from "./config-error.ts";
import { exposedBy, httpsUnknown, isHttpsUnknown } from "./config-exposure.ts";
import { Faults } from "./config-faults.ts";
import { jwksUrlOf, jwtOf, supabaseAuthOf } from "./config-jwt.ts";
import { bareAddress, type ProxyTrust } from "./config-parsers.ts";
import {
  checkRunTimeUser,
  postgresDoubts,
  postgresOf,
  postgresUrlOf,
  type RunTimeUser,
  readReplicaOf,
} from "./config-postgres.ts";
import { type RedisPlace, redisDoubts, redisPlaceOf } from "./config-redis.ts";
import { type Retention, retentionOf } from "./config-retention.ts";
import { checkWeakness } from "./config-secrets.ts";
import { smtpOf } from "./config-smtp.ts";
import type { VariableValues } from "./config-variables.ts";
import { configVariables, variables } from "./config-variables.ts";

/** The program's settings, read once from the environment and frozen. */
export interface Config {
  readonly role: "all" | "api" | "worker";
  readonly region: string;
  readonly isProduction: boolean;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  readonly http: {
    readonly host: string;
    /** 0: any free port, which is printed. */
    readonly port: number;
    readonly publicUrl: string | null;
    readonly trustProxy: ProxyTrust;
    /** Of each credential, for writing and reading apart; 0: no limit. */
    readonly ratePerMinute: number;
  };
  /** Of every owner; null: none. */
  readonly quota: { readonly perDay: number | null; readonly pending: number | null };
  /** Absolute path; captured mails, the embedded database and generated secrets live here. */
  readonly dataDir: string;
  readonly database:
    | { readonly driver: "pglite" }
    | {
        readonly driver: "postgres";
        readonly url: string;
        /** Of whoever migrates; null: nobody does from here. */
        readonly migrateUrl: string | null;
        /** Whom `migrate` makes; null: one user does both. */
        readonly runTimeUser: RunTimeUser | null;
      }
    | {
        readonly driver: "supabase";
        /** Of the project's API. */
        readonly url: string;
        readonly serviceRoleKey: string;
        /** The same database's connection string, for `migrate`; null: somebody else migrates. */
        readonly migrateUrl: string | null;
      };
  /** A streaming replica for what only reads; null: there is none. */
  readonly readReplica: { readonly url: string; readonly lagMaxMs: number } | null;
  readonly autoMigrate: boolean;
  readonly queue:
    | { readonly driver: "redis"; readonly place: RedisPlace }
    /** In a PostgreSQL; null: in the embedded database. */
    | { readonly driver: "postgres"; readonly url: string | null };
  readonly reconcileIntervalMs: number;
  readonly drainTimeoutMs: number;
  readonly workerConcurrency: number;
  readonly retryBaseMs: number;
  readonly retention: Retention;
  readonly webhooks: {
    /** Loopback, private and unique local addresses are open, and plain http to them. */
    readonly allowPrivate: boolean;
  };
  readonly transport: { readonly kind: "capture" } | SmtpSettings;
  readonly sender: {
    /** Default From; null: a request must name one. */
    readonly from: string | null;
    readonly fromName: string | null;
    /** Addresses or domains a request's From may use; null: any. */
    readonly allowed: readonly string[] | null;
    /** Names of provider headers that a request may set; a `*` ends what begins so. */
    readonly headersAllowed: readonly string[];
  };
  readonly messageBytesMax: number;
  /** Raw text of ENCRYPTION_KEY; null with PGlite until `secrets` generates one. */
  readonly encryptionKey: string | null;
  readonly encryptionKeysOld: readonly string[];
  readonly jwt: {
    readonly secret: string | null;
    /** Former ones, which still verify tokens and sign none. */
    readonly secretsOld: readonly string[];
    /** Key set of another issuer's public keys (ES256, RS256); null: only the secret counts. */
    readonly jwksUrl: string | null;
    readonly issuer: string | null;
    readonly audience: string;
    /** What an admin's token must say where it has an `aal`. */
    readonly adminAal: "aal2" | "any";
    /** Which users of a sign-up are served; null: all. */
    readonly ownersAllowed: readonly AllowedOwner[] | null;
  };
  /** Signs checkpoints of the journal; null: a key derived from `encryptionKey` does. */
  readonly auditSigningKey: string | null;
  /** The project whose users sign in to the console with a password; null: nobody does. */
  readonly supabaseAuth: { readonly url: string; readonly anonKey: string } | null;
  /** Reads `/metrics` and nothing else; null: only an admin's token does. */
  readonly metricsToken: string | null;
  /** What a person should know though it is no fault, in sentences; `serve` logs them. */
  readonly warnings: readonly string[];
}

/** One of these has to fit a user's token. */
export type AllowedOwner =
  | { readonly kind: "domain"; readonly domain: string }
  | { readonly kind: "role"; readonly role: string }
  | { readonly kind: "claim"; readonly path: readonly string[]; readonly value: string };

export interface SmtpSettings {
  readonly kind: "smtp";
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly isSecure: boolean;
  readonly tls: "required" | "opportunistic" | "off";
  /** PEM text added to the roots; null: the system's. */
  readonly tlsCa: string | null;
  readonly user: string | null;
  readonly pass: string | null;
  readonly replyTimeoutMs: number;
  readonly poolSize: number;
  /** After so many messages a connection is replaced. */
  readonly messagesPerConnection: number;
  /** What we call ourselves at EHLO; null: the address of this end of the connection. */
  readonly ehloName: string | null;
  /** The one mechanism to log in by; null: whichever the server offers. */
  readonly auth: "plain" | "login" | null;
  /** Maximum messages per second, for all processes on one database together; null: no limit. */
  readonly ratePerSecond: number | null;
}

/** Under this key an environment carries what is doubtful in the `.env` it was filled from. */
const dotenvDoubts = Symbol("doubts of .env");

export type Environment = Readonly<Record<string, string | undefined>> & {
  readonly [dotenvDoubts]?: Dotenv["doubts"];
};

/** The process's environment, for whoever hands it on; nobody else reads it. */
export function processEnvironment(): Environment {
  return process.env;
}

/**
 * The process's environment filled up from a file of variables, by default `.env` in the working
 * folder; what is set already wins. Bun's own reading of it is switched off (`bunfig.toml`,
 * `scripts/build`): it expands `$`, also in single quotes.
 */
export function fillEnvironment(path = ".env"): Environment {
  const dotenv = readDotenvFile(path);
  for (const [name, value] of Object.entries(dotenv?.values ?? {})) process.env[name] ??= value;
  return { ...process.env, [dotenvDoubts]: dotenv?.doubts ?? [] };
}

/** Reads the environment. Throws one `ConfigError` that names every fault. */
export function loadConfig(env: Environment = processEnvironment()): Config {
  const faults = new Faults(env);
  const values = withDefaults(readVariables(env, faults));
  const config = assemble(values, faults, warningsOf(env, values));
  if (faults.list.length > 0) throw new ConfigError(faults.list);
  return deepFreeze(config);
}

/** What others are made of, where they are not set themselves. */
function withDefaults(given: VariableValues): VariableValues {
  return {
    ...given,
    DATABASE_URL: given.DATABASE_URL ?? postgresUrlOf(given),
    SMTP_HOST: given.SMTP_HOST ?? given.SMTP_HOST_DEFAULT,
  };
}

function assemble(values: VariableValues, faults: Faults, warnings: string[]): Config {
  const isProduction = values.NODE_ENV === "production";
  const database = databaseOf(values, faults);
  const transport = transportOf(values, faults);
  checkRole(values, faults);
  checkRunTimeUser(values, faults);
  checkSecrets(values, faults);
  return {
    role: values.ROLE ?? "all",
    region: values.REGION ?? values.FLY_REGION ?? "local",
    isProduction,
    logLevel: values.LOG_LEVEL ?? "info",
    http: {
      host: values.HOST ?? (isProduction ? "0.0.0.0" : "127.0.0.1"),
      port: values.PORT ?? 3000,
      publicUrl: values.PUBLIC_URL?.replace(/\/+$/, "") ?? null,
      trustProxy: values.TRUST_PROXY ?? { kind: "none" },
      ratePerMinute: values.RATE_LIMIT_PER_MINUTE ?? 600,
    },
    quota: { perDay: values.QUOTA_EMAILS_PER_DAY, pending: values.QUOTA_PENDING },
    dataDir: resolve(values.DATA_DIR ?? "data"),
    database,
    readReplica: database.driver === "pglite" ? null : readReplicaOf(values),
    autoMigrate: values.AUTO_MIGRATE ?? true,
    queue: queueOf(values, faults),
    reconcileIntervalMs: values.RECONCILE_INTERVAL_MS ?? 5_000,
    drainTimeoutMs: values.DRAIN_TIMEOUT_MS ?? 25_000,
    workerConcurrency: values.WORKER_CONCURRENCY ?? 100,
    retryBaseMs: values.RETRY_BASE_MS ?? 60_000,
    retention: retentionOf(values, faults),
    webhooks: { allowPrivate: values.WEBHOOK_ALLOW_PRIVATE ?? false },
    transport,
    sender: senderOf(values, transport.kind === "capture"),
    messageBytesMax: (values.MAX_MESSAGE_MB ?? 35) * 1024 * 1024,
    encryptionKey: values.ENCRYPTION_KEY,
    encryptionKeysOld: values.ENCRYPTION_KEYS_OLD ?? [],
    jwt: jwtOf(values),
    auditSigningKey: values.AUDIT_SIGNING_KEY,
    supabaseAuth: supabaseAuthOf(values),
    metricsToken: values.METRICS_TOKEN,
    warnings,
  };
}

/** The variable that names a database others may share; null: the embedded one. */
function sharedBy(values: VariableValues, faults: Faults) {
  // One at fault is reported as such, and what follows from it holds all the same.
  const isNamed = (name: "SUPABASE_URL" | "DATABASE_URL") =>
    values[name] !== null || faults.has(name);
  if (isNamed("SUPABASE_URL")) return "SUPABASE_URL";
  if (!isNamed("DATABASE_URL")) return null;
  return values.DATABASE_URL === postgresUrlOf(values) ? "POSTGRES_HOST" : "DATABASE_URL";
}

function databaseOf(values: VariableValues, faults: Faults): Config["database"] {
  const { SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY, DATABASE_URL } = values;
  if (sharedBy(values, faults) === "SUPABASE_URL") {
    checkSupabase(values, faults);
    const [url, serviceRoleKey] = [SUPABASE_URL ?? "", SUPABASE_SERVICE_ROLE_KEY ?? ""];
    return { driver: "supabase", url, serviceRoleKey, migrateUrl: DATABASE_URL };
  }
  if (DATABASE_URL === null) return { driver: "pglite" };
  return postgresOf(DATABASE_URL, values);
}

function checkSupabase(values: VariableValues, faults: Faults): void {
  if (values.SUPABASE_SERVICE_ROLE_KEY === null) {
    faults.add(
      "SUPABASE_SERVICE_ROLE_KEY",
      "the project's secret key, because SUPABASE_URL is set. It stands in the Supabase dashboard " +
        "under Project Settings, API Keys (sb_secret_… or service_role)",
    );
  }
  const redis = ["REDIS_URL", "REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER"] as const;
  const places = [...redis, "DATABASE_URL"] as const;
  if (places.some((name) => values[name] !== null || faults.has(name))) return;
  faults.add(
    "REDIS_URL",
    "a Redis for the queue, or DATABASE_URL to keep it in the project's database, because " +
      "supabase-js alone cannot hold it",
  );
}

function queueOf(values: VariableValues, faults: Faults): Config["queue"] {
  const place = redisPlaceOf(values, faults);
  if (place !== null) return { driver: "redis", place };
  return { driver: "postgres", url: values.DATABASE_URL };
}

/** Swallowed mail must never be recorded as sent by mistake: capturing for real has to be said. */
function transportOf(values: VariableValues, faults: Faults): Config["transport"] {
  if (values.TRANSPORT === "capture") return { kind: "capture" };
  if (values.SMTP_HOST !== null) return smtpOf(values, values.SMTP_HOST, faults);
  const shared = sharedBy(values, faults);
  const reason = {
    "TRANSPORT=smtp": values.TRANSPORT === "smtp",
    "NODE_ENV=production": values.NODE_ENV === "production",
    [`${shared} is set`]: shared !== null,
  };
  const because = Object.entries(reason).find(([, holds]) => holds)?.[0];
  if (because !== undefined && !faults.has("SMTP_HOST") && !faults.has("TRANSPORT")) {
    faults.add(
      "SMTP_HOST",
      `the mail server to send through, because ${because} (or say TRANSPORT=capture to send nothing)`,
    );
  }
  return { kind: "capture" };
}

function senderOf(values: VariableValues, isCapturing: boolean): Config["sender"] {
  const from =
    values.SMTP_FROM?.address ??
    bareAddress(values.SMTP_USER ?? "") ??
    (isCapturing ? "mailer@localhost" : null);
  const ownDomain = from === null || isCapturing ? null : [from.slice(from.lastIndexOf("@") + 1)];
  return {
    from,
    fromName: values.SMTP_FROM_NAME ?? values.SMTP_FROM?.name ?? null,
    allowed: values.SMTP_FROM_ALLOWED ?? ownDomain,
    headersAllowed: values.HEADERS_ALLOWED ?? [],
  };
}

function checkRole(values: VariableValues, faults: Faults): void {
  if (sharedBy(values, faults) !== null) return;
  if (values.ROLE === null || values.ROLE === "all") return;
  faults.add("ROLE", "all, because the embedded database serves one process (or set DATABASE_URL)");
}

/**
 * Secrets are generated with PGlite only: two processes that share a database must agree. Where a
 * key set verifies tokens, none has to be signed here.
 */
function checkSecrets(values: VariableValues, faults: Faults): void {
  checkWeakness(values, faults);
  const shared = sharedBy(values, faults);
  const needed = ["ENCRYPTION_KEY", ...(jwksUrlOf(values) === null ? ["JWT_SECRET"] : [])];
  for (const name of needed as ("ENCRYPTION_KEY" | "JWT_SECRET")[]) {
    if (shared !== null && values[name] === null) {
      faults.add(name, `${variables[name].parser.expected}, because ${shared} is set`);
    }
  }
}

function readVariables(env: Environment, faults: Faults): VariableValues {
  const values = configVariables.map(({ name, parser, isSecret, isUnused }) => {
    const value = setValue(env[name], isSecret);
    const parsed = value === null ? null : parser.parse(value);
    if (parsed === undefined && !isUnused) faults.add(name, parser.expected);
    return [name, parsed ?? null];
  });
  return Object.fromEntries(values) as VariableValues;
}

/**
 * Empty counts as unset. A secret is taken to the letter, since a password may end in a space; but
 * for a line end behind it, which `echo` and `kubectl create secret --from-file` leave there.
 */
export function setValue(value: string | undefined, isSecret: boolean): string | null {
  if (value === undefined || value.trim() === "") return null;
  return isSecret ? value.replace(/[\r\n]+$/, "") : value.trim();
}

const ownPrefixes = /^(SMTP|REDIS|JWT|ENCRYPTION|QUOTA)_/;

function warningsOf(env: Environment, values: VariableValues): string[] {
  const unused = configVariables
    .filter(({ name, isUnused }) => isUnused && setValue(env[name], true) !== null)
    .map(({ name }) => `${name} is set but not in use yet`);
  const unknown = Object.keys(env)
    .filter((name) => ownPrefixes.test(name) && !Object.hasOwn(variables, name))
    .map((name) => `${name} is not a variable of this program: misspelt?`);
  const misread = (env[dotenvDoubts] ?? [])
    .filter(({ name }) => name === "" || Object.hasOwn(variables, name))
    .map(({ sentence }) => sentence);
  return [
    ...unused,
    ...(setValue(env.QUEUE_HORIZON_MS, false) ? [horizonIsGone] : []),
    ...unknown,
    ...misread,
    ...doubtfulOf(values),
    ...exposedBy(values),
    ...(isHttpsUnknown(values) ? [httpsUnknown] : []),
  ];
}

/** A variable of earlier versions. */
const horizonIsGone =
  "QUEUE_HORIZON_MS is ignored: workers claim e-mails from the database, and none enters a queue";

function doubtfulOf(values: VariableValues): string[] {
  const sentences: [boolean, string][] = [
    [
      values.SUPABASE_URL === null && values.SUPABASE_SERVICE_ROLE_KEY !== null,
      "SUPABASE_SERVICE_ROLE_KEY is ignored: SUPABASE_URL is not set",
    ],
    ...postgresDoubts(values),
    ...redisDoubts(values),
  ];
  return sentences.filter(([holds]) => holds).map(([, sentence]) => sentence);
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === "object" && part !== null) deepFreeze(part);
  }
  return Object.freeze(value);
}
