import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  asChild,
  freePort,
  guardFolder,
  privateFolder,
  signalAll,
} from "../../src/testing/servers/child-server.ts";
import { type Relay, untilItGreets } from "./relay.ts";

/**
 * Postfix asks for a user that nobody else works as and for a group that is neither that user's
 * nor nobody's. Debian has these two on every machine, so that nothing need be created.
 */
const owner = "mail";
const group = "operator";

/** What Postfix' TUNING_README says of speed, whether at its default or not; its queue is synced. */
const tuning: Record<string, string> = {
  default_process_limit: "100",
  smtp_destination_concurrency_limit: "100",
  initial_destination_concurrency: "100",
  smtp_connection_cache_on_demand: "yes",
  in_flow_delay: "0",
};

/** One relay for anybody on this machine, which asks no DNS and knows no local mailbox. */
export function mainCf(folder: string, programs: string, sinkPort: number): string {
  const libraries = join(programs, "usr/lib/postfix");
  const settings: Record<string, string> = {
    compatibility_level: "3.6",
    queue_directory: join(folder, "queue"),
    data_directory: join(folder, "data"),
    meta_directory: join(folder, "config"),
    daemon_directory: join(libraries, "sbin"),
    command_directory: join(programs, "usr/sbin"),
    shlib_directory: libraries,
    // The master clears its environment, in which the daemons would find their libraries.
    import_environment: `MAIL_CONFIG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH=${libraries}`,
    mail_owner: owner,
    setgid_group: group,
    maillog_file: join(folder, "maillog"),
    maillog_file_prefixes: folder,
    myhostname: "relay.example.test",
    mydestination: "",
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    mynetworks: "127.0.0.0/8",
    smtpd_relay_restrictions: "permit_mynetworks, reject",
    smtpd_peername_lookup: "no",
    alias_maps: "",
    alias_database: "",
    local_recipient_maps: "",
    fast_flush_domains: "",
    default_transport: "smtp",
    relayhost: `[127.0.0.1]:${sinkPort}`,
    smtp_dns_support_level: "disabled",
    smtp_host_lookup: "native",
    ...tuning,
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join("");
}

/**
 * Postfix' own table, less what delivers to mailboxes and speaks TLS: name, type, private,
 * unprivileged (`-` is yes), chroot, wake-up, limit of processes (`-` is default_process_limit).
 */
export function masterCf(port: number): string {
  return `127.0.0.1:${port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}

/** Folders of the queue in which mails lie. */
const mailFolders = ["incoming", "active", "deferred", "hold", "corrupt", "maildrop"];

/** Without `pid` among these the master ends at once, before it has opened its log. */
function makeFolders(folder: string): void {
  const make = (mode: string, names: string[]) => {
    const paths = names.map((name) => join(folder, name));
    const made = Bun.spawnSync(["install", "-d", "-o", owner, "-g", group, "-m", mode, ...paths]);
    if (!made.success) throw new Error(`Postfix' folders: ${made.stderr.toString()}`);
  };
  // The processes that gave up root pass through it.
  mkdirSync(folder);
  chmodSync(folder, 0o755);
  for (const name of ["config", "queue", "queue/pid"]) mkdirSync(join(folder, name));
  const others = ["bounce", "defer", "flush", "private", "saved", "trace"];
  make("0700", ["data", ...[...mailFolders, ...others].map((name) => `queue/${name}`)]);
  make("1730", ["queue/maildrop"]);
  make("2710", ["queue/public"]);
}

/** Why it cannot run here, in words; null when it can. */
export function whyNoPostfix(): string | null {
  return process.getuid?.() === 0 ? null : "its master starts as root only";
}

/** Postfix out of its unpacked package, with an instance of its own under the temp folder. */
export async function startPostfix(tools: string, sinkPort: number): Promise<Relay> {
  const folder = privateFolder("postfix");
  const guard = guardFolder(folder);
  makeFolders(folder);
  const port = await freePort();
  const programs = join(tools, "postfix");
  const libraries = join(programs, "usr/lib/postfix");
  const config = join(folder, "config");
  writeFileSync(join(config, "main.cf"), mainCf(folder, programs, sinkPort));
  writeFileSync(join(config, "master.cf"), masterCf(port));
  const env = { LD_LIBRARY_PATH: libraries };
  // It ends all its daemons when it gets SIGTERM, and could not when it got SIGKILL.
  const command = asChild([join(libraries, "sbin/master"), "-c", config], "SIGTERM", null);
  const child = Bun.spawn(command, { env, stdin: "ignore", stdout: "ignore", stderr: "inherit" });
  guard(child.pid);
  const log = () => {
    const file = join(folder, "maillog");
    return existsSync(file) ? readFileSync(file, "utf8").slice(-2_000) : "and wrote no log";
  };
  const close = () => stop(child);
  try {
    await untilItGreets("Postfix", port, child, log);
  } catch (error) {
    await close();
    throw error;
  }
  const words = Object.entries(tuning).map(([name, value]) => `${name}=${value}`);
  const version = Bun.spawnSync(
    [join(programs, "usr/sbin/postconf"), "-c", config, "-h", "mail_version"],
    { env },
  );
  return {
    name: "Postfix",
    port,
    pid: child.pid,
    settings: `${version.stdout.toString().trim()}, ${words.join(" ")}`,
    queued: () => queuedIn(join(folder, "queue")),
    close,
  };
}

/** Mails of a queue, whatever they wait for. */
export function queuedIn(queue: string): number {
  return mailFolders.flatMap((name) =>
    readdirSync(join(queue, name), { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    ),
  ).length;
}

/** The master leads a process group of its own daemons; whoever stays is killed with it. */
async function stop(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGTERM");
  await Promise.race([child.exited, Bun.sleep(5_000)]);
  signalAll([-child.pid], "SIGKILL");
  await child.exited;
}
