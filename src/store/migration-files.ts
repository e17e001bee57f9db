import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Migration } from "./migrations.ts";

/** Runs while the program is bundled: its answer stands in the program instead of the call. */
export function migrationFiles(): Migration[] {
  const folder = join(import.meta.dir, "../../supabase/migrations");
  const names = readdirSync(folder).filter((file) => /^\d{14}_\w+\.sql$/.test(file));
  return names.sort().map((file) => ({
    version: file.slice(0, 14),
    name: file.slice(15, -".sql".length),
    sql: readFileSync(join(folder, file), "utf8"),
  }));
}
