import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { productBinary } from "../testing/product/product.ts";
import { privateFolder } from "../testing/servers/child-server.ts";

setDefaultTimeout(120_000);

const root = resolve(import.meta.dir, "../..");
const folder = privateFolder("scripts");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(command: string[], cwd: string, env: Record<string, string>) {
  const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output: out + err };
}

/** A PATH with these programs and no others. */
function pathWith(programs: string[]): string {
  const path = join(folder, `bin-${programs.length}`);
  mkdirSync(path, { recursive: true });
  for (const program of programs) symlinkSync(Bun.which(program) ?? "", join(path, program));
  return path;
}

describe("scripts", () => {
  test("build says what to install where there is neither bun nor npm", async () => {
    const checkout = join(folder, "checkout");
    for (const name of ["scripts", "package.json", "bun.lock"]) {
      cpSync(join(root, name), join(checkout, name), { recursive: true });
    }
    const path = pathWith(["bash", "dirname", "sed", "sort", "head", "mkdir", "uname", "cat"]);
    const bash = Bun.which("bash") ?? "bash";
    const { code, output } = await run([bash, "scripts/build"], checkout, { PATH: path, HOME: "" });
    expect(code).toBe(1);
    expect(output).toContain("neither bun nor npm");
    expect(output).toContain("apt-get install nodejs npm");
  });

  test("demo explains itself, and a wrong command line exits 2", async () => {
    const demo = (...args: string[]) =>
      run([process.execPath, "scripts/demo.ts", ...args], root, {});
    expect(await demo("--help")).toMatchObject({ code: 0 });
    for (const wrong of [["--scenario", "none"], ["--in", "soon"], ["--what"]]) {
      const { code, output } = await demo(...wrong);
      expect(code).toBe(2);
      expect(output).toContain("usage: scripts/demo");
    }
  });
});

describe("commands that earlier documentation names", () => {
  test("node test-scheduling.js plays the walk of the demo", async () => {
    const command = ["node", "test-scheduling.js", "--own", "--in", "1s"];
    const env = { PATH: process.env.PATH ?? "", TASKFORCE_MAILER_BIN: productBinary() };
    const { code, output } = await run(command, root, env);
    expect(output).toContain("The story came true.");
    expect(code).toBe(0);
    expect((await run(["node", "test-scheduling.js", "--what"], root, env)).code).toBe(2);
  });

  test("pnpm install, dev and start: nothing in package.json forbids pnpm", async () => {
    const { scripts, ...manifest } = await Bun.file(join(root, "package.json")).json();
    // pnpm refuses a checkout whose packageManager is another program, and warns of a field "pnpm".
    expect([manifest.packageManager, manifest.pnpm]).toEqual([undefined, undefined]);
    for (const name of ["dev", "start"]) {
      const { code, output } = await run(["bash", scripts[name], "--help"], root, {
        PATH: process.env.PATH ?? "",
      });
      expect([code, output]).toEqual([0, expect.stringContaining(`usage: scripts/${name}`)]);
    }
    const settings = Bun.YAML.parse(await Bun.file(join(root, "pnpm-workspace.yaml")).text());
    expect(settings).toMatchObject({ lockfile: false, allowBuilds: { "msgpackr-extract": false } });
  });
});

describe("the demo's stories come true on the compiled binary", () => {
  const env = { PATH: process.env.PATH ?? "", TASKFORCE_MAILER_BIN: productBinary() };
  for (const [scenario, ahead] of [
    ["send", "9s"],
    ["retry", "1s"],
    ["cancel", "2s"],
    ["audit", "2s"],
  ] as const) {
    test(scenario, async () => {
      const command = [process.execPath, "scripts/demo.ts", "--own", "--scenario", scenario];
      const { code, output } = await run([...command, "--in", ahead], root, env);
      expect(output).toContain("The story came true.");
      expect(code).toBe(0);
    });
  }
});
