import { resolve } from "node:path";

/** The checkout, the version or what was built is not as it must be; each line names one fault. */
export class ReleaseError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

/** This checkout. */
export const root = resolve(import.meta.dir, "..");

/** Progress for people; a tool's stdout stays its result. */
export type Say = (words: string) => void;

/** The stdout of a program that ran in the checkout; its stderr is seen. Throws when it failed. */
export async function run(command: string[], cwd = root): Promise<string> {
  const child = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const told = await new Response(child.stdout).text();
  const code = await child.exited;
  if (code !== 0) throw new ReleaseError([`${command.join(" ")}: ended with ${code}`]);
  return told;
}

export function git(...args: string[]): Promise<string> {
  return run(["git", ...args]);
}

/** A release is made of what a commit holds, so that its tag names it. */
export async function treeFaults(): Promise<string[]> {
  const lines = (await git("status", "--porcelain")).trimEnd().split("\n").filter(Boolean);
  if (lines.length === 0) return [];
  const paths = lines.slice(0, 5).map((line) => line.slice(3));
  const more = lines.length > paths.length ? ` and ${lines.length - paths.length} more` : "";
  return [`the tree is not clean: commit or stash ${paths.join(", ")}${more}`];
}

export async function versionOfCheckout(): Promise<string> {
  return (await Bun.file(resolve(root, "package.json")).json()).version;
}

export function readText(path: string): Promise<string> {
  return Bun.file(resolve(root, path)).text();
}
