import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ReleaseError, run } from "./release-checkout.ts";

/** The name of the program, and of the folder in its archives. */
export const program = "taskforce-mailer";
export const sumsFile = "SHA256SUMS";

/** The files of a release by what they are, but for the sums. */
export function releaseFiles(version: string) {
  const prefix = `${program}-${version}`;
  return {
    /** The folder in the archive of a target; the archive is called alike. */
    folder: (target: string) => `${prefix}-${target}`,
    archive: (target: string) => `${prefix}-${target}.tar.gz`,
    image: `${prefix}-image.tar.gz`,
    sbom: `${prefix}.cdx.json`,
    notes: `${prefix}-notes.md`,
    client: `${program}-client-${version}.tgz`,
  };
}

/** As `sha256sum` writes it, so that `sha256sum -c SHA256SUMS` checks a download. */
export function sumsOf(folder: string, names: readonly string[]): string {
  return names
    .toSorted()
    .map((name) => `${sha256Of(join(folder, name))}  ${name}\n`)
    .join("");
}

/** Name → sum; throws on a line that is none of `sha256sum`, or names a file elsewhere. */
export function readSums(text: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [, sum, name] = /^([0-9a-f]{64}) [ *]([\w+-][\w.+-]*)$/.exec(line) ?? [];
      if (sum === undefined || name === undefined) throw new Error(`not understood: ${line}`);
      return [name, sum];
    }),
  );
}

export function sha256Of(path: string): string {
  return new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
}

/** Path in the folder → sum of every file; throws on a link or another thing that is no file. */
export function sumsUnder(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const others = entries.filter((entry) => !entry.isFile() && !entry.isDirectory());
  if (others.length > 0) throw new Error(`${others[0]?.name} is no file`);
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    paths.sort().map((path) => [path.slice(folder.length + 1), sha256Of(path)] as const),
  );
}

/**
 * Packs everything in `folder` into a `.tar.gz` whose bytes depend on names, contents and modes
 * alone: sorted, of one time, of user 0. Unpacks it again and compares every sum.
 */
export async function pack(folder: string, file: string, timeSeconds: number): Promise<void> {
  const fixed = [
    "--format=ustar",
    "--sort=name",
    `--mtime=@${timeSeconds}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--mode=u=rwX,go=rX",
    // Without a name and a time of its own in the header.
    "--use-compress-program=gzip -n",
  ];
  const names = readdirSync(folder).sort();
  await run(["tar", "--create", "--file", file, ...fixed, "--directory", folder, "--", ...names]);
  await withUnpacked(file, async (unpacked) => {
    const [before, after] = [sumsUnder(folder), sumsUnder(unpacked)];
    if (!Bun.deepEquals([...before], [...after]))
      throw new ReleaseError([`${file}: what is unpacked differs from what was packed`]);
  });
}

const keep = ["--no-same-owner", "--preserve-permissions"];

/** Unpacks an archive for as long as `work` takes. */
export function withUnpacked<T>(file: string, work: (folder: string) => Promise<T>): Promise<T> {
  return withFolder(async (folder) => {
    await run(["tar", "--extract", "--gzip", ...keep, "--file", file, "-C", folder]);
    return await work(folder);
  });
}

/** A new folder, which is removed afterwards. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), `${program}-release-`));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
