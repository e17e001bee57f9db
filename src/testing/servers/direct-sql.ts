import pg from "pg";
import type { Database } from "../../store/database.ts";
import type { PgliteDatabase } from "../../store/pglite-database.ts";
import { holdPglite, queryPglite } from "../../store/pglite-query.ts";

export interface DirectSql {
  query(sql: string, params?: unknown[]): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** SQL as the owner of the tables, past `call_as`; on PostgreSQL a connection of its own. */
export async function directSql(database: Database): Promise<DirectSql> {
  if (isPglite(database)) {
    const { engine } = database;
    return {
      query: async (sql, params = []) =>
        (await engine.use((pglite) => holdPglite(pglite, () => queryPglite(pglite, sql, params))))
          .rows,
      close: async () => {},
    };
  }
  const client = new pg.Client({ connectionString: urlOf(database) });
  // A test that ends the server is told by its queries.
  client.on("error", () => {});
  await client.connect();
  return {
    query: async (sql, params = []) =>
      (await client.query<Record<string, unknown>>(sql, params)).rows,
    close: () => client.end(),
  };
}

function isPglite(database: Database): database is PgliteDatabase {
  return database.driver === "pglite";
}

/** Where a database is that PostgreSQL itself answers for, on whatever way it is asked. */
function urlOf(database: Database & { url?: string; directUrl?: string }): string {
  const url = database.directUrl ?? database.url;
  if (url === undefined) throw new Error(`no direct SQL on ${database.driver}`);
  return url;
}
