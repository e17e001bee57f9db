import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { elfFile } from "../src/testing/fixtures/elf-file.ts";
import { guardedFolder } from "../src/testing/product/product.ts";
import { ReleaseError } from "./release-checkout.ts";
import { pack, releaseFiles, sumsOf, withFolder } from "./release-files.ts";
import { type ReleaseTarget, releaseTargets, runsHere } from "./release-targets.ts";
import { type ExpectedRelease, verifyRelease } from "./release-verify.ts";

setDefaultTimeout(60_000);

const version = "1.2.3";
const files = releaseFiles(version);
/** Those whose programs are not run here, so that a header is enough. */
const targets = releaseTargets.filter((target) => !runsHere(target));
const folder = guardedFolder("release-verify");
const good = join(folder, "good");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Tree = Record<string, string | Uint8Array>;

async function archive(file: string, tree: Tree): Promise<void> {
  await withFolder(async (stage) => {
    for (const [path, content] of Object.entries(tree)) {
      mkdirSync(dirname(join(stage, path)), { recursive: true });
      writeFileSync(join(stage, path), content);
      if (path.endsWith("/taskforce-mailer")) chmodSync(join(stage, path), 0o755);
    }
    await pack(stage, file, 0);
  });
}

function program({ machine, interpreter }: ReleaseTarget, libraries: string[] = []): Uint8Array {
  return elfFile({ machine: machine === "aarch64" ? 183 : 62, interpreter, libraries });
}

function binaryTree(target: ReleaseTarget, bytes = program(target)): Tree {
  const inside = files.folder(target.name);
  const texts = { [`${inside}/LICENSE`]: "MIT", [`${inside}/README.md`]: "# Mailer" };
  return { ...texts, [`${inside}/taskforce-mailer`]: bytes };
}

const context: Tree = {
  Dockerfile: "FROM scratch",
  ".dockerignore": "*",
  "bun.lock": "{}",
  "package.json": JSON.stringify({ version }),
  "scripts/build": "#!/bin/sh",
  "src/main.ts": "",
};
const sbom = {
  bomFormat: "CycloneDX",
  metadata: { component: { version } },
  components: [{ name: "hono" }],
};

beforeAll(async () => {
  mkdirSync(good);
  for (const target of targets)
    await archive(join(good, files.archive(target.name)), binaryTree(target));
  await archive(join(good, files.image), context);
  const manifest = JSON.stringify({ name: "taskforce-mailer-client", version });
  await archive(join(good, files.client), { "package/package.json": manifest });
  writeFileSync(join(good, files.sbom), JSON.stringify(sbom));
  writeFileSync(join(good, files.notes), "### Added\n");
  writeSums(good);
});

function writeSums(where: string): void {
  const names = readdirSync(where).filter((name) => name !== "SHA256SUMS");
  writeFileSync(join(where, "SHA256SUMS"), sumsOf(where, names));
}

/** The faults of a copy of the good release after `change`. */
async function faultsAfter(
  change: (where: string) => unknown,
  { isSummed = true } = {},
): Promise<readonly string[]> {
  const where = join(folder, crypto.randomUUID());
  cpSync(good, where, { recursive: true });
  await change(where);
  if (isSummed) writeSums(where);
  return await faultsOf(where);
}

async function faultsOf(where: string, expected: ExpectedRelease = { targets, commit: null }) {
  try {
    await verifyRelease(where, () => {}, expected);
    return [];
  } catch (error) {
    if (error instanceof ReleaseError) return error.faults;
    throw error;
  }
}

test("a release as it was built has no fault", async () => {
  expect(await faultsOf(good)).toEqual([]);
});

test("a folder that holds no release is named, also one that is not there", async () => {
  for (const where of [folder, "/nonexistent"])
    expect(await faultsOf(where)).toEqual([expect.stringContaining("holds no release")]);
});

