import { rm } from "node:fs/promises";
import type { Database } from "../store/database.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { privateFolder } from "./child-server.ts";
import { freshDatabase } from "./fresh-database.ts";

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
      const { openPgliteDatabase } = await import("../store/pglite-database.ts");
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
];
