import { createHash } from "node:crypto";
import { MIGRATIONS } from "../../store/migrations.ts";
import { openPostgresSession } from "../../store/postgres-session.ts";
import { migrateAt } from "./migrate-at.ts";
import { runOnce, type SharedPostgres, sharedPostgres } from "./postgres-server.ts";
import { createSupabaseRoles } from "./supabase-server.ts";

let template: Promise<string> | null = null;

/** A database of one's own on the shared server, migrated as on Supabase, with its roles; cloned, so it costs about 100 ms. */
export async function freshDatabase(): Promise<{ url: string; name: string }> {
  const server = await sharedPostgres();
  template ??= prepareTemplate(server);
  const name = `mailer_${crypto.randomUUID().slice(0, 13).replace("-", "_")}`;
  return { url: await server.createDatabase(name, await template), name };
}

/** Named after its migrations: a server that outlives a change of theirs gets another one. */
async function prepareTemplate(server: SharedPostgres): Promise<string> {
  const hash = createHash("sha256")
    .update(MIGRATIONS.map(({ sql }) => sql).join())
    .digest("hex");
  const name = `mailer_template_${hash.slice(0, 12)}`;
  const admin = await openPostgresSession(server.adminUrl);
  try {
    // Test processes that share the server must not build it at the same time.
    await admin.query("select pg_advisory_lock(7467)");
    const ready = `select from pg_database where datname = '${name}' and datistemplate`;
    if ((await admin.query(ready)).length > 0) return name;
    await runOnce(server.adminUrl, `drop database if exists ${name}`);
    await createSupabaseRoles(server.adminUrl);
    await migrateAt(await server.createDatabase(name));
    await admin.exec(`alter database ${name} is_template true allow_connections false`);
    return name;
  } finally {
    await admin.close();
  }
}