describe("the sums", () => {
  const unsummed = { isSummed: false };

  test("a file that was changed, left out, or put there", async () => {
    const changed = (where: string) => writeFileSync(join(where, files.notes), "### Changed\n");
    expect(await faultsAfter(changed, unsummed)).toEqual([
      `SHA256SUMS has another sum for ${files.notes}`,
    ]);
    const removed = (where: string) => rmSync(join(where, files.client));
    expect(await faultsAfter(removed, unsummed)).toEqual([
      `${files.client} is missing`,
      `SHA256SUMS lists ${files.client}, which is missing`,
    ]);
    const added = (where: string) => writeFileSync(join(where, "extra"), "");
    expect(await faultsAfter(added, unsummed)).toEqual(["SHA256SUMS does not list extra"]);
  });

  test("that are not there, or no sums", async () => {
    const removed = (where: string) => rmSync(join(where, "SHA256SUMS"));
    const garbled = (where: string) => writeFileSync(join(where, "SHA256SUMS"), "so be it\n");
    for (const change of [removed, garbled]) {
      expect(await faultsAfter(change, unsummed)).toEqual([
        expect.stringMatching(/^SHA256SUMS cannot be read: /),
      ]);
    }
  });

  test("a target that was not built is missing", async () => {
    const faults = await faultsOf(good, { targets: releaseTargets, commit: null });
    const own = releaseTargets.filter((target) => !targets.includes(target));
    expect(faults).toEqual(
      own.flatMap(({ name }) => [
        `${files.archive(name)} is missing`,
        `SHA256SUMS does not list ${files.archive(name)}`,
      ]),
    );
  });
});

describe("a binary's archive", () => {
  const target = targets.find(({ name }) => name === "linux-arm64-musl") as ReleaseTarget;
  const file = files.archive(target.name);
  const withTree = (tree: Tree) => (where: string) => archive(join(where, file), tree);

  test("with a program of another machine or libc, or that needs more than libc", async () => {
    const glibc = { ...target, interpreter: "/lib/ld-linux-aarch64.so.1" };
    const cases: [Uint8Array, string][] = [
      [program({ ...target, machine: "x86-64" }), "is for x86-64, not aarch64"],
      [program(glibc), "asks for /lib/ld-linux-aarch64.so.1, not /lib/ld-musl-aarch64.so.1"],
      [program(target, ["libstdc++.so.6", "libssl.so.3"]), "needs libssl.so.3"],
    ];
    for (const [bytes, fault] of cases)
      expect(await faultsAfter(withTree(binaryTree(target, bytes)))).toEqual([`${file} ${fault}`]);
    const script = new TextEncoder().encode("#!/bin/sh\n");
    expect(await faultsAfter(withTree(binaryTree(target, script)))).toEqual([
      `${file} cannot be read: no ELF file`,
    ]);
  });

  test("with a file too many or too few, or in another folder", async () => {
    const tree = binaryTree(target);
    const [licence = ""] = Object.keys(tree);
    const { [licence]: _left, ...fewer } = tree;
    for (const wrong of [{ ...tree, extra: "" }, fewer, binaryTree({ ...target, name: "x" })])
      expect(await faultsAfter(withTree(wrong))).toEqual([
        expect.stringMatching(/linux-arm64-musl\.tar\.gz holds .*, not /),
      ]);
  });

  test("that is cut off", async () => {
    const cut = async (where: string) => {
      const bytes = await Bun.file(join(where, file)).bytes();
      writeFileSync(join(where, file), bytes.subarray(0, bytes.length - 20));
    };
    expect(await faultsAfter(cut)).toEqual([expect.stringMatching(/cannot be read: tar .* ended/)]);
  });
});

describe("the rest of a release", () => {
  test("an image's context that lacks what is built, or holds what is none of its business", async () => {
    const { Dockerfile: _left, ...fewer } = context;
    const changed = (tree: Tree) => (where: string) => archive(join(where, files.image), tree);
    expect(await faultsAfter(changed(fewer))).toEqual([`${files.image} lacks Dockerfile`]);
    for (const path of [".env.production", "src/x.test.ts", "dist/x", "data/x"]) {
      expect(await faultsAfter(changed({ ...context, [path]: "" }))).toEqual([
        `${files.image} holds ${path}`,
      ]);
    }
  });

  test("a part of another version, and notes that say nothing", async () => {
    const other = JSON.stringify({ name: "taskforce-mailer-client", version: "1.2.4" });
    const faults = await faultsAfter(async (where) => {
      await archive(join(where, files.image), { ...context, "package.json": other });
      await archive(join(where, files.client), { "package/package.json": other });
      const old = { ...sbom, metadata: { component: { version: "1.2.4" } }, components: [] };
      writeFileSync(join(where, files.sbom), JSON.stringify(old));
      writeFileSync(join(where, files.notes), "\n");
    });
    expect(faults).toEqual([
      `${files.image} is of version 1.2.4`,
      `${files.client} is taskforce-mailer-client 1.2.4`,
      `${files.sbom} is of version 1.2.4`,
      `${files.sbom} names no component`,
      `${files.notes} is empty`,
    ]);
  });
});
