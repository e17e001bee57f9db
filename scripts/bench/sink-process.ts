import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { asChild, freePort, guardFolder } from "../../src/testing/servers/child-server.ts";
import { type Tally, tally } from "./sink-dump.ts";

/** Debian's smtp-sink in a process of its own. */
export interface SinkProcess {
  readonly port: number;
  /** Mails taken since it began. */
  readonly count: number;
  /** When counts were seen: milliseconds since 1970 and the count at that time. */
  readonly sightings: [at: number, count: number][];
  waitFor(count: number, timeoutMs: number): Promise<void>;
  /** The messages taken for these recipients since the last call; then forgets everything. */
  takeTally(prefix: string): Tally;
  stop(): Promise<void>;
}

/**
 * How often the count is looked at. A reader of a pipe would be woken by every mail, on the cores
 * that the contender works on.
 */
const lookEveryMs = 2;

/**
 * `-c` counts every mail at once, which gives times; `-D` appends all mails to one file, which
 * gives their ids. Both files are in memory and cost every contender the same.
 */
export async function startSink(
  tools: string,
  { isDumping = true }: { isDumping?: boolean } = {},
): Promise<SinkProcess> {
  const { folder, guard } = memoryFolder();
  const dump = join(folder, "mails");
  const port = await freePort();
  const binary = join(tools, "postfix/usr/sbin/smtp-sink");
  const privileges = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const options = [...privileges, "-c", "-m", "1000", ...(isDumping ? ["-D", dump] : [])];
  const counter = openSync(join(folder, "counter"), "a+");
  const child = Bun.spawn(
    asChild([binary, ...options, `127.0.0.1:${port}`, "1024"], "SIGKILL", null),
    {
      stdout: counter,
      stderr: "inherit",
      env: { LD_LIBRARY_PATH: join(tools, "postfix/usr/lib/postfix") },
    },
  );
  // The kernel forgets the signal of our death once it has changed its user.
  guard(child.pid);
  const sightings: [number, number][] = [];
  let count = 0;
  let watch: (() => void) | null = null;
  const readCount = countReader(counter);
  const looking = setInterval(() => {
    const seen = readCount();
    if (seen === null || seen <= count) return;
    count = seen;
    sightings.push([Date.now(), seen]);
    watch?.();
  }, lookEveryMs);
  await untilListening(port);
  return {
    port,
    get count() {
      return count;
    },
    sightings,
    async waitFor(wanted, timeoutMs) {
      const done = Promise.withResolvers<void>();
      const check = () => {
        if (count >= wanted) done.resolve();
      };
      const missing = () => done.reject(new Error(`sink has ${count} mails, not ${wanted}`));
      const timer = setTimeout(missing, timeoutMs);
      watch = check;
      check();
      await done.promise.finally(() => clearTimeout(timer));
    },
    takeTally(prefix) {
      const found = tally(existsSync(dump) ? readFileSync(dump, "latin1") : "", prefix);
      if (existsSync(dump)) truncateSync(dump);
      return found;
    },
    async stop() {
      clearInterval(looking);
      child.kill("SIGKILL");
      await child.exited;
      closeSync(counter);
    },
  };
}

function memoryFolder(): { folder: string; guard(pid: number): void } {
  const parent = existsSync("/dev/shm") ? "/dev/shm" : "/tmp";
  const folder = join(parent, `taskforce-mailer-bench-${crypto.randomUUID().slice(0, 8)}`);
  mkdirSync(folder);
  // smtp-sink gives up root before it writes.
  chmodSync(folder, 0o777);
  return { folder, guard: guardFolder(folder) };
}

/** The last count of a piece of its counters, `sess=1 quit=0 mesg=12`; null without one. */
export function lastCount(text: string): number | null {
  const found = text.match(/mesg=\d+(?=\r)/g)?.at(-1);
  return found === undefined ? null : Number(found.slice("mesg=".length));
}

/** Reads the newest count of a file of counters; null while nothing was added to it. */
function countReader(file: number): () => number | null {
  const tail = Buffer.alloc(256);
  let read = 0;
  return () => {
    const { size } = fstatSync(file);
    if (size === read) return null;
    read = size;
    const bytes = readSync(file, tail, 0, tail.length, Math.max(0, size - tail.length));
    return lastCount(tail.toString("latin1", 0, bytes));
  };
}

async function untilListening(port: number): Promise<void> {
  const endsAt = performance.now() + 10_000;
  for (;;) {
    try {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
      socket.end();
      return;
    } catch (error) {
      if (performance.now() > endsAt) throw error;
      await Bun.sleep(20);
    }
  }
}
