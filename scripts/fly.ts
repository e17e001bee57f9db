import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { addRegion, deployAll, listRegions, removeRegion, setSecrets } from "./fly-regions.ts";
import { freshSettings, readSettings, SettingsError } from "./fly-settings.ts";
import { createFlyctl, FlyError } from "./flyctl.ts";

const usage = `usage: scripts/fly <command> [--name taskforce-mailer] [--env-file .env.fly] [--org personal]

Runs the product on Fly.io: one app for each region, named <name>-<region>, beside a Redis of its own
(Upstash, eviction off), on one shared database. It needs flyctl, logged in.

  init              writes the settings file with fresh keys, for you to fill in
  add <region>      the first region or another one: app, Redis, secrets, deployment
  secrets           gives the settings to every region again, and restarts them one by one
  deploy            deploys this checkout to every region, one after the other
  regions           lists them
  remove <region>   stops its machines, which finish what they are sending, waits until the others
                    take its mail over (--wait 70 seconds), then destroys its app and its Redis;
                    asks for --yes

Fly runs \`migrate\` as the release command before it replaces a machine.
`;

const options = {
  name: { type: "string", default: "taskforce-mailer" },
  "env-file": { type: "string", default: ".env.fly" },
  org: { type: "string", default: "personal" },
  // A region that is silent for 60 s is taken over; the rest is for a clock that is looked at each second.
  wait: { type: "string", default: "70" },
  yes: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

class UsageError extends Error {}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = read(args);
  if (values.help) return void process.stdout.write(usage);
  const [command = "", region = ""] = positionals;
  const file = resolve(values["env-file"]);
  if (command === "init") return init(file);
  const fleet = { fly: createFlyctl(), name: values.name, org: values.org, say };
  switch (command) {
    case "add":
      return await addRegion(fleet, regionOf(region), readSettings(file));
    case "secrets":
      return await setSecrets(fleet, readSettings(file));
    case "deploy":
      return await deployAll(fleet);
    case "regions":
      for (const one of await listRegions(fleet)) process.stdout.write(`${one}\n`);
      return;
    case "remove":
      if (!values.yes) throw new UsageError("remove destroys the app and its Redis: add --yes");
      return await removeRegion(fleet, regionOf(region), secondsOf(values.wait));
    default:
      throw new UsageError(command === "" ? "which command?" : `there is no command ${command}`);
  }
}

function read(args: string[]) {
  try {
    const parsed = parseArgs({ args, options, allowPositionals: true });
    const { name } = parsed.values;
    // With "-" and a region behind it, it is the name of an app.
    if (!/^[a-z][a-z0-9-]{0,40}$/.test(name)) {
      throw new UsageError(`--name: expected small letters, digits and -, got ${name}`);
    }
    return parsed;
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(String((error as Error).message));
  }
}

/** Three letters, as `fly platform regions` lists them. */
function regionOf(region: string): string {
  if (/^[a-z]{3}$/.test(region)) return region;
  throw new UsageError(`expected a region of three letters, such as fra, got "${region}"`);
}

function secondsOf(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new UsageError(`--wait: expected seconds, got ${text}`);
}

function init(file: string): void {
  if (existsSync(file)) throw new UsageError(`${file} is there already; nothing was changed`);
  writeFileSync(file, freshSettings(), { mode: 0o600, flag: "wx" });
  say(`wrote ${file}: fill it in, and keep ENCRYPTION_KEY somewhere else, too`);
}

function say(words: string): void {
  process.stderr.write(`· ${words}\n`);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof UsageError) {
    process.stderr.write(`scripts/fly: ${error.message}\n\n${usage}`);
    process.exit(2);
  }
  const isExpected = error instanceof SettingsError || error instanceof FlyError;
  process.stderr.write(`scripts/fly: ${isExpected ? error.message : String(error)}\n`);
  process.exit(1);
});
