import { cpSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { checkout, readText, type Settings } from "./deployment-files.ts";

export interface Instruction {
  /** `RUN`, `COPY`, … */
  readonly name: string;
  /** `--from=…`, `--interval=…` and so on. */
  readonly flags: Settings;
  readonly rest: string;
}

/** What a container of the image is started with. */
export interface Image {
  readonly base: string;
  readonly env: Settings;
  readonly user: string;
  readonly port: number;
  readonly stopSignal: string;
  readonly volumes: readonly string[];
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthcheck: { readonly command: readonly string[]; readonly flags: Settings };
  /** Where files come from and go to, with `--chown`. */
  readonly copies: readonly { from: string; to: string; owner: string | undefined }[];
}

/** The instructions of each stage, `FROM` first. */
export function readStages(): Instruction[][] {
  const lines = readText("Dockerfile")
    .replace(/^#.*\n/gm, "")
    .replaceAll(/\\\n/g, " ")
    .split("\n");
  const stages: Instruction[][] = [];
  for (const line of lines.filter((text) => text.trim() !== "")) {
    const [, name = "", flags = "", rest = ""] =
      /^([A-Z]+)\s+((?:--\S+\s+)*)(.*)$/.exec(line.trim()) ?? [];
    if (name === "FROM") stages.push([]);
    stages.at(-1)?.push({ name, flags: flagsOf(flags), rest: rest.trim() });
  }
  return stages;
}

function flagsOf(text: string): Settings {
  const found = text.matchAll(/--([a-z-]+)=(\S+)/g);
  return Object.fromEntries(Array.from(found, ([, name = "", value = ""]) => [name, value]));
}

export function readImage(): Image {
  const stage = readStages().at(-1) ?? [];
  const only = (name: string) => {
    const found = stage.filter((instruction) => instruction.name === name);
    if (found.length !== 1 || !found[0]) throw new Error(`${found.length} × ${name}, not one`);
    return found[0];
  };
  const check = only("HEALTHCHECK");
  return {
    base: only("FROM").rest,
    env: Object.fromEntries(
      only("ENV")
        .rest.split(/\s+/)
        .map((pair) => pair.split("=")),
    ),
    user: only("USER").rest,
    port: Number(only("EXPOSE").rest),
    stopSignal: only("STOPSIGNAL").rest,
    volumes: only("VOLUME").rest.split(/\s+/),
    entrypoint: JSON.parse(only("ENTRYPOINT").rest),
    command: JSON.parse(only("CMD").rest),
    healthcheck: { command: JSON.parse(check.rest.replace(/^CMD /, "")), flags: check.flags },
    copies: stage
      .filter(({ name }) => name === "COPY")
      .map(({ rest, flags }) => {
        const [from = "", to = ""] = rest.split(/\s+/);
        return { from, to, owner: flags.chown };
      }),
  };
}

/**
 * Does in `folder` what the build stage does in its WORKDIR: COPY from the checkout as far as
 * .dockerignore lets it, RUN with this machine's shell and programs. Throws what a RUN said.
 */
export async function runBuildStage(folder: string, env: Settings): Promise<void> {
  const [stage = []] = readStages();
  for (const { name, rest } of stage) {
    if (name === "RUN") await runIn(folder, rest, env);
    else if (name === "COPY") copyIn(folder, rest);
    else if (name !== "FROM" && name !== "WORKDIR") throw new Error(`not understood: ${name}`);
  }
}

async function runIn(folder: string, script: string, env: Settings): Promise<void> {
  const child = Bun.spawn(["sh", "-ec", script], {
    cwd: folder,
    env,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`RUN ${script}\n${said}`);
}

function copyIn(folder: string, rest: string): void {
  const sources = rest.split(/\s+/);
  const to = join(folder, sources.pop() ?? ".");
  for (const path of buildContext()) {
    if (!sources.includes(".") && !sources.includes(path)) continue;
    mkdirSync(dirname(join(to, path)), { recursive: true });
    cpSync(join(checkout, path), join(to, path));
  }
}

/** The files that `docker build .` sends: of the last line that speaks of one, `!` lets it in. */
export function buildContext(): string[] {
  const lines = readText(".dockerignore").split("\n");
  const rules = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const top = readdirSync(checkout).filter((name) => !isIgnored(name, rules));
  const paths = top.flatMap((name) => filesUnder(name));
  return paths.filter((path) => !isIgnored(path, rules));
}

/** Paths from the checkout on, of the file itself or of all files of a folder. */
function filesUnder(name: string): string[] {
  if (!statSync(join(checkout, name)).isDirectory()) return [name];
  const entries = readdirSync(join(checkout, name), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((file) => join(file.parentPath, file.name).slice(checkout.length + 1));
}

function isIgnored(path: string, rules: string[]): boolean {
  const isAbout = (rule: string) => {
    const glob = new Bun.Glob(rule.replace(/^!/, ""));
    const parts = path.split("/");
    return parts.some((_, index) => glob.match(parts.slice(0, index + 1).join("/")));
  };
  return rules.findLast(isAbout)?.startsWith("!") === false;
}
