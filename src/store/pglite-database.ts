import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PGlite } from "@electric-sql/pglite";
import { spendCallBudget } from "./call-budget.ts";
import { toCallError, unansweredError } from "./call-error.ts";
import {
  type CallOptions,
  type Claims,
  callText,
  claimsText,
  type Database,
  deadlineFor,
  parseAnswer,
} from "./database.ts";
import { lockFolder } from "./folder-lock.ts";
import { type MigrationSession, migrate } from "./migrate.ts";
import { createPgliteEngine, openPglite, type PgliteEngine } from "./pglite-engine.ts";
import { createPglitePool, type PglitePool } from "./pglite-pool.ts";
import { holdPglite, queryPglite } from "./pglite-query.ts";
import {
  embeddedSnapshot,
  packSnapshot,
  readCachedSnapshot,
  syncPath,
  syncUnpacked,
  unpackSnapshot,
  writeCachedSnapshot,
} from "./pglite-snapshot.ts";

export interface PgliteDatabaseOptions {
  /** The database lives in `<dataDir>/database`, the lock in `<dataDir>/lock.sqlite`. */
  dataDir: string;
  /** Milliseconds a call may wait for its turn and its answer. Default 4000. */
  deadlineMs?: number;
  /** Where a snapshot made on the first start is kept. Default `.cache` beside `dataDir`. */
  cacheDir?: string;
  /** Called at each fsync; for tests. */
  onSync?: () => void;
  /** See `PgliteEngineOptions`. */
  freeBytesMin?: number;
}

export interface PgliteDatabase extends Database {
  readonly driver: "pglite";
  readonly engine: PgliteEngine;
  /** For BullMQ's tables, which live in the same database. */
  createPool(searchPath: string): PglitePool;
}

/**
 * The `Database` in this process and one folder. Throws `FolderInUseError` when another
 * process has the folder. The first start takes about 2 s from a snapshot, 6 s without.
 */
export async function openPgliteDatabase(options: PgliteDatabaseOptions): Promise<PgliteDatabase> {
  const { dataDir, deadlineMs = 4_000, cacheDir = join(dirname(dataDir), ".cache") } = options;
  const lock = lockFolder(dataDir);
  let engine: PgliteEngine | null = null;
  try {
    const { folder, synced } = await prepareFolder(dataDir, cacheDir);
    engine = await createPgliteEngine({ ...options, folder });
    await engine.use((pglite) => migrate(pgliteSession(pglite)));
    await synced;
  } catch (error) {
    await engine?.close();
    lock.release();
    throw error;
  }
  return createDatabase(engine, deadlineMs, () => lock.release());
}

function createDatabase(
  engine: PgliteEngine,
  deadlineMs: number,
  release: () => void,
): PgliteDatabase {
  return {
    driver: "pglite",
    engine,
    createPool: (searchPath) => createPglitePool({ engine, searchPath }),
    async rpc(fn: string, args: unknown, as: Claims, options?: CallOptions) {
      const text = callText(args, options);
      const values = [claimsText(as, options), fn, text];
      const sql = "select mailer_api.call_as($1, $2, $3) as answer";
      const callMs = deadlineFor(text, options, deadlineMs);
      const answer = await spendCallBudget(() => queryWithin(engine, callMs, sql, values));
      return typeof answer === "string" ? parseAnswer(answer, options) : null;
    },
    async ping() {
      await queryWithin(engine, deadlineMs, "select 'pong' as answer");
    },
    async close() {
      await engine.close();
      release();
    },
  };
}

/** `migrate` over PGlite; nobody else may use it meanwhile. */
export function pgliteSession(pglite: PGlite): MigrationSession {
  return {
    async exec(sql) {
      await holdPglite(pglite, () => queryPglite(pglite, sql));
    },
    async query(sql, params = []) {
      return (await holdPglite(pglite, () => queryPglite(pglite, sql, params))).rows;
    },
  };
}

/** A call whose turn comes after its deadline is dropped: its caller has gone. */
async function queryWithin(
  engine: PgliteEngine,
  deadlineMs: number,
  sql: string,
  values: readonly unknown[] = [],
): Promise<unknown> {
  const endsAt = performance.now() + deadlineMs;
  const late = () => unansweredError(new Error("no turn at PGlite in time"));
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => deadline.reject(late()), deadlineMs);
  const call = engine.use((pglite) =>
    holdPglite(pglite, async () => {
      if (performance.now() >= endsAt) throw late();
      return queryPglite(pglite, sql, values);
    }),
  );
  try {
    const { rows } = await Promise.race([call, deadline.promise]);
    return rows[0]?.answer ?? null;
  } catch (error) {
    throw toCallError(error);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The database's folder, made when missing: beside its place, then renamed, so that a first
 * start that was interrupted leaves nothing that could be taken for a database.
 */
async function prepareFolder(dataDir: string, cacheDir: string): Promise<PreparedFolder> {
  const folder = join(dataDir, "database");
  const mark = join(dataDir, unsyncedName);
  // A power cut may have left holes in it, and nobody was ever answered from it.
  if (existsSync(mark)) rmSync(folder, { recursive: true, force: true });
  rmSync(mark, { force: true });
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith("database.tmp-")) rmSync(join(dataDir, name), { recursive: true });
  }
  if (existsSync(join(folder, "PG_VERSION"))) return { folder, synced: Promise.resolve() };
  // An empty folder in its place gives way; one with somebody's files makes this throw.
  if (existsSync(folder)) rmdirSync(folder);
  const unfinished = join(dataDir, `database.tmp-${randomUUID()}`);
  const snapshot = (await embeddedSnapshot()) ?? readCachedSnapshot(cacheDir);
  const packed = snapshot ?? (await makeSnapshot(unfinished, cacheDir));
  const names = await unpackSnapshot(packed, unfinished);
  writeFileSync(mark, "", { flush: true });
  await syncPath(dataDir);
  renameSync(unfinished, folder);
  const synced = syncAll(names, folder, mark);
  // Whoever opens the database awaits it; should that fail first, nobody is left to.
  synced.catch(() => undefined);
  return { folder, synced };
}

/** Syncing takes as long as PostgreSQL's own start, so the two go on side by side. */
interface PreparedFolder {
  folder: string;
  /** Resolves when all that was unpacked is on the disk; nothing may be answered before. */
  synced: Promise<void>;
}

/** While this file lies in DATA_DIR the folder may not be whole on the disk. */
const unsyncedName = "database.unsynced";

async function syncAll(names: readonly string[], folder: string, mark: string): Promise<void> {
  await syncUnpacked(names, folder);
  await syncPath(dirname(folder));
  rmSync(mark);
  await syncPath(dirname(folder));
}

async function makeSnapshot(folder: string, cacheDir: string): Promise<Uint8Array> {
  const snapshot = await buildSnapshot(folder);
  rmSync(folder, { recursive: true });
  writeCachedSnapshot(cacheDir, snapshot);
  return snapshot;
}

/** Makes a migrated database in `folder`, which must not exist, and packs it. */
export async function buildSnapshot(
  folder: string,
  also: (pglite: PGlite) => Promise<void> = async () => {},
): Promise<Uint8Array> {
  const pglite = await openPglite(folder);
  try {
    await migrate(pgliteSession(pglite));
    await also(pglite);
    await pglite.exec("checkpoint");
  } finally {
    await pglite.close();
  }
  return packSnapshot(folder);
}
