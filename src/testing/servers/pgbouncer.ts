import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asChild, freePort, guardFolder, privateFolder, until } from "./child-server.ts";
import { runOnce } from "./postgres-server.ts";

/** A PgBouncer of one's own, in front of one database. */
export interface PgBouncer {
  /** Leads to the database through it. */
  readonly url: string;
  stop(): Promise<void>;
}

export interface PgBouncerOptions {
  /** Default `transaction`, in which a session is lent for one transaction. */
  poolMode?: "transaction" | "session";
  /** Sessions of the server that all clients share. Default 4: fewer than a process has clients. */
  sessions?: number;
}

/** Starts PgBouncer with the settings of its package, but for those that say where it stands. */
export async function startPgBouncer(
  databaseUrl: string,
  { poolMode = "transaction", sessions = 4 }: PgBouncerOptions = {},
): Promise<PgBouncer> {
  const folder = privateFolder("pgbouncer");
  // It refuses to run as root, and reads its settings as whoever it becomes.
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const target = new URL(databaseUrl);
  const url = new URL(databaseUrl);
  url.port = String(await freePort());
  const config = join(folder, "pgbouncer.ini");
  const settings = {
    listen_addr: "127.0.0.1",
    listen_port: url.port,
    unix_socket_dir: "",
    auth_type: "any",
    pool_mode: poolMode,
    default_pool_size: sessions,
    max_client_conn: 200,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  const server = `* = host=127.0.0.1 port=${target.port} user=postgres`;
  writeFileSync(config, ["[databases]", server, "[pgbouncer]", ...lines, ""].join("\n"));
  const user = process.getuid?.() === 0 ? "postgres" : null;
  const command = asChild([binary(), "--quiet", config], "SIGKILL", user);
  const child = Bun.spawn(command, { cwd: "/", stdout: "ignore", stderr: "ignore" });
  guardFolder(folder)(child.pid);
  const answers = () =>
    runOnce(url.href, "select 1").then(
      () => true,
      () => false,
    );
  await until("PgBouncer answers", answers);
  return {
    url: url.href,
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Debian puts it where servers are, which is not on everybody's PATH. */
function binary(): string {
  return Bun.which("pgbouncer") ?? "/usr/sbin/pgbouncer";
}
