import type { Config } from "../config.ts";
import { pauseWords } from "../doctor/pause-words.ts";
import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ClockSkew } from "../runtime/clock-skew.ts";
import { durabilityFaults, readDurability } from "../store/durability.ts";
import { migrate } from "../store/migrate.ts";
import { directUrlOf, migrateUrlOf } from "../store/migrate-url.ts";
import { SCHEMA_VERSION } from "../store/migrations.ts";
import type { Origin } from "../store/origin.ts";
import type { Pauses } from "../store/pauses.ts";
import { poolerWords, poolsTransactions } from "../store/pooler.ts";
import { openPostgresSession } from "../store/postgres-session.ts";
import type { KeyIdentity, Presence } from "../store/presence.ts";
import { ensureRunTimeUser } from "../store/run-time-user.ts";
import { earlierSchemaError, isOurs } from "../store/schema-origin.ts";

export interface PrepareDeps {
  config: Pick<Config, "database" | "autoMigrate" | "queue">;
  presence: Pick<Presence, "beat" | "checkKey" | "schemaOrigin">;
  origin: Origin;
  /** Tells what a restored database may send again. */
  pauses: Pick<Pauses, "list">;
  /** Knows the database's clock before the first request is judged by it. */
  clockSkew: Pick<ClockSkew, "measure">;
  keyRing: KeyIdentity;
  log: Logger;
}

const retryMs = 1_000;
/** A database that is just being set up may refuse a call once; one that goes on means it. */
const refusalsMax = 5;

/**
 * Brings the database to where work can start: schema up to date, encryption key the right one,
 * this process known. Waits for a database that is not there; rejects with what only a person
 * can mend.
 */
export async function prepareDatabase(deps: PrepareDeps, signal: AbortSignal): Promise<void> {
  let lastReason = "";
  let refusals = 0;
  while (!signal.aborted) {
    try {
      await prepareOnce(deps);
      return;
    } catch (error) {
      if (isAppError(error, "internal_error")) refusals += 1;
      if (!isPassing(error) || refusals > refusalsMax) throw error;
      // Once for each reason: a database that is there at last may lack its schema.
      const reason = String(error);
      if (reason !== lastReason) deps.log.warn("waiting for the database", { err: error });
      lastReason = reason;
      await Bun.sleep(retryMs);
    }
  }
}

async function prepareOnce(deps: PrepareDeps): Promise<void> {
  const { config, presence, origin, clockSkew, keyRing, log } = deps;
  const { url: queueUrl = null } = config.queue.driver === "postgres" ? config.queue : {};
  if (queueUrl !== null && (await poolsTransactions(queueUrl))) {
    throw new Error(`${poolerWords.saw}. ${poolerWords.advice}`);
  }
  const url = config.autoMigrate ? migrateUrlOf(config.database) : directUrlOf(config.database);
  // A Supabase project's is only for migrations, and may not be reachable from here.
  if (url !== null && (config.autoMigrate || config.database.driver === "postgres")) {
    const session = await openPostgresSession(url);
    try {
      const applied = config.autoMigrate ? await migrate(session) : [];
      const { runTimeUser = null } = config.database.driver === "postgres" ? config.database : {};
      if (config.autoMigrate && runTimeUser !== null) {
        await ensureRunTimeUser(session, runTimeUser);
      }
      if (applied.length > 0) log.info("database migrated", { count: applied.length });
      for (const fault of durabilityFaults(await readDurability(session))) {
        log.warn("PostgreSQL may lose what it committed", { reason: fault });
      }
    } finally {
      await session.close().catch(() => undefined);
    }
  }
  await refuseOldSchema(presence);
  const { isPaused } = await origin.check();
  if (isPaused) await sayRestored(deps);
  await clockSkew.measure("database", async () => (await presence.beat()).now);
  if (!(await presence.checkKey(keyRing))) throw new Error(wrongKeyWords(config.database));
}

/** At every start, until a person has decided. */
async function sayRestored({ pauses, log }: PrepareDeps): Promise<void> {
  const pause = (await pauses.list()).find(({ kind }) => kind === "database");
  if (pause === undefined) return;
  const { count, first } = pause.restored ?? { first: null };
  log.warn("this database was restored or copied: sending is paused", {
    reason: pauseWords([pause]),
    ...(count !== undefined && { count }),
    ...(first !== null && { email_id: first.id }),
  });
}

/** Says which setting, and what to do in either case: mistaken, or replaced on purpose. */
export function wrongKeyWords({ driver }: Config["database"]): string {
  const remedy =
    driver === "pglite"
      ? "set it (or restore secrets.json in DATA_DIR) to that one"
      : "set it to that one";
  return (
    `ENCRYPTION_KEY is not the one this database is used with: ${remedy}; or, if you replaced ` +
    "it, put the former one into ENCRYPTION_KEYS_OLD. Nothing was changed."
  );
}

/**
 * A newer one is fine: every migration leaves the release before at work. Asked through a call, since
 * a Supabase project may be reached by no other way.
 */
async function refuseOldSchema(presence: PrepareDeps["presence"]): Promise<void> {
  const origin = await presence.schemaOrigin();
  if (origin !== null && origin.version >= SCHEMA_VERSION && isOurs(origin)) return;
  if (origin === null || !isOurs(origin)) throw earlierSchemaError(origin);
  throw new Error(
    `The database's schema is of ${origin.version}, and this program needs ${SCHEMA_VERSION}: run ` +
      "`taskforce-mailer migrate` (or `supabase db push`), or set AUTO_MIGRATE=true. Nothing was " +
      "changed.",
  );
}

/** Network faults and a server that is starting pass by themselves. */
function isPassing(error: unknown): boolean {
  if (isAppError(error)) {
    return error.code === "database_unavailable" || error.code === "internal_error";
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return /^(ECONN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_|EPIPE|57P0|08|53)/.test(code);
}
