import { randomUUID } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { PGlite } from "@electric-sql/pglite";
import { syncPath } from "../runtime/durable-file.ts";
import { spendCallBudget } from "./call-budget.ts";
import { toCallError, unansweredError } from "./call-error.ts";
import { copyFolder, type FolderCopy } from "./copy-folder.ts";
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
import { MovedFolderError, readMovedMark } from "./moved-mark.ts";
import {
  createPgliteEngine,
  openPglite,
  type PgliteEngine,
  postgresMajor,
} from "./pglite-engine.ts";
import { createPglitePool, type PglitePool } from "./pglite-pool.ts";
import { holdPglite, queryPglite } from "./pglite-query.ts";
import {
  embeddedSnapshot,
  packSnapshot,
  readCachedSnapshot,
  syncUnpacked,
  unpackSnapshot,
  writeCachedSnapshot,
} from "./pglite-snapshot.ts";
import { EarlierSchemaError } from "./schema-origin.ts";

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
  /** For whoever moves it; everybody else is refused once a move has begun. */
  mayBeMoved?: boolean;
}

export interface PgliteDatabase extends Database {
  readonly driver: "pglite";
  readonly engine: PgliteEngine;
  /** For BullMQ's tables, which live in the same database. */
  createPool(searchPath: string): PglitePool;
  readonly copyTo: (folder: string) => Promise<FolderCopy>;
}

/**
 * The `Database` in this process and one folder. Throws `FolderInUseError` when another
 * process has the folder, `MovedFolderError` when its database was moved to a server, and
 * `EarlierSchemaError` when it holds a schema that was never released, which then is left as it is. The first start takes about 2 s from a snapshot, 6 s without.
 */
export async function openPgliteDatabase(options: PgliteDatabaseOptions): Promise<PgliteDatabase> {
  const { dataDir, deadlineMs = 4_000, cacheDir = join(dirname(dataDir), ".cache") } = options;
  const lock = lockFolder(dataDir);
  let engine: PgliteEngine | null = null;
  try {
    const moved = readMovedMark(dataDir);
    if (moved !== null && !options.mayBeMoved) throw new MovedFolderError(dataDir, moved);
    const { folder, synced } = await prepareFolder(dataDir, cacheDir);
    engine = await createPgliteEngine({ ...options, folder });
    await engine.use((pglite) => migrate(pgliteSession(pglite)));
    await synced;
  } catch (error) {
    await engine?.close();
    lock.release();
    throw error instanceof EarlierSchemaError ? inFolder(error, dataDir) : error;
  }
  const folder = join(dataDir, "database");
  const place = placeOf(dataDir);
  return createDatabase({ engine, folder, deadlineMs, place, release: () => lock.release() });
}

/** A folder is moved away, and its database with it; secrets.json, beside it, goes on being used. */
function inFolder({ saw }: EarlierSchemaError, dataDir: string): EarlierSchemaError {
  const folder = join(dataDir, "database");
  return new EarlierSchemaError(saw, `mv ${folder} ${folder}.earlier`);
}

/**
 * Marks a file that is made with the database and never written again. A copy has another inode and
 * another birth, whatever tool makes it and whatever times it keeps; a folder that is renamed keeps
 * both. The device's number is left out, since it changes with the order of mounting. A file system
 * that knows no birth says 0, and may give a number again: hence the id that `restore` leaves.
 */
function placeOf(dataDir: string): string {
  const { ino, birthtimeNs } = statSync(join(dataDir, "database", "PG_VERSION"), { bigint: true });
  return `${ino}.${birthtimeNs}${restoredId(dataDir)}`;
}

/** Beside the database `restore` leaves a random id of its run. */
export const restoredIdName = "restored.id";

function restoredId(dataDir: string): string {
  const path = join(dataDir, restoredIdName);
  return existsSync(path) ? `.${readFileSync(path, "utf8").trim()}` : "";
}

interface OwnParts {
  engine: PgliteEngine;
  folder: string;
  deadlineMs: number;
  place: string;
  release: () => void;
}

function createDatabase({ engine, folder, deadlineMs, place, release }: OwnParts): PgliteDatabase {
  return {
    driver: "pglite",
    place,
    engine,
    createPool: (searchPath) => createPglitePool({ engine, searchPath }),
    copyTo: (to) =>
      copyFolder(folder, to, (copyRest) =>
        engine.use((pglite) =>
          holdPglite(pglite, async () => {
            // Less to replay for whoever opens the copy; its journal holds all the rest.
            await queryPglite(pglite, "checkpoint");
            return await copyRest();
          }),
        ),
      ),
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
    if (/^(database|backup)\.tmp-/.test(name)) rmSync(join(dataDir, name), { recursive: true });
  }
  if (existsSync(join(folder, "PG_VERSION"))) {
    assertMajor(folder);
    return { folder, synced: Promise.resolve() };
  }
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
  // The opener of the database awaits it; should that fail first, nobody is left to.
  synced.catch(() => undefined);
  return { folder, synced };
}

/** Another one would not start on these files, and says so in words for developers of PostgreSQL. */
function assertMajor(folder: string): void {
  const major = readFileSync(join(folder, "PG_VERSION"), "utf8").trim();
  if (major === postgresMajor) return;
  throw new Error(
    `${folder} is of PostgreSQL ${major}, and this program runs ${postgresMajor}: start it with the ` +
      "release that made it. Nothing was changed.",
  );
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
