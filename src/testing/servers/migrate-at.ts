import { migrate } from "../../store/migrate.ts";
import { MIGRATIONS, type Migration } from "../../store/migrations.ts";
import { openPostgresSession } from "../../store/postgres-session.ts";

/** Brings the database at `url` to the schema of this build, or applies `migrations`; resolves with those that were new. */
export async function migrateAt(
  url: string,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<Migration[]> {
  const session = await openPostgresSession(url);
  try {
    return await migrate(session, migrations);
  } finally {
    await session.close();
  }
}
