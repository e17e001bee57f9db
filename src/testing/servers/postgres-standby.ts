import { rmSync } from "node:fs";
import { join } from "node:path";
import {
  asChild,
  freePort,
  guardFolder,
  privateFolder,
  signalTree,
  until,
} from "./child-server.ts";
import {
  answers,
  binary,
  launch,
  type PostgresServer,
  prepareFolder,
  runOnce,
} from "./postgres-server.ts";

/** An asynchronous replica of a server, as a cloud keeps one to fail over to. */
export interface PostgresStandby {
  readonly port: number;
  /** The URL of a database of the primary's, on this server. */
  urlOf(primaryUrl: string): string;
  /** Receives what the primary commits and shows none of it, until it goes on. */
  pauseReplay(): Promise<void>;
  resumeReplay(): Promise<void>;
  /** Shows what the primary commits so much later. */
  delayReplay(ms: number): Promise<void>;
  /** Resolves once it has all that the primary has committed. */
  caughtUp(): Promise<void>;
  /** Receives nothing more: what the primary commits from here on, it lacks. */
  cutOff(): Promise<void>;
  /** Makes a primary of it, on a timeline of its own. */
  promote(): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

export async function startStandby(primary: PostgresServer): Promise<PostgresStandby> {
  const folder = privateFolder("standby");
  const dataDir = join(folder, "data");
  const port = await freePort();
  const user = prepareFolder(folder);
  const from = ["-d", `host=127.0.0.1 port=${primary.port} user=postgres`];
  const backup = [
    binary("pg_basebackup"),
    "-D",
    dataDir,
    ...from,
    "-R",
    "-c",
    "fast",
    "-X",
    "stream",
  ];
  const copying = Bun.spawn(asChild(backup, "SIGKILL", user), {
    ...{ cwd: folder, stdout: "ignore", stderr: "pipe" },
  });
  if ((await copying.exited) !== 0) {
    throw new Error(`pg_basebackup failed: ${await new Response(copying.stderr).text()}`);
  }
  const server = launch(dataDir, port, user);
  guardFolder(folder)(server.pid);
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await until("the standby answers", () => answers(url));

  const ask = async (at: string, sql: string) =>
    Object.values((await runOnce(at, sql))[0] ?? {})[0];
  return {
    port,
    async caughtUp() {
      const lsn = await ask(primary.url, "select pg_current_wal_flush_lsn()::text");
      const has = `select pg_last_wal_replay_lsn() >= '${lsn}'::pg_lsn`;
      await until("the standby has caught up", async () => (await ask(url, has)) === true);
    },
    urlOf(primaryUrl) {
      const at = new URL(primaryUrl);
      at.port = String(port);
      return at.href;
    },
    async pauseReplay() {
      await runOnce(url, "select pg_wal_replay_pause()");
      const paused = "select pg_get_wal_replay_pause_state() = 'paused'";
      await until("the replay is paused", async () => (await ask(url, paused)) === true);
    },
    async resumeReplay() {
      await runOnce(url, "select pg_wal_replay_resume()");
    },
    async delayReplay(ms) {
      await runOnce(url, `alter system set recovery_min_apply_delay = ${ms}`);
      await runOnce(url, "select pg_reload_conf()");
    },
    async cutOff() {
      await runOnce(url, "alter system set primary_conninfo = ''");
      await runOnce(url, "select pg_reload_conf()");
      const none = "select not exists (select from pg_stat_wal_receiver)";
      await until("the standby receives nothing", async () => (await ask(url, none)) === true);
    },
    async promote() {
      await runOnce(url, "select pg_promote(true, 30)");
    },
    async stop() {
      signalTree(server.pid, "SIGCONT");
      server.kill("SIGQUIT");
      await server.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
