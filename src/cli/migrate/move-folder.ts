import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Config } from "../../config.ts";
import { loadSecrets } from "../../crypto/secrets.ts";
import { keyRingOf, secretsOf } from "../../server/parts.ts";
import { FolderInUseError } from "../../store/folder-lock.ts";
import { createKeyRotation } from "../../store/key-rotation.ts";
import type { MigrationSession } from "../../store/migrate.ts";
import { hasMoved, type MovedRows, MoveRefusedError, moveRows } from "../../store/move-rows.ts";
import { dropMovedMark, readMovedMark, writeMovedMark } from "../../store/moved-mark.ts";
import { createOrigin } from "../../store/origin.ts";
import {
  openPgliteDatabase,
  type PgliteDatabase,
  pgliteSession,
} from "../../store/pglite-database.ts";

export interface MoveOptions {
  /** DATA_DIR of the embedded database. */
  from: string;
  /** Told how many rows are there, of how many. */
  onProgress: (rows: number, allRows: number) => void;
}

export interface MoveReport extends MovedRows {
  from: string;
  to: string;
  /** An earlier run had committed it; the counts are not known any more. */
  was_done: boolean;
  /** Whether tokens that were made before are valid at the target's servers; null: not known here. */
  keeps_tokens: boolean | null;
}

/**
 * Moves the embedded database of a folder to `target`, which has the schema and nothing else. A mark in
 * the folder comes first and stays, so that no server starts there again; a run that was killed is
 * finished, or begun anew, by the next one. Throws `MoveRefusedError`.
 */
export async function moveFolder(
  config: Config,
  url: string,
  target: MigrationSession,
  { from, onProgress }: MoveOptions,
): Promise<MoveReport> {
  const dataDir = folderOf(from);
  const source = await openSource(dataDir);
  try {
    await assertKeys(config, source, dataDir);
    await assertOriginal(config, source, dataDir);
    const earlier = readMovedMark(dataDir);
    const to = placeOf(url);
    const tokens = { keeps_tokens: keepsTokens(config, dataDir) };
    if (earlier !== null && earlier.to !== to) {
      throw new MoveRefusedError(
        `${dataDir} was moved to ${earlier.to}, or may have been: run this with that DATABASE_URL, or ` +
          "with --abandon first. Nothing was moved.",
      );
    }
    if (earlier !== null && earlier.endedAt !== null) {
      if (await hasMoved(target, earlier.moveId))
        return doneBefore({ from: dataDir, to, ...tokens });
      throw new MoveRefusedError(
        `${dataDir} was moved to ${to} on ${earlier.endedAt}, and the database that is there now does not ` +
          "know of it: what was sent since would be sent again. Nothing was moved.",
      );
    }
    const mark = earlier ?? { ...{ moveId: crypto.randomUUID(), to }, ...begun() };
    await writeMovedMark(dataDir, mark);
    const { region } = config;
    // Nobody else uses it, and a refusal is no fault of the engine.
    const session = pgliteSession(await source.engine.use(async (pglite) => pglite));
    const options = { moveId: mark.moveId, region, onProgress };
    const moved = await moveRows(session, target, options).catch(async (error: unknown) => {
      // Refused before anything was written: the folder goes on as if nobody had asked.
      if (error instanceof MoveRefusedError && earlier === null) await dropMovedMark(dataDir);
      throw error;
    });
    await writeMovedMark(dataDir, { ...mark, endedAt: now() });
    const report = { from: dataDir, to, ...tokens };
    return moved === null ? doneBefore(report) : { ...report, was_done: false, ...moved };
  } finally {
    await source.close();
  }
}

