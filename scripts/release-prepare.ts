import { resolve } from "node:path";
import { migrationFiles } from "../src/store/migration-files.ts";
import type { Migration } from "../src/store/migrations.ts";
import { changelogFaults, releasedChangelog, sectionsOf } from "./changelog.ts";
import {
  git,
  ReleaseError,
  readText,
  root,
  type Say,
  treeFaults,
  versionOfCheckout,
} from "./release-checkout.ts";
import { versionFaults } from "./release-version.ts";
import { differing, RELEASED } from "./schema.ts";

/**
 * Writes what a release of `version` says of itself into package.json, CHANGELOG.md and
 * scripts/schema.ts. Changes nothing where anything speaks against it, and never commits: the diff
 * is to be read first.
 */
export async function prepareRelease(version: string, date: string, say: Say): Promise<void> {
  const changelog = await readText("CHANGELOG.md");
  const faults = await faultsOf(version, changelog);
  if (faults.length > 0) throw new ReleaseError(faults);
  const manifest = withVersion(await readText("package.json"), version);
  const schema = withReleased(await readText("scripts/schema.ts"), releasedDigests());
  const files = {
    "package.json": manifest,
    "CHANGELOG.md": releasedChangelog(changelog, version, date),
    "scripts/schema.ts": schema,
  };
  for (const [path, text] of Object.entries(files)) {
    if (text === (await readText(path))) continue;
    await Bun.write(resolve(root, path), text);
    say(`wrote ${path}`);
  }
}

async function faultsOf(version: string, changelog: string): Promise<string[]> {
  const tags = (await git("tag", "--list")).split("\n");
  const sections = sectionsOf(changelog).map(({ name }) => name);
  const earlier = {
    current: await versionOfCheckout(),
    tags,
    sections: sections.filter((name) => name !== "Unreleased"),
  };
  const generated = (await differing()).map(
    (path) => `supabase/${path} differs from supabase/schemas: run bun scripts/schema.ts --write`,
  );
  return [
    ...(await treeFaults()),
    ...versionFaults(version, earlier),
    ...changelogFaults(changelog, version),
    ...generated,
  ];
}

/** package.json with another version, and no other byte of it changed. */
export function withVersion(manifest: string, version: string): string {
  return manifest.replace(/^( {2}"version": ")[^"]*/m, (_, before: string) => before + version);
}

/** Every migration that somebody's database will have: those of earlier releases, and the open one. */
function releasedDigests(): Record<string, string> {
  const open = migrationFiles().filter(({ version }) => RELEASED[version] === undefined);
  return { ...RELEASED, ...Object.fromEntries(open.map((one) => [one.version, digestOf(one)])) };
}

function digestOf({ sql }: Migration): string {
  return new Bun.CryptoHasher("sha256").update(sql).digest("hex");
}

/** scripts/schema.ts with this list of released migrations. */
export function withReleased(source: string, digests: Readonly<Record<string, string>>): string {
  const list = /^(export const RELEASED: [^=]* = )\{[^}]*\};$/m;
  if (!list.test(source))
    throw new Error("scripts/schema.ts: its list RELEASED is not to be found");
  const lines = Object.entries(digests).map(
    ([version, digest]) => `  "${version}": "${digest}",\n`,
  );
  const text = lines.length === 0 ? "{}" : `{\n${lines.join("")}}`;
  return source.replace(list, (_, before: string) => `${before}${text};`);
}
