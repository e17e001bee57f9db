import { TLSSocket } from "node:tls";
import pg from "pg";
import { certificateError, isCertificateRefused } from "./call-error.ts";
import type { MigrationSession } from "./migrate.ts";

export interface PostgresSession extends MigrationSession {
  readonly isEncrypted: boolean;
  close(): Promise<void>;
}

/** One connection to a real PostgreSQL, for `migrate` and `doctor`; the caller closes it. */
export async function openPostgresSession(
  url: string,
  { connectTimeoutMs = 10_000 } = {},
): Promise<PostgresSession> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: "taskforce-mailer migrate",
    // Nothing else that a pooler in transaction mode would refuse; see `migrate`.
  });
  // A lost connection rejects the running query; the event itself has nobody else to hear it.
  client.on("error", () => {});
  await client.connect().catch((error: unknown) => {
    throw isCertificateRefused(error) ? certificateError(error) : error;
  });
  return {
    isEncrypted: "connection" in client && isTls(client.connection),
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

/** Our own end of it: behind a pooler the server knows only that of the pooler. */
function isTls(connection: unknown): boolean {
  return (
    typeof connection === "object" &&
    connection !== null &&
    "stream" in connection &&
    connection.stream instanceof TLSSocket
  );
}
