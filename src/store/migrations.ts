import { migrationFiles } from "./migration-files.ts" with { type: "macro" };

/** One file of `supabase/migrations`, carried in the program. */
export interface Migration {
  /** Timestamp that starts the file's name; the order of application. */
  version: string;
  name: string;
  sql: string;
}

/** All of them, oldest first; a test compares this list with the folder. */
export const MIGRATIONS: readonly Migration[] = migrationFiles();

/** The version of the schema that this program was written for. */
export const SCHEMA_VERSION = MIGRATIONS.at(-1)?.version ?? "";
