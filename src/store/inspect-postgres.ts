import { isLoopback } from "../runtime/loopback.ts";
import { type Durability, readDurability } from "./durability.ts";
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
  durability: Durability;
  /** The connection is not encrypted, and its other end is not on this machine. */
  isExposed: boolean;
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
    const { version, number } = row ?? {};
    return {
      version: String(version),
      versionNumber: Number(number),
      migrations: await migrationStatus(session),
      tookMs,
      durability: await readDurability(session),
      isExposed: !session.isEncrypted && !isLocal(url),
    };
  } finally {
    await session.close().catch(() => undefined);
  }
}

/** A Unix socket, or an address of this machine. */
function isLocal(url: string): boolean {
  const { hostname, searchParams } = new URL(url);
  const host = searchParams.get("host") ?? decodeURIComponent(hostname).replace(/^\[|\]$/g, "");
  return host === "" || host.startsWith("/") || isLoopback(host);
}
