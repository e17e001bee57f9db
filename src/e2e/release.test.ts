import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { version } from "../../package.json";
import { migrationFiles } from "../store/migration-files.ts";
import { guardedFolder } from "../testing/product/product.ts";

setDefaultTimeout(240_000);

const root = resolve(import.meta.dir, "../..");
/** A checkout of its own, with this one's files and no history: nothing was released yet. */
const checkout = guardedFolder("release");
const at = (...path: string[]) => join(checkout, ...path);
const target = process.arch === "arm64" ? "linux-arm64" : "linux-x64";
const changelog = `# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something new.\n`;

beforeAll(async () => {
  const { out } = await run(
    ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    root,
  );
  for (const path of out
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(root, path)))) {
    mkdirSync(dirname(at(path)), { recursive: true });
    cpSync(join(root, path), at(path));
  }
  symlinkSync(join(root, "node_modules"), at("node_modules"));
  copyParts();
  writeFileSync(at("CHANGELOG.md"), changelog);
  await run(["git", "init", "--quiet"]);
  // The pattern of .gitignore is of a folder, which a link is not.
  writeFileSync(at(".git/info/exclude"), "/node_modules\n");
  await commit("begin");
});
afterAll(() => rmSync(checkout, { recursive: true, force: true }));

/** Parts that every build embeds and scripts/build would make anew, if this checkout has them. */
function copyParts(): void {
  const parts = existsSync(join(root, "dist")) ? readdirSync(join(root, "dist")) : [];
  for (const name of parts.filter((part) => /^(pglite-snapshot|bull-board-ui|.*\.cdx)/.test(part)))
    cpSync(join(root, "dist", name), at("dist", name));
}

async function run(command: string[], cwd = checkout) {
  // This very Bun, which scripts/lib/bun.sh then need not fetch.
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;
  const env = { PATH, HOME: process.env.HOME ?? "", NO_COLOR: "1" };
  const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err, output: out + err };
}

const release = (...args: string[]) => run([at("scripts/release"), ...args]);

async function commit(message: string): Promise<void> {
  const identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
  await run(["git", "add", "--all"]);
  const { code, output } = await run(["git", ...identity, "commit", "--quiet", "-m", message]);
  if (code !== 0) throw new Error(output);
}

test("scripts/release explains itself, and a wrong command line exits 2", async () => {
  expect(await release("--help")).toMatchObject({
    code: 0,
    out: expect.stringContaining("prepare <version>"),
  });
  for (const wrong of [
    [],
    ["publish"],
    ["prepare"],
    ["verify"],
    ["client", "please"],
    ["build", "all"],
    ["build", "--target", "windows"],
    ["prepare", "1.2.3", "--target", target],
  ]) {
    expect([wrong, await release(...wrong)]).toEqual([
      wrong,
      expect.objectContaining({ code: 2, err: expect.stringContaining("usage: scripts/release") }),
    ]);
  }
});

test("scripts/build refuses a system that no release is for", async () => {
  const { code, err } = await run([at("scripts/build"), "--target", "windows-x64"]);
  expect([code, err]).toEqual([2, expect.stringContaining("linux-arm64-musl")]);
});

describe("prepare", () => {
  const untouched = async () => (await run(["git", "status", "--porcelain"])).out;

  test("names everything that speaks against it at once, and changes nothing", async () => {
    writeFileSync(at("stray file"), "");
    const faulty = await release("prepare", "0.0.1");
    expect(faulty.code).toBe(1);
    expect(faulty.err).toContain("the tree is not clean: commit or stash");
    expect(faulty.err).toContain("stray file");
    expect(faulty.err).toContain(`0.0.1 is not newer than ${version}`);
    rmSync(at("stray file"));
    expect(await untouched()).toBe("");
  });

  test("refuses an existing tag, and a changelog with nothing to release", async () => {
    await run(["git", "tag", "v99.0.0"]);
    expect((await release("prepare", "99.0.0")).err).toContain("the tag v99.0.0 exists");
    await run(["git", "tag", "--delete", "v99.0.0"]);
    writeFileSync(at("CHANGELOG.md"), "# Changelog\n\n## [Unreleased]\n\n### Added\n");
    expect((await release("prepare", version)).err).toContain("[Unreleased] is empty");
    writeFileSync(at("CHANGELOG.md"), changelog);
    expect(await untouched()).toBe("");
  });

  test("writes the version, the changelog's section and the released migrations", async () => {
    const { code, out } = await release("prepare", version);
    expect([code, out]).toEqual([
      0,
      expect.stringContaining(`git commit -am "release: ${version}"`),
    ]);
    const today = new Date().toISOString().slice(0, 10);
    const text = readFileSync(at("CHANGELOG.md"), "utf8");
    expect(text).toMatch(
      new RegExp(`^## \\[Unreleased\\]\n\n## \\[${version}\\] - 20\\d\\d-`, "m"),
    );
    expect(text.includes(today) || text.includes(yesterday())).toBe(true);
    expect((await Bun.file(at("package.json")).json()).version).toBe(version);
    const schema = readFileSync(at("scripts/schema.ts"), "utf8");
    for (const { version: name, sql } of migrationFiles()) {
      const digest = new Bun.CryptoHasher("sha256").update(sql).digest("hex");
      expect(schema).toContain(`  "${name}": "${digest}",\n`);
    }
    // From now on a change makes another migration; nothing has changed yet.
    expect((await run([process.execPath, "scripts/schema.ts", "--check"])).code).toBe(0);
  });
});

