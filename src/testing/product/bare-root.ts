import {
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { guardFolder, privateFolder } from "../servers/child-server.ts";
import { productBinary } from "./product.ts";

/** A root file system as a container of the image has it, for lack of a container engine. */
export interface BareRoot {
  readonly folder: string;
  /** Runs the binary inside, with the arguments it is given; name it to `startProduct`. */
  readonly bin: string;
}

export interface BareRootOptions {
  /** Where the image has the binary. */
  binaryPath: string;
  /** `uid:gid` of the image's USER. */
  user: string;
  /** The folder of that user, the image's volume. */
  dataDir: string;
  /** Names that resolve to 127.0.0.1, as those of the other containers do. */
  hosts: readonly string[];
  /** More files, by their path inside. */
  files: Readonly<Record<string, string>>;
}

const programs = ["unshare", "chroot", "setpriv", "ldd"];

/** Why this machine cannot do it; null when it can. */
export function whyNoBareRoot(): string | null {
  if (process.getuid?.() !== 0) return "chroot needs root";
  const missing = programs.filter((program) => Bun.which(program) === null);
  if (missing.length > 0) return `missing programs: ${missing.join(", ")}`;
  const tried = Bun.spawnSync(["unshare", "--mount", "--pid", "--fork", "chroot", "/", "true"]);
  return tried.exitCode === 0 ? null : `not allowed here: ${tried.stderr.toString().trim()}`;
}

/**
 * An empty folder with the binary, the libraries that ldd names, /etc/hosts, /tmp, the data folder
 * and an empty /proc, which is mounted for each process: it runs as PID 1 of its own, without any
 * capability, as the image's user, who owns nothing but the data folder. Removed when we end.
 */
export function createBareRoot(options: BareRootOptions): BareRoot {
  const folder = privateFolder("bare-root");
  for (const name of ["proc", "tmp", "etc", options.dataDir]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  guardFolder(folder);
  chmodSync(join(folder, "tmp"), 0o1777);
  const [uid = 0, gid = 0] = options.user.split(":").map(Number);
  chownSync(join(folder, options.dataDir), uid, gid);
  const names = ["localhost", ...options.hosts].join(" ");
  for (const [path, text] of Object.entries({
    ...options.files,
    "/etc/hosts": `127.0.0.1 ${names}\n`,
  })) {
    writeFileSync(join(folder, path), text);
  }
  place(productBinary(), join(folder, options.binaryPath));
  for (const library of librariesOf(productBinary())) place(library, join(folder, library));
  const launcher = placeLauncher(folder, `--reuid=${uid} --regid=${gid} --clear-groups`);
  const bin = join(folder, ".launcher/run");
  const shell = `unshare --mount --pid --fork --mount-proc=${folder}/proc chroot ${folder}`;
  writeFileSync(bin, `#!/bin/sh\nexec ${shell} ${launcher} ${options.binaryPath} "$@"\n`);
  chmodSync(bin, 0o700);
  return { folder, bin };
}

/** The process id, seen from here, of the one process that runs inside under `unshare`. */
export function insidePid(unsharePid: number): number {
  const children = readFileSync(`/proc/${unsharePid}/task/${unsharePid}/children`, "utf8");
  const [pid, ...others] = children.trim().split(" ").map(Number);
  if (!pid || others.length > 0) throw new Error(`not one child: ${children}`);
  return pid;
}

/**
 * setpriv, which gives up root inside and makes the kernel kill the product when we die. It keeps
 * its libraries to itself, so that the product cannot borrow any.
 */
function placeLauncher(folder: string, identity: string): string {
  const setpriv = Bun.which("setpriv") ?? "";
  const home = join(folder, ".launcher");
  mkdirSync(home, { mode: 0o700 });
  const libraries = librariesOf(setpriv);
  for (const file of [setpriv, ...libraries]) copyFileSync(file, join(home, basename(file)));
  const loader = libraries.find((file) => basename(file).startsWith("ld-")) ?? "";
  const less = "--no-new-privs --bounding-set=-all --inh-caps=-all --pdeathsig=SIGKILL";
  return `/.launcher/${basename(loader)} --library-path /.launcher /.launcher/setpriv ${identity} ${less}`;
}

/** Absolute paths of what the dynamic linker loads, itself included. */
function librariesOf(program: string): string[] {
  const listed = Bun.spawnSync(["ldd", program]).stdout.toString();
  return Array.from(listed.matchAll(/(\/\S+) \(0x/g), ([, path = ""]) => path);
}

/** A hard link where that is possible: the binary has over 100 MB. */
function place(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  const file = realpathSync(from);
  try {
    linkSync(file, to);
  } catch {
    // Another file system.
    copyFileSync(file, to);
  }
}
