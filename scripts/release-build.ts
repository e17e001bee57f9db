import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildContext } from "../src/testing/product/dockerfile.ts";
import { sectionOf } from "./changelog.ts";
import {
  git,
  ReleaseError,
  readText,
  root,
  run,
  type Say,
  treeFaults,
  versionOfCheckout,
} from "./release-checkout.ts";
import { pack, program, releaseFiles, sumsFile, sumsOf, withFolder } from "./release-files.ts";
import type { ReleaseTarget } from "./release-targets.ts";
import { verifyRelease } from "./release-verify.ts";

/** One release as it is built; `files` are the names in `folder`. */
interface Build {
  version: string;
  folder: string;
  files: ReturnType<typeof releaseFiles>;
  /** When the commit was made, in seconds: the time of every file in an archive. */
  timeSeconds: number;
  say: Say;
}

export interface BuiltRelease {
  version: string;
  folder: string;
}

/** Builds everything that is published of this commit into dist/release, and verifies it. */
export async function buildRelease(
  targets: readonly ReleaseTarget[],
  say: Say,
): Promise<BuiltRelease> {
  const version = await versionOfCheckout();
  const notes = sectionOf(await readText("CHANGELOG.md"), version);
  const faults = await treeFaults();
  if (notes === null)
    faults.push(`CHANGELOG.md has no section [${version}]: scripts/release prepare makes it`);
  if (faults.length > 0) throw new ReleaseError(faults);

  const timeSeconds = Number(await git("log", "-1", "--format=%ct"));
  const folder = join(root, "dist/release");
  const build = { version, folder, files: releaseFiles(version), timeSeconds, say };
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const target of targets) await buildArchive(build, target.name);
  say(`packing ${build.files.image}`);
  await buildImageContext(build);
  await run(["scripts/release", "client"]);
  cpSync(join(root, "dist", build.files.client), join(folder, build.files.client));
  cpSync(join(root, `dist/${program}.cdx.json`), join(folder, build.files.sbom));
  writeFileSync(join(folder, build.files.notes), `${notes}\n`);
  writeFileSync(join(folder, sumsFile), sumsOf(folder, readdirSync(folder)));

  const commit = (await git("rev-parse", "--short=12", "HEAD")).trim();
  await verifyRelease(folder, say, { targets, commit });
  return { version, folder };
}

async function buildArchive({ folder, files, timeSeconds, say }: Build, target: string) {
  // It says what it does.
  await run(["scripts/build", "--target", target]);
  say(`packing ${files.archive(target)}`);
  await withFolder(async (stage) => {
    const inside = join(stage, files.folder(target));
    mkdirSync(inside);
    cpSync(join(root, `dist/${program}-${target}`), join(inside, program));
    for (const name of ["LICENSE", "README.md"]) cpSync(join(root, name), join(inside, name));
    await pack(stage, join(folder, files.archive(target)), timeSeconds);
  });
}

/**
 * The files that `docker build` reads, at the archive's root, so that `docker build - <file` takes it:
 * those that .dockerignore lets in and the commit holds.
 */
async function buildImageContext({ folder, files, timeSeconds }: Build): Promise<void> {
  const tracked = new Set((await git("ls-files", "-z")).split("\0"));
  const context = buildContext().filter((path) => tracked.has(path));
  await withFolder(async (stage) => {
    for (const path of new Set([...context, "Dockerfile", ".dockerignore"])) {
      mkdirSync(dirname(join(stage, path)), { recursive: true });
      cpSync(join(root, path), join(stage, path));
    }
    await pack(stage, join(folder, files.image), timeSeconds);
  });
}
