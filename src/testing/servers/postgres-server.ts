import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import pg from "pg";
import {
  asChild,
  familyOf,
  freePort,
  guardFolder,
  privateFolder,
  processesIn,
  signalAll,
  signalTree,
  until,
} from "./child-server.ts";

/** A database server the tests may only use. */
export interface SharedPostgres {
  /** Superuser on the database `postgres`. */
  readonly adminUrl: string;
  /** Its first process; null when somebody else started it. */
  readonly pid: number | null;
  /** Creates a database, from a template when one is named, and returns its URL. */
  createDatabase(name: string, template?: string): Promise<string>;
}

/** A server of one's own, to be hurt at will. */
export interface PostgresServer extends SharedPostgres {
  readonly url: string;
  readonly port: number;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
  /** SIGKILL to every process of the server at once, like a power cut; the folder stays. */
  kill(): Promise<void>;
  /** Looks up the processes now, so that the `kill` it returns hits within a millisecond. */
  aim(): { kill(): void; ended: Promise<unknown> };
  /** SIGSTOP: connections stay open and nobody answers. */
  pause(): void;
  resume(): void;
  /** Starts it again on the same port and folder, stopping it first if it runs. */
  restart(): Promise<void>;
}

let shared: Promise<SharedPostgres> | null = null;

/** The one server of this test process, or that of `TEST_POSTGRES_URL`; started on first use. */
export function sharedPostgres(): Promise<SharedPostgres> {
  const url = process.env.TEST_POSTGRES_URL;
  shared ??= url ? Promise.resolve(serverAt(url)) : startPostgres();
  return shared;
}

/** Starts the newest PostgreSQL of this machine on a private port and a temporary folder. */
export async function startPostgres({
  env = {},
}: {
  /** Of its processes, beside our own: a clock that is off, say. */
  env?: Record<string, string>;
} = {}): Promise<PostgresServer> {
  const folder = privateFolder("postgres");
  const dataDir = join(folder, "data");
  const port = await freePort();
  const user = prepareFolder(folder);
  await initialise(dataDir, user);
  let server = launch(dataDir, port, user, env);
  const guard = guardFolder(folder);
  guard(server.pid);
  const adminUrl = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await until("PostgreSQL answers", () => answers(adminUrl));

  const end = async (signal: NodeJS.Signals) => {
    if (signal === "SIGKILL") signalTree(server.pid, signal);
    else server.kill(signal);
    await server.exited;
    if (signal === "SIGKILL") signalAll(processesIn(dataDir), signal);
  };
  return {
    ...serverAt(adminUrl),
    get pid() {
      return server.pid;
    },
    url: adminUrl,
    port,
    async stop() {
      signalTree(server.pid, "SIGCONT");
      await end("SIGQUIT");
      rmSync(folder, { recursive: true, force: true });
    },
    kill: () => end("SIGKILL"),
    aim() {
      const family = familyOf(server.pid);
      const { exited } = server;
      return { kill: () => signalAll(family, "SIGKILL"), ended: exited };
    },
    pause: () => signalTree(server.pid, "SIGSTOP"),
    resume: () => signalTree(server.pid, "SIGCONT"),
    async restart() {
      if (server.exitCode === null && server.signalCode === null) await end("SIGINT");
      // One that was born while the others were killed may wait for a dead one's lock for ever.
      signalAll(processesIn(dataDir), "SIGKILL");
      server = launch(dataDir, port, user, env);
      guard(server.pid);
      await until("PostgreSQL answers again", async () => {
        // A dead one may hold the shared memory for a moment longer.
        if (server.exitCode !== null) {
          server = launch(dataDir, port, user, env);
          guard(server.pid);
        }
        return await answers(adminUrl);
      });
    },
  };
}

function serverAt(adminUrl: string): SharedPostgres {
  return {
    adminUrl,
    pid: null,
    async createDatabase(name, template) {
      const from = template === undefined ? "" : ` template ${pg.escapeIdentifier(template)}`;
      await runOnce(adminUrl, `create database ${pg.escapeIdentifier(name)}${from}`);
      const url = new URL(adminUrl);
      url.pathname = `/${name}`;
      return url.href;
    },
  };
}

/** One statement on a connection of its own. */
export async function runOnce(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** From now on this user needs a password; our servers let everybody else in without one. */
export async function askForPasswords({ adminUrl }: SharedPostgres, user: string): Promise<void> {
  const [row] = await runOnce(adminUrl, "show hba_file");
  const path = String(row?.hba_file);
  const rules = readFileSync(path, "utf8");
  writeFileSync(path, `host all ${user} all scram-sha-256\n${rules}`);
  await runOnce(adminUrl, "select pg_reload_conf()");
}

/** Whether it takes queries. */
export async function answers(url: string): Promise<boolean> {
  return runOnce(url, "select 1").then(
    () => true,
    () => false,
  );
}

/** PostgreSQL refuses to run as root: then the folder and the process belong to `postgres`. */
export function prepareFolder(folder: string): string | null {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (process.getuid?.() !== 0) return null;
  chownSync(folder, idOf("-u"), idOf("-g"));
  return "postgres";
}

function idOf(flag: "-u" | "-g"): number {
  const { exitCode, stdout } = Bun.spawnSync(["id", flag, "postgres"]);
  if (exitCode !== 0) throw new Error("there is no user postgres to leave root for");
  return Number(stdout.toString().trim());
}

async function initialise(dataDir: string, user: string | null): Promise<void> {
  const initdb = [binary("initdb"), "-D", dataDir, "-U", "postgres", "-A", "trust", "-E", "UTF8"];
  const command = asChild([...initdb, "--locale=C.UTF-8", "--no-instructions"], "SIGKILL", user);
  const child = Bun.spawn(command, { cwd: dirname(dataDir), stdout: "ignore", stderr: "pipe" });
  if ((await child.exited) !== 0) {
    throw new Error(`initdb failed: ${await new Response(child.stderr).text()}`);
  }
}

/** fsync stays on: what the tests prove about commits must hold as it does in production. */
export function launch(
  dataDir: string,
  port: number,
  user: string | null,
  env: Record<string, string> = {},
) {
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    port,
    shared_buffers: "64MB",
    max_connections: 200,
    fsync: "on",
    log_min_messages: "fatal",
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  // Set once root is left: libfaketime shares memory that only its creator may open.
  const set = ["env", ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  const command = asChild([...set, binary("postgres"), "-D", dataDir, ...flags], "SIGQUIT", user);
  return Bun.spawn(command, { cwd: dirname(dataDir), stdout: "ignore", stderr: "ignore" });
}

/** The newest of Debian's versioned folders, else whatever the PATH has. */
export function binary(name: string): string {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).map(Number).filter(Number.isFinite) : [];
  for (const version of versions.sort((a, b) => b - a)) {
    const path = join(root, String(version), "bin", name);
    if (existsSync(path)) return path;
  }
  const found = Bun.which(name);
  if (found === null) throw new Error(`${name} of PostgreSQL is not installed`);
  return found;
}
