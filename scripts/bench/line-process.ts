import { asChild } from "../../src/testing/servers/child-server.ts";

/** A program that answers each line of its input with a line of JSON. */
export interface LineProcess {
  readonly pid: number;
  /** The next line of its output. */
  read<Answer>(): Promise<Answer>;
  ask<Answer>(line: string): Promise<Answer>;
  stop(): Promise<void>;
}

/** Runs a TypeScript file beside this one in a process of its own. */
export function startLineProcess(
  file: string,
  args: string[],
  env: Record<string, string> = {},
): LineProcess {
  const child = Bun.spawn(
    asChild([process.execPath, `${import.meta.dir}/${file}`, ...args], "SIGKILL", null),
    {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: { PATH: process.env.PATH ?? "", NODE_ENV: "production", ...env },
    },
  );
  const lines = linesOf(child.stdout);
  async function read<Answer>(): Promise<Answer> {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${file} ended`);
    return JSON.parse(value) as Answer;
  }
  return {
    pid: child.pid,
    read,
    async ask<Answer>(line: string) {
      void child.stdin.write(`${line}\n`);
      await child.stdin.flush();
      return read<Answer>();
    },
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
