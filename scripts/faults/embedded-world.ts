import type { Database } from "../../src/store/database.ts";
import { openPgliteDatabase } from "../../src/store/pglite-database.ts";
import { type DirectSql, directSql } from "../../src/testing/servers/direct-sql.ts";

/** Opened by the first query, which fails while a process of the product has the folder. */
export function createEmbeddedSql(dataDir: string) {
  let opened: Promise<{ database: Database; sql: DirectSql }> | null = null;

  async function open() {
    const database = await openPgliteDatabase({ dataDir });
    return { database, sql: await directSql(database) };
  }

  return {
    /** The same for the functions of the product; closed with this. */
    async database(): Promise<Database> {
      opened ??= open();
      return { ...(await opened).database, close: async () => {} };
    },
    async query<Row>(text: string, params: unknown[] = []): Promise<Row[]> {
      opened ??= open();
      return (await (await opened).sql.query(text, params)) as Row[];
    },
    async close(): Promise<void> {
      await (await opened)?.database.close();
      opened = null;
    },
  };
}

/** Counts emails of these owners that are pending or sending, as the API says. */
export async function countOpenByHttp(url: string, bearers: readonly string[]): Promise<number> {
  const counts = bearers.map(async (bearer) => {
    const headers = { authorization: `Bearer ${bearer}` };
    const answer = await fetch(`${url}/api/v1/queue-stats`, { headers });
    const { data } = (await answer.json()) as { data: { by_status: Record<string, number> } };
    return (data.by_status.pending ?? 0) + (data.by_status.sending ?? 0);
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}
