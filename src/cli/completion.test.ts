import { describe, expect, test } from "bun:test";
import { $ } from "bun";
import { runCommandLine } from "./commands.ts";

async function run(...args: string[]): Promise<{ code: number; stdout: string }> {
  let stdout = "";
  const write = (text: string) => {
    stdout += text;
  };
  const io = { stdout: { write }, stderr: { write: () => {} }, env: {}, isTty: false };
  return { code: await runCommandLine(args, io), stdout };
}

async function commandNames(): Promise<string[]> {
  const { stdout } = await run("--help");
  return Array.from(stdout.matchAll(/^ {2}([a-z-]+) {2,}/gm), ([, name = ""]) => name);
}

test.each(["bash", "zsh", "fish"])(
  "%s completes every command and the options of its help",
  async (shell) => {
    const { code, stdout } = await run("completion", shell);
    expect(code).toBe(0);
    for (const name of await commandNames()) expect(stdout).toContain(name);
    expect(stdout).toContain(shell === "fish" ? "-l skip-faulty" : "--skip-faulty");
  },
);

test("bash takes the script, and completes by it", async () => {
  const { stdout } = await run("completion", "bash");
  const script = `${stdout}\nCOMP_WORDS=(taskforce-mailer import --ski); COMP_CWORD=2; _taskforce_mailer
printf '%s ' "\${COMPREPLY[@]}"
COMP_WORDS=(taskforce-mailer can); COMP_CWORD=1; _taskforce_mailer; printf '%s' "\${COMPREPLY[@]}"`;
  expect(await $`bash -c ${script}`.text()).toBe("--skip-faulty cancel");
});

describe("exit 2", () => {
  test.each([[[]], [["powershell"]], [["bash", "zsh"]]])("%p", async (args) => {
    expect((await run("completion", ...args)).code).toBe(2);
  });
});

test("every command's help has an example", async () => {
  const names = await commandNames();
  expect(names.length).toBeGreaterThan(20);
  for (const name of names) {
    const { code, stdout } = await run(name, "--help");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: taskforce-mailer [\s\S]*\nExamples?:/);
  }
});
