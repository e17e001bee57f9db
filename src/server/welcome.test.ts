import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { scheduleCommand } from "./schedule-command.ts";
import { printWelcome } from "./welcome.ts";

let server: ReturnType<typeof Bun.serve>;
let received: { authorization: string | null; contentType: string | null; body: unknown }[] = [];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "welcome-"));
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(req) {
      received.push({
        authorization: req.headers.get("authorization"),
        contentType: req.headers.get("content-type"),
        body: await req.json(),
      });
      return Response.json({ success: true }, { status: 201 });
    },
  });
});

afterAll(async () => {
  await server.stop(true);
  await rm(folder, { recursive: true, force: true });
});

/** Runs a pasted line as an interactive user would, and tells what the server received. */
async function paste(shell: string[], line: string, path = process.env.PATH ?? "") {
  received = [];
  const child = spawn(shell[0] ?? "", [...shell.slice(1), line], { env: { PATH: path } });
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { status, received: received[0] };
}

function lineWith(tools: string[]): string {
  return scheduleCommand({
    baseUrl: `http://127.0.0.1:${server.port}`,
    token: "a.b-c_d",
    hasTool: (name) => tools.includes(name),
    execPath: process.execPath,
  });
}

function expectScheduled(result: Awaited<ReturnType<typeof paste>>): void {
  expect(result.status).toBe(0);
  expect(result.received?.authorization).toBe("Bearer a.b-c_d");
  expect(result.received?.contentType).toContain("application/json");
  const body = result.received?.body as { recipients: string[]; scheduled_at: string };
  expect(body.recipients).toEqual(["you@example.com"]);
  const aheadMs = Date.parse(body.scheduled_at) - Date.now();
  expect(aheadMs).toBeGreaterThan(3_000);
  expect(aheadMs).toBeLessThanOrEqual(10_000);
}

const shells = [
  ["bash", "-c"],
  ["dash", "-c"],
  ["zsh", "-c"],
  ["busybox", "sh", "-c"],
].filter(([name]) => Bun.which(name ?? "") !== null);
const tools = ["curl", "wget", "bun", "node"].filter((name) => Bun.which(name) !== null);

describe("the line to paste", () => {
  for (const shell of shells) {
    for (const tool of tools) {
      test(`works in ${shell[0]} with ${tool}`, async () => {
        expectScheduled(await paste(shell, lineWith([tool])));
      });
    }
    test(`works in ${shell[0]} with nothing but this program itself`, async () => {
      expectScheduled(await paste(shell, lineWith([])));
    });
  }

  test("is one line that prefers curl", () => {
    const line = lineWith(["curl", "wget", "bun", "node"]);
    expect(line).not.toContain("\n");
    expect(line.startsWith("curl ")).toBe(true);
  });

  test.if(existsSync("/bin/busybox"))("works with busybox's own date and wget", async () => {
    const path = join(folder, "busybox");
    await mkdir(path);
    for (const name of ["date", "wget"]) await symlink("/bin/busybox", join(path, name));
    expectScheduled(await paste(["/bin/busybox", "sh", "-c"], lineWith(["wget"]), path));
  });

  test("asks a BSD date in its own form", async () => {
    const path = join(folder, "bsd");
    await mkdir(path);
    // Knows -r <seconds> and not -d, as on macOS and FreeBSD.
    const bsdDate = `#!/bin/sh\n[ "$2" = -d ] && exit 1\n[ "$2" = -r ] && exec ${Bun.which("date")} -u -d "@$3" "$4"\nexec ${Bun.which("date")} "$@"\n`;
    await writeFile(join(path, "date"), bsdDate);
    await chmod(join(path, "date"), 0o755);
    const pathWithBsd = `${path}:${process.env.PATH}`;
    const printed = spawnSync(process.execPath, ["-e", printingScript()], {
      env: { PATH: pathWithBsd },
    }).stdout.toString();
    expect(printed).toContain("date -u -r ");
    expectScheduled(await paste(["bash", "-c"], printed.trim(), pathWithBsd));
  });
});

function printingScript(): string {
  const options = `{ baseUrl: "http://127.0.0.1:${server.port}", token: "a.b-c_d", hasTool: () => true, execPath: "bun" }`;
  return `import { scheduleCommand } from "${import.meta.dir}/schedule-command.ts"; console.log(scheduleCommand(${options}));`;
}

describe("the welcome", () => {
  function printed(isTTY: boolean, env: Record<string, string>, isWhole = true): string {
    let text = "";
    printWelcome({
      baseUrl: "http://127.0.0.1:3000",
      signInLink: "http://127.0.0.1:3000/sign-in?code=abc",
      token: "a.b-c_d",
      capturedDir: "/somewhere/captured",
      program: "taskforce-mailer",
      isWhole,
      stdout: { isTTY, write: (chunk) => (text += chunk) },
      env: { PATH: process.env.PATH ?? "", ...env },
    });
    return text;
  }

  test("names the sign-in link, the token and the folder, and puts the command on its own line", () => {
    const text = printed(true, { NO_COLOR: "1" });
    expect(text).toContain("http://127.0.0.1:3000/sign-in?code=abc");
    expect(text).toContain("a.b-c_d");
    expect(text).toContain("/somewhere/captured");
    expect(text.split("\n").some((line) => /^(curl|wget|bun|node) /.test(line))).toBe(true);
  });

  test("is coloured only on a terminal without NO_COLOR", () => {
    expect(printed(true, {})).toContain("\x1b[");
    expect(printed(true, { NO_COLOR: "1" })).not.toContain("\x1b[");
    expect(printed(false, {})).not.toContain("\x1b[");
  });

  test("puts no credential into a log, and says how one is had", () => {
    const text = printed(false, {}, false);
    expect(text).not.toContain("code=");
    expect(text).not.toContain("a.b-c_d");
    expect(text).toContain("http://127.0.0.1:3000");
    expect(text).toContain("taskforce-mailer token --sub developer");
  });
});
