import { relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildRelease } from "./release-build.ts";
import { ReleaseError } from "./release-checkout.ts";
import { releaseFiles } from "./release-files.ts";
import { prepareRelease } from "./release-prepare.ts";
import { releaseTargets } from "./release-targets.ts";
import { verifyRelease } from "./release-verify.ts";
import { isPrerelease, tagOf } from "./release-version.ts";

const names = releaseTargets.map(({ name }) => name);

const usage = `usage: scripts/release <command>

Makes a release in three steps, and never commits, tags or publishes: each step ends with the commands
that come next.

  prepare <version>   sets the version in package.json, turns [Unreleased] of CHANGELOG.md into its
                      section, and writes the migration into RELEASED of scripts/schema.ts
  build [--target …]  builds dist/release of the current commit: a binary for each target, the typed
                      client, the image's context, the bill of materials, the notes and SHA256SUMS;
                      then verifies it. --target builds that one alone (may be repeated), for a try
  verify <folder>     checks the sums and the contents of such a folder
  client              dist/taskforce-mailer-client-<version>.tgz alone, for npm publish

Targets: ${names.join(", ")}. The x64 ones need a processor with AVX2. A binary that
this machine cannot run is checked by its ELF header.
`;

const options = {
  target: { type: "string", multiple: true, default: [] as string[] },
  help: { type: "boolean", short: "h", default: false },
} as const;

class UsageError extends Error {}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = read(args);
  if (values.help) return void process.stdout.write(usage);
  const [command = "", argument, ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`too many words: ${rest.join(" ")}`);
  if (values.target.length > 0 && command !== "build")
    throw new UsageError("--target is for build alone");
  switch (command) {
    case "prepare":
      return await prepare(given(argument, "prepare needs a version, such as 1.2.3"));
    case "build":
      if (argument !== undefined) throw new UsageError(`build takes no ${argument}`);
      return await build(values.target);
    case "verify":
      return await verify(given(argument, "verify needs a folder, such as dist/release"));
    case "client":
      // Alone it does not come here: the shell script packs it.
      throw new UsageError("client takes no other words");
    default:
      throw new UsageError(command === "" ? "which command?" : `there is no command ${command}`);
  }
}

function read(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(String((error as Error).message));
  }
}

function given(argument: string | undefined, otherwise: string): string {
  if (argument === undefined) throw new UsageError(otherwise);
  return argument;
}

async function prepare(version: string): Promise<void> {
  // The day in UTC: the same for everybody who builds it.
  await prepareRelease(version, new Date().toISOString().slice(0, 10), say);
  process.stdout.write(`
Next, when the changes are what you want:
  git diff
  git commit -am "release: ${version}"
  scripts/release build
To take them back: git checkout package.json CHANGELOG.md scripts/schema.ts
`);
}

async function build(targets: readonly string[]): Promise<void> {
  const unknown = targets.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`--target: expected one of ${names.join(", ")}, got ${unknown}`);
  const isComplete = targets.length === 0;
  const chosen = releaseTargets.filter(({ name }) => isComplete || targets.includes(name));
  const { version, folder } = await buildRelease(chosen, say);
  const shown = relative(process.cwd(), folder) || ".";
  process.stdout.write(`✓ ${shown} is built and verified\n`);
  process.stdout.write(isComplete ? nextSteps(version, shown) : "It lacks the other targets.\n");
}

function nextSteps(version: string, folder: string): string {
  const { notes, client, image } = releaseFiles(version);
  const tag = tagOf(version);
  const mark = isPrerelease(version) ? " --prerelease" : "";
  const npmTag = isPrerelease(version) ? " --tag next" : "";
  return `
Next, where it is to be published:
  git tag -a ${tag} -m "Taskforce Mailer ${version}"
  git push origin HEAD ${tag}
  gh release create ${tag} --verify-tag${mark} --title ${version} --notes-file ${folder}/${notes} ${folder}/*
  npm publish${npmTag} ${folder}/${client}
  docker build -t taskforce-mailer:${version} - <${folder}/${image}
`;
}

async function verify(folder: string): Promise<void> {
  await verifyRelease(resolve(folder), say);
  process.stdout.write(`✓ ${folder} is a whole release\n`);
}

function say(words: string): void {
  process.stderr.write(`· ${words}\n`);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof UsageError) {
    process.stderr.write(`scripts/release: ${error.message}\n\n${usage}`);
    process.exit(2);
  }
  if (!(error instanceof ReleaseError)) throw error;
  for (const fault of error.faults) process.stderr.write(`✗ ${fault}\n`);
  process.exit(1);
});
