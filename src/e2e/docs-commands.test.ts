import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Glob } from "bun";
import { loadConfig } from "../config.ts";
import { readDotenv } from "../config-dotenv.ts";
import { ConfigError } from "../config-error.ts";
import { configVariables } from "../config-variables.ts";
import { blocksOf, commandsOf } from "../testing/product/docs-commands.ts";
import { guardedFolder, type Product, productBinary } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";

setDefaultTimeout(120_000);

const folder = resolve("public/docs");
const names = [...new Glob("*.md").scanSync(folder)].sort().map((name) => join(folder, name));
const blocks = await Promise.all(
  [resolve("README.md"), ...names].map(async (path) =>
    blocksOf(basename(path), await Bun.file(path).text()),
  ),
).then((found) => found.flat());

/** What does not run here, by how the command begins, and why; all else is run. */
const notRun: readonly [RegExp, reason: string][] = [
  [
    /^docker(-compose| )/,
    "no container engine is at hand; deployment-files.test.ts and bare-root.test.ts check what they start",
  ],
  [/^scripts\/fly /, "fly-script.test.ts runs it against a stand-in for flyctl"],
  [/^fly /, "no Fly account is at hand; deployment-files.test.ts reads fly.toml"],
  [
    /^supabase /,
    "no Supabase project is at hand; supabase-project.test.ts applies the same migrations",
  ],
  [/^(sudo|journalctl) /, "changes the machine"],
  [
    /^taskforce-mailer (listen|trigger)\b/,
    "listens until it is ended; the tests of both commands do that",
  ],
  [
    /^curl (-N )?https:\/\/mail\.example\.com/,
    "asks for events for ever, or makes a real endpoint; the e2e tests of webhooks and of events do that",
  ],
  [
    /^(export TASKFORCE_MAILER_|taskforce-mailer (list|send|show|cancel|tail|import|completion)\b)/,
    "names the reader's server, files and ids; the tests of these commands run each of them",
  ],
  [
    /^(DATA_DIR=\S+ )?taskforce-mailer (backup|restore|tokens rotate)\b/,
    "is of the embedded database; backup.test.ts and rotate-secrets.test.ts run them",
  ],
  [
    /^taskforce-mailer migrate --from /,
    "moves an embedded database, and these commands talk to a server; move-to-postgres.test.ts runs it",
  ],
  [/^npm i resend$/, "is for the reader's own project; the package is one of ours for development"],
  [/^git pull/, "changes the checkout"],
  [
    /^\.\/scripts\/(start|build)\b/,
    "builds what runs here; scripts.test.ts and zero-configuration.test.ts run both parts",
  ],
  [/^taskforce-mailer serve$/, "is the server that the other commands talk to"],
  [/^taskforce-mailer --help$/, "commands.test.ts shows it"],
];

function reasonOf(command: string): string | null {
  return notRun.find(([begins]) => begins.test(command))?.[1] ?? null;
}

describe("settings that a page shows", () => {
  const known = new Set<string>([...configVariables.map(({ name }) => name), "HTTP_PORT"]);
  /** To be filled in: they are refused as they stand, and shall be. */
  const isUnfilled = (value: string) => /…|^the |^$/.test(value);
  for (const { page, text, kind } of blocks) {
    if (kind !== "settings") continue;
    test(`${page}: ${text.split("\n")[0]}`, () => {
      const { values } = readDotenv(text);
      expect(Object.keys(values).filter((name) => !known.has(name))).toEqual([]);
      const filled = Object.entries(values).filter(([, value]) => !isUnfilled(value));
      expect(
        faultsOf(Object.fromEntries(filled)).filter((name) => filled.some(([of]) => of === name)),
      ).toEqual([]);
    });
  }
});

function faultsOf(env: Record<string, string>): string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(({ name }) => name);
    throw error;
  }
}

describe("commands that a page shows", () => {
  const pages = [
    ...new Set(blocks.filter(({ kind }) => kind === "commands").map(({ page }) => page)),
  ];
  let stack: ProductionStack;
  let product: Product;
  let programs: string;
  beforeAll(async () => {
    stack = await startStack({ env: { REGION: "fra", RETRY_BASE_MS: "60000" } });
    product = await stack.start();
    programs = guardedFolder("docs-programs");
    symlinkSync(productBinary(), join(programs, "taskforce-mailer"));
  });
  afterAll(() => stack?.close());

  /** A folder like a checkout, with the binary where a page has it. */
  function checkout(): string {
    const here = guardedFolder("docs-checkout");
    mkdirSync(join(here, "dist"));
    symlinkSync(productBinary(), join(here, "dist/taskforce-mailer"));
    symlinkSync(resolve(".env.example"), join(here, ".env.example"));
    return here;
  }

  for (const page of pages) {
    const own = blocks.filter((block) => block.page === page && block.kind === "commands");
    const commands = own.flatMap(({ text }) => commandsOf(text));
    const run = commands.filter((command) => reasonOf(command) === null);
    test(`${page}: ${run.length} are run, ${commands.length - run.length} cannot be`, async () => {
      const postgres = new URL(stack.databaseUrl);
      const script = run
        // A file of settings that is written is of the folder it is written in.
        .map((command) =>
          command.includes("<<") ? `(mkdir -p etc; cd etc; ${command}\n)` : command,
        )
        .join("\n")
        .replaceAll("http://127.0.0.1:3000", product.url)
        .replaceAll("/usr/local/bin/taskforce-mailer", "taskforce-mailer")
        .replaceAll("--port=5432", `--port=${postgres.port}`);
      const sibling = (name: string) =>
        Object.assign(new URL(postgres), { pathname: `/${name}` }).href;
      const shell = Bun.spawn(["bash", "-euo", "pipefail", "-c", script], {
        cwd: checkout(),
        env: {
          ...stack.env,
          PATH: `${programs}:${dirname(Bun.which("initdb") ?? "/usr/lib/postgresql/15/bin/initdb")}:${process.env.PATH}`,
          ADMIN_URL: sibling("postgres"),
          RESTORED_URL: sibling("mailer_restored"),
          PGHOST: postgres.hostname,
          PGPORT: postgres.port,
          PGUSER: postgres.username,
        },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      const [out, err] = await Promise.all([
        new Response(shell.stdout).text(),
        new Response(shell.stderr).text(),
      ]);
      expect([await shell.exited, `${script}\n${out}\n${err}`]).toEqual([0, expect.any(String)]);
      expect(out).not.toContain('"success":false');
    });
  }

  test("what is said not to run is on some page", () => {
    const all = blocks.flatMap(({ text, kind }) => (kind === "commands" ? commandsOf(text) : []));
    expect(notRun.filter(([begins]) => !all.some((command) => begins.test(command)))).toEqual([]);
  });
});
