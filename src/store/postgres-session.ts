import pg from "pg";
import type { MigrationSession } from "./migrate.ts";

/** One connection to a real PostgreSQL, for `migrate` and `doctor`; the caller closes it. */
export async function openPostgresSession(
  url: string,
  { connectTimeoutMs = 10_000 } = {},
): Promise<MigrationSession & { close(): Promise<void> }> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: "taskforce-mailer migrate",
    // Nothing else that a pooler in transaction mode would refuse; see `migrate`.
  });
  // A lost connection rejects the running query; the event itself has nobody else to hear it.
  client.on("error", () => {});
  await client.connect();
  return {
    async exec(sql) {
      await client.query(sql);
    },
    async query(sql, params = []) {
      const result = await client.query<Record<string, unknown>>(sql, params);
      return result.rows;
    },
    async close() {
      await client.end();
    },
  };
}
