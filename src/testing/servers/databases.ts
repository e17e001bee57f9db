import { rm } from "node:fs/promises";
import type { Database } from "../../store/database.ts";
import { createPostgresDatabase } from "../../store/postgres-database.ts";
import { createSupabaseDatabase } from "../../store/supabase-database.ts";
import { privateFolder } from "./child-server.ts";
import { freshDatabase } from "./fresh-database.ts";
import { secretKey } from "./supabase-keys.ts";
import { startSupabase } from "./supabase-server.ts";

export interface OpenDatabase {
  database: Database;
  /** Closes it and removes what it left. */
  close(): Promise<void>;
}

/** Every driver of the `Database` port, each on a migrated database of its own. */
export const drivers: { driver: Database["driver"]; open(): Promise<OpenDatabase> }[] = [
  {
    driver: "postgres",
    async open() {
      const { url } = await freshDatabase();
      const database = createPostgresDatabase({ url });
      return { database, close: () => database.close() };
    },
  },
  {
    driver: "pglite",
    async open() {
      const dataDir = privateFolder("pglite");
      const { openPgliteDatabase } = await import("../../store/pglite-database.ts");
      const database = await openPgliteDatabase({ dataDir });
      return {
        database,
        async close() {
          await database.close();
          await rm(dataDir, { recursive: true, force: true });
        },
      };
    },
  },
  {
    driver: "supabase",
    async open() {
      const { url: databaseUrl } = await freshDatabase();
      const server = await startSupabase({ databaseUrl });
      // What these tests say is about answers, not about how soon a busy machine gives them.
      const options = { url: server.url, serviceRoleKey: secretKey, deadlineMs: 20_000 };
      const database = { ...createSupabaseDatabase(options), directUrl: databaseUrl };
      return {
        database,
        async close() {
          await database.close();
          await server.stop();
        },
      };
    },
  },
];
