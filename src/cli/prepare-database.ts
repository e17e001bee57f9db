import type { Config } from "../config.ts";
import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ClockSkew } from "../runtime/clock-skew.ts";
import { durabilityFaults, readDurability } from "../store/durability.ts";
import { migrate } from "../store/migrate.ts";
import { SCHEMA_VERSION } from "../store/migrations.ts";
import { poolerWords, poolsTransactions } from "../store/pooler.ts";
import { openPostgresSession } from "../store/postgres-session.ts";
import type { KeyIdentity, Presence } from "../store/presence.ts";

export interface PrepareDeps {
  config: Pick<Config, "database" | "autoMigrate" | "queue">;
  presence: Pick<Presence, "beat" | "checkKey" | "schemaVersion">;
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
  const { config, presence, clockSkew, keyRing, log } = deps;
  const { url: queueUrl = null } = config.queue.driver === "postgres" ? config.queue : {};
  if (queueUrl !== null && (await poolsTransactions(queueUrl))) {
    throw new Error(`${poolerWords.saw}. ${poolerWords.advice}`);
  }
  const url = migrateUrlOf(config.database);
  // A Supabase project's is only for migrations, and may not be reachable from here.
  if (url !== null && (config.autoMigrate || config.database.driver === "postgres")) {
    const session = await openPostgresSession(url);
    try {
      const applied = config.autoMigrate ? await migrate(session) : [];
      if (applied.length > 0) log.info("database migrated", { count: applied.length });
      for (const fault of durabilityFaults(await readDurability(session))) {
        log.warn("PostgreSQL may lose what it committed", { reason: fault });
      }
    } finally {
      await session.close().catch(() => undefined);
    }
  }
  await refuseOldSchema(presence);
  await clockSkew.measure("database", async () => (await presence.beat()).now);
  if (!(await presence.checkKey(keyRing))) throw new Error(wrongKeyWords(config.database));
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

/** A newer one is fine: every migration leaves the release before at work. */
async function refuseOldSchema(presence: PrepareDeps["presence"]): Promise<void> {
  const version = await presence.schemaVersion();
  if (version !== null && version >= SCHEMA_VERSION) return;
  throw new Error(
    `The database's schema is of ${version ?? "an earlier release"}, and this program needs ` +
      `${SCHEMA_VERSION}: run \`taskforce-mailer migrate\` (or \`supabase db push\`), or set ` +
      "AUTO_MIGRATE=true. Nothing was changed.",
  );
}

/** The database that `migrate` works on; null: none, or the embedded one, which is always new. */
export function migrateUrlOf(database: Config["database"]): string | null {
  switch (database.driver) {
    case "pglite":
      return null;
    case "postgres":
      return database.url;
    case "supabase":
      return database.migrateUrl;
  }
}

/** Network faults and a server that is starting pass by themselves. */
function isPassing(error: unknown): boolean {
  if (isAppError(error)) {
    return error.code === "database_unavailable" || error.code === "internal_error";
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return /^(ECONN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_|EPIPE|57P0|08|53)/.test(code);
}
