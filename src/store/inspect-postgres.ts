import { type MigrationState, migrationStatus } from "./migrate.ts";
import { openPostgresSession } from "./postgres-session.ts";

export interface PostgresFacts {
  /** As the server writes it, such as `17.2`. */
  version: string;
  /** 150004 for 15.4. */
  versionNumber: number;
  migrations: MigrationState[];
  /** Of connecting and asking once. */
  tookMs: number;
}

const connectTimeoutMs = 4_000;

/** Asks a PostgreSQL about itself; changes nothing. Rejects with what `pg` says. */
export async function inspectPostgres(url: string): Promise<PostgresFacts> {
  const startedAt = performance.now();
  const session = await openPostgresSession(url, { connectTimeoutMs });
  try {
    const [row] = await session.query(
      `select current_setting('server_version') as version,
              current_setting('server_version_num')::integer as number`,
    );
    const tookMs = performance.now() - startedAt;
    const migrations = await migrationStatus(session);
    const { version, number } = row ?? {};
    return { version: String(version), versionNumber: Number(number), migrations, tookMs };
  } finally {
    await session.close().catch(() => undefined);
  }
}
