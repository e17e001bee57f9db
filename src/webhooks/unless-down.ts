import { isAppError } from "../errors.ts";

/** null while the database is gone. */
export async function unlessDown<T>(call: Promise<T>): Promise<T | null> {
  return await call.catch((error: unknown) => {
    if (isAppError(error, "database_unavailable")) return null;
    throw error;
  });
}
