import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { readElf } from "./elf.ts";
import { ReleaseError, type Say } from "./release-checkout.ts";
import {
  program,
  readSums,
  releaseFiles,
  sha256Of,
  sumsFile,
  sumsUnder,
  withUnpacked,
} from "./release-files.ts";
import { type ReleaseTarget, releaseTargets, runsHere, targetFaults } from "./release-targets.ts";

/** Facts of a release that its folder does not tell. */
export interface ExpectedRelease {
  targets: readonly ReleaseTarget[];
  /** The first 12 digits of the commit that the binaries must name; null: any. */
  commit: string | null;
}

/** One thing to look at, which ends with what is wrong with it. */
interface Check {
  name: string;
  faults: () => string[] | Promise<string[]>;
}

/** Throws everything that is wrong with a folder that `scripts/release build` has made. */
export async function verifyRelease(
  folder: string,
  say: Say,
  { targets, commit }: ExpectedRelease = { targets: releaseTargets, commit: null },
): Promise<void> {
  const version = versionOf(folder);
  const files = releaseFiles(version);
  const archives = targets.map((target) => files.archive(target.name));
  const names = [...archives, files.image, files.sbom, files.client, files.notes];
  const missing = names.filter((name) => !existsSync(join(folder, name)));
  const checks: Check[] = [
    { name: sumsFile, faults: () => sumFaults(folder, names) },
    ...targets.map((target) => ({
      name: files.archive(target.name),
      faults: () => archiveFaults(folder, version, target, commit, say),
    })),
    { name: files.image, faults: () => imageFaults(join(folder, files.image), version) },
    { name: files.client, faults: () => clientFaults(join(folder, files.client), version) },
    { name: files.sbom, faults: () => sbomFaults(join(folder, files.sbom), version) },
    { name: files.notes, faults: () => notesFaults(join(folder, files.notes)) },
  ];
  const faults = missing.map((name) => `${name} is missing`);
  for (const check of checks.filter(({ name }) => !missing.includes(name))) {
    say(`checking ${check.name}`);
    faults.push(...(await run(check)).map((fault) => `${check.name} ${fault}`));
  }
  if (faults.length > 0) throw new ReleaseError(faults);
}

/** A check that cannot be made, such as of a broken archive, is a fault of what it looks at. */
async function run({ faults }: Check): Promise<string[]> {
  try {
    return await faults();
  } catch (error) {
    return [`cannot be read: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** By the one file of a release that no target has. */
function versionOf(folder: string): string {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of names) {
    const version = new RegExp(`^${program}-(.+)-notes\\.md$`).exec(name)?.[1];
    if (version !== undefined) return version;
  }
  throw new ReleaseError([`${folder} holds no release: ${program}-<version>-notes.md is missing`]);
}

function sumFaults(folder: string, expected: readonly string[]): string[] {
  const sums = readSums(readFileSync(join(folder, sumsFile), "utf8"));
  const present = readdirSync(folder).filter((name) => name !== sumsFile);
  const unlisted = [...present, ...expected].filter((name) => !sums.has(name));
  const listed = [...sums].flatMap(([name, sum]) => {
    if (!present.includes(name)) return [`lists ${name}, which is missing`];
    return sha256Of(join(folder, name)) === sum ? [] : [`has another sum for ${name}`];
  });
  return [...new Set(unlisted)].map((name) => `does not list ${name}`).concat(listed);
}

function archiveFaults(
  folder: string,
  version: string,
  target: ReleaseTarget,
  commit: string | null,
  say: Say,
): Promise<string[]> {
  const files = releaseFiles(version);
  return withUnpacked(join(folder, files.archive(target.name)), async (unpacked) => {
    const inside = files.folder(target.name);
    const expected = ["LICENSE", "README.md", program].map((name) => `${inside}/${name}`);
    const found = [...sumsUnder(unpacked).keys()];
    if (!Bun.deepEquals(found, expected))
      return [`holds ${found.join(", ")}, not ${expected.join(", ")}`];
    const binary = join(unpacked, inside, program);
    const faults = targetFaults(target, readElf(readFileSync(binary)));
    if ((statSync(binary).mode & 0o777) !== 0o755) faults.push("holds a program of a mode not 755");
    if (faults.length > 0) return faults;
    if (runsHere(target)) return runFaults(binary, version, commit);
    say("  by its header: this machine cannot run it");
    return [];
  });
}

/** The program is asked for its version and its help, without a setting. */
function runFaults(binary: string, version: string, commit: string | null): string[] {
  const ask = (...args: string[]) => Bun.spawnSync([binary, ...args], { env: {} });
  const asked = ask("version", "--json");
  if (asked.exitCode !== 0) return [`\`version\` ends with ${asked.exitCode}: ${asked.stderr}`];
  const told = JSON.parse(asked.stdout.toString());
  const faults: string[] = [];
  if (told.version !== version) faults.push(`says that it is ${told.version}`);
  if (told.commit === null || (commit !== null && told.commit !== commit))
    faults.push(`says that its commit is ${told.commit}`);
  const help = ask("--help");
  if (help.exitCode !== 0 || !help.stdout.includes(program)) faults.push("cannot show its --help");
  return faults;
}

/** Paths of an image's context that the build reads; the rest of the context changes. */
const contextNeeds = ["Dockerfile", ".dockerignore", "bun.lock", "scripts/build", "src/main.ts"];
const contextForbids = /(^|\/)(\.env.*|\.git|node_modules|dist|data|testing|[^/]*\.test\.ts)(\/|$)/;

function imageFaults(file: string, version: string): Promise<string[]> {
  return withUnpacked(file, async (unpacked) => {
    const paths = [...sumsUnder(unpacked).keys()];
    const faults = contextNeeds
      .filter((path) => !paths.includes(path))
      .map((path) => `lacks ${path}`);
    faults.push(
      ...paths.filter((path) => contextForbids.test(path)).map((path) => `holds ${path}`),
    );
    const manifest = await Bun.file(join(unpacked, "package.json")).json();
    if (manifest.version !== version) faults.push(`is of version ${manifest.version}`);
    return faults;
  });
}

function clientFaults(file: string, version: string): Promise<string[]> {
  return withUnpacked(file, async (unpacked) => {
    const manifest = await Bun.file(join(unpacked, "package/package.json")).json();
    const isOurs = manifest.name === `${program}-client` && manifest.version === version;
    return isOurs ? [] : [`is ${manifest.name} ${manifest.version}`];
  });
}

async function sbomFaults(file: string, version: string): Promise<string[]> {
  const { bomFormat, metadata, components } = await Bun.file(file).json();
  const faults = bomFormat === "CycloneDX" ? [] : ["is no CycloneDX document"];
  if (metadata?.component?.version !== version)
    faults.push(`is of version ${metadata?.component?.version}`);
  if (!(components?.length > 0)) faults.push("names no component");
  return faults;
}

function notesFaults(file: string): string[] {
  return readFileSync(file, "utf8").trim() === "" ? ["is empty"] : [];
}
