import { AppError } from "../../errors.ts";
import { answer } from "../answer.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";

/**
 * POST /api/v1/backup: a copy of the embedded database as of one moment, beside it in DATA_DIR, for
 * `taskforce-mailer backup`, which packs it and removes it. The answer names the folder; none of its
 * content leaves the machine. Admins only.
 */
export function createCopyDatabase({ copyDatabase }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    if (copyDatabase === undefined) throw onServer();
    const { folder, sizeBytes, heldMs } = await copyDatabase();
    return answer(c, { folder, size_bytes: sizeBytes, held_ms: Math.round(heldMs) });
  };
}

function onServer(): AppError {
  return new AppError("not_supported_yet", {
    publicDetail: "The database is a PostgreSQL server: back it up with pg_dump.",
  });
}
