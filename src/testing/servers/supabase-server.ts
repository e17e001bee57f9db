import { join } from "node:path";
import { openPostgresSession } from "../../store/postgres-session.ts";
import { asChild, until } from "./child-server.ts";

/** A project's API over a database: PostgREST as @supabase/lite understands it. */
export interface SupabaseServer {
  /** SUPABASE_URL. */
  readonly url: string;
  stop(): Promise<void>;
}

export interface SupabaseOptions {
  databaseUrl: string;
  /** Default: public and mailer_api, as supabase/config.toml says. */
  schemas?: string[];
}

/** Starts it in a process of its own, warm, with the keys of `supabase-keys.ts`. */
export async function startSupabase(options: SupabaseOptions): Promise<SupabaseServer> {
  const script = join(import.meta.dir, "supabase-lite.ts");
  const child = Bun.spawn(asChild([process.execPath, script], "SIGKILL", null), {
    env: {
      PATH: process.env.PATH ?? "",
      DATABASE_URL: options.databaseUrl,
      EXPOSED_SCHEMAS: (options.schemas ?? ["public", "mailer_api"]).join(","),
    },
    stdin: "ignore",
    stdout: "pipe",
    // It prints every refusal of the database.
    stderr: process.env.TEST_SUPABASE_LOG ? "inherit" : "ignore",
  });
  let output = "";
  const reading = (async () => {
    for await (const chunk of child.stdout) output += new TextDecoder().decode(chunk);
  })();
  const port = () => /^listening (\d+)$/m.exec(output)?.[1];
  await until(
    "@supabase/lite listens",
    () => {
      if (child.exitCode !== null) throw new Error(`@supabase/lite ended: ${child.exitCode}`);
      return port() !== undefined;
    },
    60_000,
  );
  return {
    url: `http://127.0.0.1:${port()}`,
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
      await reading;
    },
  };
}

/**
 * The roles that every Supabase project has. They belong to the cluster: what is migrated after
 * this call is migrated as in a project.
 */
export async function createSupabaseRoles(adminUrl: string): Promise<void> {
  const session = await openPostgresSession(adminUrl);
  try {
    await session.query("select pg_advisory_lock(7468)");
    const roles = { anon: "", authenticated: "", service_role: "bypassrls" };
    for (const [role, rights] of Object.entries(roles)) {
      const found = await session.query("select from pg_roles where rolname = $1", [role]);
      if (found.length === 0) await session.exec(`create role ${role} nologin noinherit ${rights}`);
    }
  } finally {
    await session.close();
  }
}