/** Lets a server start in the folder again. Throws `MoveRefusedError` when the move has been done. */
export async function abandonMove(url: string, target: MigrationSession, from: string) {
  const dataDir = folderOf(from);
  // Its lock, for as long as this takes: no other run moves it meanwhile.
  const source = await openSource(dataDir);
  try {
    const mark = readMovedMark(dataDir);
    if (mark === null) throw new MoveRefusedError(`no move of ${dataDir} was begun.`);
    if (mark.to !== placeOf(url)) {
      throw new MoveRefusedError(
        `the move was to ${mark.to}: run this with that DATABASE_URL, which says whether it was done.`,
      );
    }
    if (mark.endedAt !== null || (await hasMoved(target, mark.moveId))) {
      throw new MoveRefusedError(
        `${mark.to} has all of ${dataDir}: a server here would send its emails a second time. Start ` +
          "with DATABASE_URL.",
      );
    }
    await dropMovedMark(dataDir);
    return dataDir;
  } finally {
    await source.close();
  }
}

/** An earlier run was killed between the commit and the mark, or ended well. */
function doneBefore(report: Pick<MoveReport, "from" | "to" | "keeps_tokens">): MoveReport {
  return { ...report, was_done: true, tables: {}, pending: 0 };
}

/** Null: the server had its secret from the environment. */
function keepsTokens({ jwt }: Config, dataDir: string): boolean | null {
  const stored = loadSecrets(dataDir);
  return stored === null ? null : [jwt.secret, ...jwt.secretsOld].includes(stored.jwtSecret);
}

/** A copy does not know what was sent since it was made: the server of the folder asks a person first. */
async function assertOriginal(
  { region }: Config,
  source: PgliteDatabase,
  dataDir: string,
): Promise<void> {
  const { isNew } = await createOrigin(source, { region }).check();
  if (!isNew) return;
  throw new MoveRefusedError(
    `the database of ${dataDir} was restored or copied: start its server once, decide with ` +
      "`resume --restored` (or --hold), stop it, and run this again. Nothing was moved.",
  );
}

const now = () => new Date().toISOString();
const begun = () => ({ begunAt: now(), endedAt: null });

function folderOf(from: string): string {
  const dataDir = resolve(from);
  if (existsSync(join(dataDir, "database", "PG_VERSION"))) return dataDir;
  throw new MoveRefusedError(
    `there is no embedded database in ${dataDir}: --from is the DATA_DIR of the server.`,
  );
}

async function openSource(dataDir: string): Promise<PgliteDatabase> {
  try {
    return await openPgliteDatabase({ dataDir, mayBeMoved: true });
  } catch (error) {
    if (!(error instanceof FolderInUseError)) throw error;
    throw new MoveRefusedError(
      `a server has ${dataDir}: stop it first; emails that are due meanwhile go out once a server ` +
        "starts on the target. Nothing was moved.",
    );
  }
}

/** What nobody can decrypt there is not moved there. */
async function assertKeys(config: Config, source: PgliteDatabase, dataDir: string): Promise<void> {
  const ring = keyRingOf(config, secretsOf(config));
  const known = new Set([ring.currentKeyId, ...ring.oldKeyIds, "none"]);
  const use = await createKeyRotation(source, { batch: 1 }).inUse();
  const counts: Record<string, number>[] = Object.values(use);
  const unknown = new Set(counts.flatMap((part) => Object.keys(part)));
  const missing = [...unknown].filter((id) => !known.has(id));
  if (missing.length === 0) return;
  const where = join(dataDir, "secrets.json");
  const advice = existsSync(where)
    ? `set ENCRYPTION_KEY to encryption_key of ${where}`
    : "set ENCRYPTION_KEY to the one of that server";
  throw new MoveRefusedError(
    `what is stored in ${dataDir} is encrypted by ${missing.join(", ")}, which is neither ENCRYPTION_KEY ` +
      `nor in ENCRYPTION_KEYS_OLD: ${advice}. Nothing was moved.`,
  );
}

/** Without the password. The user belongs to it: at a pooler of Supabase only that names the project. */
function placeOf(url: string): string {
  const { username, hostname, port, pathname } = new URL(url);
  return `${decodeURIComponent(username)}@${hostname}:${port || "5432"}${pathname}`;
}
