import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { privateFolder } from "./servers/child-server.ts";

setDefaultTimeout(120_000);

/**
 * The lint rules carry promises (no room imports from the wrong side, no promise is lost), so
 * they are tested like any other: a violation is put into a copy of the tree and must be found.
 */

const root = resolve(import.meta.dir, "../..");
let copy: string;

beforeAll(() => {
  copy = privateFolder("walls");
  mkdirSync(copy, { recursive: true });
  for (const name of [
    "biome.json",
    ".oxlintrc.json",
    "tsconfig.json",
    "package.json",
    ".gitignore",
  ]) {
    cpSync(join(root, name), join(copy, name));
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  Bun.spawnSync(["git", "init", "-q"], { cwd: copy });
  for (const room of rooms) add(`src/${room}/there.ts`, "export const there = 1;\n");
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const rooms = [
  "email",
  "outgoing",
  "runtime",
  "crypto",
  "auth",
  "store",
  "mail",
  "content",
  "journal",
  "queue",
  "delivery",
  "emails",
  "webhooks",
  "smtp-in",
  "http",
  "admin",
  "metrics",
  "doctor",
  "server",
  "cli",
  "client",
  "testing",
];

/** One import per wall that must not be possible, and the nearest one that is. */
const walls: [from: string, forbidden: string[], allowed: string[]][] = [
  ["email", ["runtime", "crypto", "outgoing", "auth", "store", "mail", "queue", "http", "cli"], []],
  ["runtime", ["email", "crypto", "store", "mail", "queue", "delivery", "http", "testing"], []],
  ["crypto", ["auth", "store", "mail", "content", "http"], ["email", "runtime"]],
  ["outgoing", ["email", "crypto", "auth", "store", "mail", "delivery", "webhooks", "http"], []],
  ["auth", ["crypto", "store", "mail", "content", "http"], ["email", "outgoing"]],
  ["store", ["crypto", "auth", "mail", "content", "queue", "delivery"], ["email", "runtime"]],
  ["mail", ["crypto", "auth", "store", "content", "queue", "delivery"], ["email", "runtime"]],
  ["content", ["journal", "queue", "delivery", "emails", "http"], ["crypto", "store", "mail"]],
  ["journal", ["content", "queue", "delivery", "http"], ["store", "crypto", "runtime"]],
  ["queue", ["delivery", "emails", "webhooks", "http", "testing"], ["store", "content", "journal"]],
  ["delivery", ["emails", "webhooks", "http", "admin"], ["queue", "content", "mail", "store"]],
  ["emails", ["webhooks", "http", "admin", "cli"], ["delivery", "queue", "content"]],
  ["webhooks", ["http", "admin"], ["emails", "queue", "store", "outgoing"]],
  ["smtp-in", ["http", "admin", "cli"], ["emails", "store"]],
  ["http", ["admin", "smtp-in", "cli", "testing"], ["emails", "delivery", "store", "mail"]],
  ["admin", ["http", "server", "cli"], ["emails", "queue", "store"]],
  ["metrics", ["doctor", "server", "cli"], ["delivery", "journal", "store"]],
  ["doctor", ["metrics", "server", "cli"], ["delivery", "queue", "store"]],
  ["server", ["cli", "testing"], ["http", "admin", "metrics", "doctor"]],
  ["cli", ["testing"], ["client", "server", "http", "admin", "delivery"]],
  ["client", ["email", "runtime", "store", "http"], []],
];

function add(path: string, text: string): void {
  mkdirSync(dirname(join(copy, path)), { recursive: true });
  writeFileSync(join(copy, path), text);
}

function run(program: string, args: string[]): { code: number; output: string } {
  const bin = join(root, "node_modules", ".bin", program);
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, "--bun", bin, ...args], {
    cwd: copy,
    env: { ...process.env, NO_COLOR: "1" },
  });
  return { code: exitCode, output: `${stdout}${stderr}` };
}

/** Paths that Biome finds at fault, as far as the walls are concerned. */
function faultyPaths(): string[] {
  const { output } = run("biome", ["ci", "--max-diagnostics=none", "--reporter=github", "src"]);
  const lines = output.split("\n").filter((line) => line.includes("wrong direction"));
  return lines.flatMap((line) => /file=[^,]*?(src\/[^,]+)/.exec(line)?.[1] ?? []);
}

describe("the walls between rooms", () => {
  test("every import from the wrong side is found, and none from the right side", () => {
    const forbidden: string[] = [];
    for (const [from, wrong, right] of walls) {
      for (const to of [...wrong, ...right]) {
        const path = `src/${from}/uses-${to}.ts`;
        add(path, `import { there } from "../${to}/there.ts";\n\nexport const here = there;\n`);
        if (wrong.includes(to)) forbidden.push(path);
      }
    }
    expect(faultyPaths().toSorted()).toEqual(forbidden.toSorted());
  });
});

describe("a lost promise", () => {
  const saving = [
    "interface Store {\n  save(text: string): Promise<void>;\n}",
    "export async function accept(store: Store): Promise<void> {\n  AWAITstore.save('x');\n}",
  ].join("\n");
  const adding = [
    'import { Queue } from "bullmq";',
    'export async function enqueue(): Promise<void> {\n  const queue = new Queue("q");',
    '  AWAITqueue.add("wake", {});\n}',
  ].join("\n");

  for (const [name, source] of [
    ["store.save()", saving],
    ["queue.add()", adding],
  ] as const) {
    test(`an un-awaited ${name} is found`, () => {
      rmSync(join(copy, "src"), { recursive: true });
      add("src/queue/lost.ts", source.replace("AWAIT", ""));
      const lost = run("oxlint", ["src"]);
      expect(lost.output).toContain("no-floating-promises");
      expect(lost.code).toBe(1);
      add("src/queue/lost.ts", source.replace("AWAIT", "await "));
      expect(run("oxlint", ["src"])).toEqual({
        code: 0,
        output: expect.stringContaining("Found 0 warnings and 0 errors."),
      });
    });
  }
});
