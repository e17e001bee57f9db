import { resolve } from "node:path";

/** flyctl said no, or is not there. */
export class FlyError extends Error {}

export interface Flyctl {
  /** Runs it where people see what it says. */
  run(args: readonly string[], input?: string): Promise<void>;
  /** Its stdout. */
  read(args: readonly string[]): Promise<string>;
}

const notThere =
  "flyctl is not on the PATH: https://fly.io/docs/flyctl/install/ says how, then `flyctl auth login`.";

/** The `flyctl` on the PATH. Secrets go through its stdin: arguments are seen by everybody. */
export function createFlyctl(): Flyctl {
  const path = Bun.which("flyctl") ?? Bun.which("fly");
  if (path === null) throw new FlyError(notThere);
  const spawn = async (args: readonly string[], stdout: "inherit" | "pipe", input?: string) => {
    const child = Bun.spawn([path, ...args], {
      // Where fly.toml and the Dockerfile are.
      cwd: resolve(import.meta.dir, ".."),
      stdin: input === undefined ? "inherit" : new Blob([input]),
      stdout,
      stderr: "inherit",
    });
    const told = stdout === "pipe" ? await new Response(child.stdout).text() : "";
    const code = await child.exited;
    if (code !== 0) throw new FlyError(`flyctl ${args.join(" ")}: ended with ${code}`);
    return told;
  };
  return {
    run: async (args, input) => void (await spawn(args, "inherit", input)),
    read: (args) => spawn(args, "pipe"),
  };
}
