import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PGlite } from "@electric-sql/pglite";
import { toCallError, unavailableError } from "./call-error.ts";
import { type Claims, callText, type Database, deadlineFor, type LargeCall } from "./database.ts";
import { lockFolder } from "./folder-lock.ts";
import { type MigrationSession, migrate } from "./migrate.ts";
import { createPgliteEngine, openPglite, type PgliteEngine } from "./pglite-engine.ts";
import { holdPglite, queryPglite } from "./pglite-query.ts";
import {
  embeddedSnapshot,
  packSnapshot,
  readCachedSnapshot,
  syncFolder,
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
  /** For BullMQ's tables, which live in the same database. */
  readonly engine: PgliteEngine;
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
    const folder = await prepareFolder(dataDir, cacheDir);
    engine = await createPgliteEngine({ ...options, folder });
    await engine.use((pglite) => migrate(pgliteSession(pglite)));
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
    async rpc(fn: string, args: unknown, as: Claims, large?: LargeCall) {
      const text = callText(args, large);
      const values = [JSON.stringify(as), fn, text];
      const sql = "select mailer_api.call_as($1, $2, $3) as answer";
      const answer = await queryWithin(engine, deadlineFor(text, large, deadlineMs), sql, values);
      return typeof answer === "string" ? JSON.parse(answer) : null;
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
  const late = () => unavailableError(new Error("no turn at PGlite in time"));
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
async function prepareFolder(dataDir: string, cacheDir: string): Promise<string> {
  const folder = join(dataDir, "database");
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith("database.tmp-")) rmSync(join(dataDir, name), { recursive: true });
  }
  if (existsSync(join(folder, "PG_VERSION"))) return folder;
  // An empty folder in its place gives way; one with somebody's files makes this throw.
  if (existsSync(folder)) rmdirSync(folder);
  const unfinished = join(dataDir, `database.tmp-${randomUUID()}`);
  const snapshot = (await embeddedSnapshot()) ?? readCachedSnapshot(cacheDir);
  await unpackSnapshot(snapshot ?? (await makeSnapshot(unfinished, cacheDir)), unfinished);
  renameSync(unfinished, folder);
  await syncFolder(dataDir);
  return folder;
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
