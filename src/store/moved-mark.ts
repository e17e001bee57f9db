import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { stageFile, syncPath } from "../runtime/durable-file.ts";

/** What `migrate --from` leaves in a DATA_DIR whose database it moves. */
export interface MovedMark {
  moveId: string;
  /** User, host and database, without a password. */
  to: string;
  begunAt: string;
  /** Null: it was begun, and whether it was finished only the target knows. */
  endedAt: string | null;
}

/** The database of this DATA_DIR was moved to a server; the message is for a terminal. */
export class MovedFolderError extends Error {
  override name = "MovedFolderError";

  constructor(dataDir: string, { to, begunAt, endedAt }: MovedMark) {
    const moved =
      endedAt === null
        ? `A move of ${dataDir} to ${to} was begun on ${begunAt} and not seen to end. Run ` +
          `\`taskforce-mailer migrate --from ${dataDir}\` again to finish it, or with --abandon to stay here.`
        : `The database of ${dataDir} was moved to ${to} on ${endedAt}: a server here would send its ` +
          "emails a second time. Start with DATABASE_URL, or set DATA_DIR to another folder.";
    super(moved);
  }
}

const schema = z.object({
  move_id: z.string(),
  to: z.string(),
  begun_at: z.string(),
  ended_at: z.string().nullable(),
});

/** Null: the folder was not moved. Throws when the mark is there and unfit: better not to start. */
export function readMovedMark(dataDir: string): MovedMark | null {
  const path = pathOf(dataDir);
  if (!existsSync(path)) return null;
  try {
    const { move_id, to, begun_at, ended_at } = schema.parse(
      JSON.parse(readFileSync(path, "utf8")),
    );
    return { moveId: move_id, to, begunAt: begun_at, endedAt: ended_at };
  } catch {
    throw new Error(
      `${path} cannot be read: the database here may have been moved to a server. Remove it only when ` +
        "you know that it was not.",
    );
  }
}

/** Durable once it resolves. */
export async function writeMovedMark(dataDir: string, mark: MovedMark): Promise<void> {
  const { moveId: move_id, to, begunAt: begun_at, endedAt: ended_at } = mark;
  const text = `${JSON.stringify({ move_id, to, begun_at, ended_at }, null, 2)}\n`;
  await (await stageFile(pathOf(dataDir), text)).commit();
  await syncPath(dataDir);
}

/** The folder is in use again. */
export async function dropMovedMark(dataDir: string): Promise<void> {
  const path = pathOf(dataDir);
  await rm(path, { force: true });
  await syncPath(dirname(path));
}

function pathOf(dataDir: string): string {
  return join(dataDir, "moved.json");
}