/** 150 s on two busy cores, most of it packing and unpacking 150 MB again and again. */
describe.skipIf(!process.env.TEST_LONG)("a release of one target", () => {
  let built: Awaited<ReturnType<typeof release>>;
  let names: string[];
  beforeAll(async () => {
    await commit(`release: ${version}`);
    built = await release("build", "--target", target);
    names = existsSync(at("dist/release")) ? readdirSync(at("dist/release")).sort() : [];
  });

  test("build makes every file of it, and says what comes next", () => {
    expect([built.code, built.output]).toEqual([0, expect.stringContaining("built and verified")]);
    expect(names).toEqual(
      [
        "SHA256SUMS",
        `taskforce-mailer-${version}-image.tar.gz`,
        `taskforce-mailer-${version}-${target}.tar.gz`,
        `taskforce-mailer-${version}-notes.md`,
        `taskforce-mailer-${version}.cdx.json`,
        `taskforce-mailer-client-${version}.tgz`,
      ].sort(),
    );
    const notes = readFileSync(at("dist/release", `taskforce-mailer-${version}-notes.md`), "utf8");
    expect(notes).toBe("### Added\n\n- Something new.\n");
  });

  test("a second build of the same commit makes the same bytes", async () => {
    const sums = () => readFileSync(at("dist/release/SHA256SUMS"), "utf8");
    const before = sums();
    expect((await release("build", "--target", target)).code).toBe(0);
    expect(sums()).toBe(before);
  });

  test("the image's archive is the build context of the Dockerfile, and no more", async () => {
    const archive = at("dist/release", `taskforce-mailer-${version}-image.tar.gz`);
    const { out } = await run(["tar", "-tzf", archive]);
    const paths = out
      .trimEnd()
      .split("\n")
      .filter((path) => !path.endsWith("/"));
    for (const path of ["Dockerfile", ".dockerignore", "bun.lock", "src/main.ts", "scripts/build"])
      expect(paths).toContain(path);
    const wrong = /(^|\/)(\.env.*|\.git|node_modules|dist|testing|[^/]*\.test\.ts)(\/|$)/;
    expect(paths.filter((path) => wrong.test(path))).toEqual([]);
  });

  test("verify names each target that is missing, and nothing else", async () => {
    const { code, err } = await release("verify", "dist/release");
    const faults = err.split("\n").filter((line) => line.startsWith("✗"));
    const others = ["linux-arm64", "linux-arm64-musl", "linux-x64", "linux-x64-musl"]
      .filter((name) => name !== target)
      .flatMap((name) => {
        const file = `taskforce-mailer-${version}-${name}.tar.gz`;
        return [`✗ ${file} is missing`, `✗ SHA256SUMS does not list ${file}`];
      });
    expect([code, faults.sort()]).toEqual([1, others.sort()]);
  });

  test("verify finds a changed file, one that is not listed, and an archive of another target", async () => {
    const folder = at("dist/changed");
    cpSync(at("dist/release"), folder, { recursive: true });
    appendFileSync(join(folder, `taskforce-mailer-${version}.cdx.json`), " ");
    writeFileSync(join(folder, "extra"), "");
    const archive = (name: string) => join(folder, `taskforce-mailer-${version}-${name}.tar.gz`);
    cpSync(archive(target), archive("linux-x64-musl"));
    const { code, err } = await release("verify", folder);
    expect(code).toBe(1);
    expect(err).toContain(`SHA256SUMS has another sum for taskforce-mailer-${version}.cdx.json`);
    expect(err).toContain("SHA256SUMS does not list extra");
    expect(err).toMatch(/✗ .*-linux-x64-musl\.tar\.gz holds /);
  });

  test("build refuses a tree that no commit holds", async () => {
    appendFileSync(at("README.md"), "changed\n");
    const { code, err } = await release("build", "--target", target);
    expect([code, err]).toEqual([1, expect.stringContaining("the tree is not clean")]);
    expect(err).toContain("README.md");
    await run(["git", "checkout", "--quiet", "README.md"]);
  });
});

function yesterday(): string {
  return new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
}
