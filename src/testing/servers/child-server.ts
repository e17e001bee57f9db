import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * What the real servers of the tests share: private folders, free ports, and the promise that
 * nothing outlives the test process, however it ends.
 */

/**
 * Outlives us by a moment: its input ends when we end, however that comes about (`bun test`
 * fires no exit event, and SIGKILL fires nothing), then it kills the server last named to it
 * and removes the folder. It must not die of the Ctrl-C that ended us.
 */
const JANITOR = `trap '' INT TERM HUP
while read -r pid; do server=$pid; done
[ -n "$server" ] && kill -KILL "$server" 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && [ ! -e "$1" ] && exit; sleep 0.2; done`;

/** Sees to it that neither the folder nor the server named last outlives this process. */
export function guardFolder(folder: string): (serverPid: number) => void {
  const janitor = Bun.spawn(["sh", "-c", JANITOR, "janitor", folder], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
  });
  janitor.unref();
  return (serverPid) => {
    void janitor.stdin.write(`${serverPid}\n`);
    void janitor.stdin.flush();
  };
}

/** A new folder name under the system's temp folder. */
export function privateFolder(kind: string): string {
  return join(tmpdir(), `taskforce-mailer-test-${kind}-${crypto.randomUUID().slice(0, 8)}`);
}

/** A port nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const listening = Promise.withResolvers<number>();
  server.once("error", listening.reject);
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    listening.resolve(typeof address === "object" && address ? address.port : 0);
  });
  const port = await listening.promise;
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  await closed.promise;
  return port;
}

/** Asks `isReady` every 20 ms until it is true; throws with `what` after the deadline. */
export async function until(
  what: string,
  isReady: () => Promise<boolean> | boolean,
  deadlineMs = 20_000,
): Promise<void> {
  const endsAt = performance.now() + deadlineMs;
  while (!(await isReady())) {
    if (performance.now() > endsAt) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await Bun.sleep(20);
  }
}

/**
 * Puts `setpriv` in front: the kernel then sends `signal` to the server when we die, even by
 * SIGKILL, and a server that refuses to run as root gets another user. The process id stays.
 */
export function asChild(command: string[], signal: string, user: string | null): string[] {
  const setpriv = Bun.which("setpriv");
  if (setpriv === null) {
    if (user !== null) throw new Error("setpriv (util-linux) is needed to leave root");
    return command;
  }
  const identity = user === null ? [] : [`--reuid=${user}`, `--regid=${user}`, "--init-groups"];
  return [setpriv, ...identity, `--pdeathsig=${signal}`, ...command];
}

/** Sends a signal to a process and all its descendants (PostgreSQL's are no process group). */
export function signalTree(pid: number, signal: NodeJS.Signals): void {
  signalAll(familyOf(pid), signal);
}

/** A process and all its descendants, itself first. */
export function familyOf(pid: number): number[] {
  return [pid, ...descendants(pid)];
}

/** Processes whose working directory this is; PostgreSQL's are in its data folder. */
export function processesIn(folder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readlinkSync(`/proc/${name}/cwd`) === folder;
      } catch {
        // It ended in between, or is not ours.
        return false;
      }
    })
    .map(Number);
}

export function signalAll(pids: number[], signal: NodeJS.Signals): void {
  for (const member of pids) {
    try {
      process.kill(member, signal);
    } catch {
      // It ended in between, which is as good.
    }
  }
}

function descendants(pid: number): number[] {
  const children: number[] = [];
  for (const name of readdirSync("/proc")) {
    if (/^\d+$/.test(name) && parentOf(name) === pid) children.push(Number(name));
  }
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function parentOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold blanks; state and parent follow its last bracket.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return -1;
  }
}
