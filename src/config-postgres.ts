import { scryptSync } from "node:crypto";
import type { Faults } from "./config-faults.ts";
import type { VariableValues } from "./config-variables.ts";

/** The settings that a database URL is made of when none is given. */
type PostgresParts = Pick<
  VariableValues,
  | "POSTGRES_HOST"
  | "POSTGRES_PORT"
  | "POSTGRES_DB"
  | "POSTGRES_USER"
  | "POSTGRES_PASSWORD"
  | "POSTGRES_RUN_TIME_USER"
  | "ENCRYPTION_KEY"
>;

/** A user of the database whom `migrate` makes, and whom everything else logs in as. */
export interface RunTimeUser {
  readonly name: string;
  readonly password: string;
}

const userDefault = "postgres";

/**
 * The URL of `POSTGRES_HOST` and its parts for all that does not migrate; null without a host.
 * Defaults are those of the `postgres` image. A password may hold any character: it is encoded here.
 */
export function postgresUrlOf(values: PostgresParts): string | null {
  const user = runTimeUserOf(values);
  return user === null ? migratingUrlOf(values) : urlFor(values, user.name, user.password);
}

/** The same for `POSTGRES_USER`, who migrates. */
export function migratingUrlOf(values: PostgresParts): string | null {
  return urlFor(values, values.POSTGRES_USER ?? userDefault, values.POSTGRES_PASSWORD);
}

/** Null: one user does both. */
export function runTimeUserOf({
  POSTGRES_RUN_TIME_USER: name,
  ENCRYPTION_KEY: key,
}: Pick<PostgresParts, "POSTGRES_RUN_TIME_USER" | "ENCRYPTION_KEY">): RunTimeUser | null {
  if (name === null) return null;
  // One secret less to keep: a process that has the key reads every email anyway. By scrypt, since
  // the key may be a phrase, and the database keeps what guesses can be compared with.
  return { name, password: runTimePassword(key ?? "") };
}

/** The last one, since it takes 50 ms and is asked for several times while settings are read. */
let derived: { key: string; password: string } | null = null;

function runTimePassword(key: string): string {
  if (derived?.key !== key) {
    const salt = "taskforce-mailer: the run-time user of PostgreSQL";
    derived = { key, password: scryptSync(key, salt, 24).toString("base64url") };
  }
  return derived.password;
}

function urlFor(values: PostgresParts, user: string, password: string | null): string | null {
  if (values.POSTGRES_HOST === null) return null;
  const host = values.POSTGRES_HOST.includes(":")
    ? `[${values.POSTGRES_HOST}]`
    : values.POSTGRES_HOST;
  const secret = password === null ? "" : `:${encodeURIComponent(password)}`;
  const name = encodeURIComponent(values.POSTGRES_DB ?? values.POSTGRES_USER ?? userDefault);
  const port = values.POSTGRES_PORT ?? 5432;
  return `postgresql://${encodeURIComponent(user)}${secret}@${host}:${port}/${name}`;
}

/** Of `POSTGRES_HOST`, or of a DATABASE_URL, whose user does both. */
export function postgresOf(url: string, values: PostgresParts & { AUTO_MIGRATE: boolean | null }) {
  const runTimeUser = url === postgresUrlOf(values) ? runTimeUserOf(values) : null;
  // Without the password of POSTGRES_USER nobody migrates from here.
  const isAble = runTimeUser === null || values.POSTGRES_PASSWORD !== null;
  const migrateUrl = runTimeUser === null ? url : isAble ? migratingUrlOf(values) : null;
  return { driver: "postgres" as const, url, migrateUrl, runTimeUser };
}

export function checkRunTimeUser(values: VariableValues, faults: Faults): void {
  const { POSTGRES_RUN_TIME_USER: name, POSTGRES_USER, POSTGRES_PASSWORD, AUTO_MIGRATE } = values;
  if (name === null || values.POSTGRES_HOST === null) return;
  if (name === (POSTGRES_USER ?? userDefault)) {
    faults.add("POSTGRES_RUN_TIME_USER", "another user than POSTGRES_USER");
  }
  const redis = ["REDIS_URL", "REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER"] as const;
  if (redis.every((one) => values[one] === null)) {
    const expected =
      "a Redis for the queue beside it: in the database the queue makes its own tables";
    faults.add("POSTGRES_RUN_TIME_USER", expected);
  }
  if (POSTGRES_PASSWORD === null && AUTO_MIGRATE !== false) {
    faults.add("AUTO_MIGRATE", "false, because there is no POSTGRES_PASSWORD to migrate with");
  }
}

/** What `READ_LAG_MAX_MS` is when nobody says. */
const lagMaxMsDefault = 2_000;

export function readReplicaOf({
  DATABASE_READ_URL: url,
  READ_LAG_MAX_MS,
}: Pick<VariableValues, "DATABASE_READ_URL" | "READ_LAG_MAX_MS">) {
  return url === null ? null : { url, lagMaxMs: READ_LAG_MAX_MS ?? lagMaxMsDefault };
}

/** Settings beside a database that do not count, or not as they are meant. */
export function postgresDoubts(values: VariableValues): [boolean, string][] {
  return [
    [
      values.DATABASE_URL !== null && new URL(values.DATABASE_URL).port === "6543",
      "DATABASE_URL leads to a pooler in transaction mode (port 6543), where neither migrate nor " +
        "a queue without Redis works: use its session mode (port 5432)",
    ],
    [
      values.POSTGRES_HOST !== null && values.DATABASE_URL !== postgresUrlOf(values),
      "POSTGRES_HOST is ignored: DATABASE_URL wins",
    ],
    [
      values.POSTGRES_RUN_TIME_USER !== null && values.DATABASE_URL !== postgresUrlOf(values),
      "POSTGRES_RUN_TIME_USER is ignored: DATABASE_URL names its user itself",
    ],
    [
      values.DATABASE_READ_URL !== null && values.DATABASE_URL === null && !values.SUPABASE_URL,
      "DATABASE_READ_URL is ignored: the embedded database has no replica",
    ],
  ];
}
