import type { Config } from "../config.ts";

/** The database that `migrate` works on; null: none, or the embedded one, which is always new. */
export function migrateUrlOf(database: Config["database"]): string | null {
  return database.driver === "pglite" ? null : database.migrateUrl;
}

/** A direct connection for whoever looks and changes nothing; null: there is none. */
export function directUrlOf(database: Config["database"]): string | null {
  return database.driver === "postgres" ? database.url : migrateUrlOf(database);
}
