import { type Settings, secretLines } from "./fly-settings.ts";
import { type Flyctl, FlyError } from "./flyctl.ts";

/** The apps of one installation, and how they are reached. */
export interface FlyFleet {
  fly: Flyctl;
  /** Before the region in the names of its app and its Redis. */
  name: string;
  org: string;
  say: (words: string) => void;
}

/** Makes what is missing: run again after a failure, it goes on where it stopped. */
export async function addRegion(
  fleet: FlyFleet,
  region: string,
  settings: Settings,
): Promise<void> {
  const { fly, org, say } = fleet;
  const app = appOf(fleet, region);
  if (!(await listRegions(fleet)).includes(region)) {
    say(`making the app ${app}`);
    await fly.run(["apps", "create", app, "--org", org]);
  }
  const redisUrl = await redisOf(fleet, region);
  say(`giving ${app} its secrets`);
  await giveSecrets(fleet, app, { ...settings, ...ofRegion(app, redisUrl) });
  say(`deploying ${app}; Fly migrates first`);
  await deploy(fleet, region);
  say(`https://${app}.fly.dev/health tells how it is`);
}

/** Staged, then deployed: each region restarts once, and one after the other. */
export async function setSecrets(fleet: FlyFleet, settings: Settings): Promise<void> {
  for (const region of await someRegions(fleet)) {
    const app = appOf(fleet, region);
    const redisUrl = await redisOf(fleet, region);
    await giveSecrets(fleet, app, { ...settings, ...ofRegion(app, redisUrl) });
    fleet.say(`restarting ${app} with them`);
    await fleet.fly.run(["secrets", "deploy", "--app", app]);
  }
}

/** One after the other: the first one migrates, and a fault stops before the next. */
export async function deployAll(fleet: FlyFleet): Promise<void> {
  for (const region of await someRegions(fleet)) {
    fleet.say(`deploying ${appOf(fleet, region)}`);
    await deploy(fleet, region);
  }
}

/** By the names of the apps. */
export async function listRegions({ fly, name }: FlyFleet): Promise<string[]> {
  const apps = JSON.parse(await fly.read(["apps", "list", "--json"])) as { Name?: string }[];
  return apps
    .flatMap(({ Name = "" }) => (Name.startsWith(`${name}-`) ? [Name.slice(name.length + 1)] : []))
    .filter((region) => /^[a-z]{3}$/.test(region))
    .sort();
}

/**
 * Its machines are stopped by SIGTERM and given their kill_timeout: they finish what they are sending
 * and return the rest. What belongs to the region is the others' once it was silent for a minute.
 */
export async function removeRegion(
  fleet: FlyFleet,
  region: string,
  waitSeconds: number,
): Promise<void> {
  const { fly, say } = fleet;
  const regions = await someRegions(fleet);
  const app = appOf(fleet, region);
  if (!regions.includes(region)) throw new FlyError(`there is no app ${app}`);
  say(`draining ${app}`);
  await fly.run(["scale", "count", "0", "--app", app, "--yes"]);
  if (regions.length > 1) {
    say(`waiting ${waitSeconds} s, until the other regions send what belongs to ${region}`);
    await Bun.sleep(waitSeconds * 1000);
  } else {
    say("this was the last region: emails wait in the database until there is another one");
  }
  await fly.run(["apps", "destroy", app, "--yes"]);
  await fly.run(["redis", "destroy", app, "--yes"]);
  say(`${app} and its Redis are gone; the database has lost nothing`);
}

async function someRegions(fleet: FlyFleet): Promise<string[]> {
  const regions = await listRegions(fleet);
  if (regions.length > 0) return regions;
  throw new FlyError(`there is no app ${fleet.name}-<region> yet: scripts/fly add <region>`);
}

function appOf({ name }: FlyFleet, region: string): string {
  return `${name}-${region}`;
}

function ofRegion(app: string, redisUrl: string): Settings {
  return { REDIS_URL: redisUrl, PUBLIC_URL: `https://${app}.fly.dev` };
}

async function giveSecrets({ fly }: FlyFleet, app: string, settings: Settings): Promise<void> {
  await fly.run(["secrets", "import", "--app", app, "--stage"], secretLines(settings));
}

async function deploy(fleet: FlyFleet, region: string): Promise<void> {
  const app = appOf(fleet, region);
  // One machine, and a second one by `fly scale count 2`: with none beside it, it is replaced in place.
  await fleet.fly.run(["deploy", "--app", app, "--primary-region", region, "--ha=false"]);
}

/** The Redis named after the app, made where there is none; its URL within Fly's private network. */
async function redisOf(fleet: FlyFleet, region: string): Promise<string> {
  const { fly, org, say } = fleet;
  const name = appOf(fleet, region);
  const known = await fly.read(["redis", "list"]);
  if (!new RegExp(`(^|\\s)${name}(\\s|$)`, "m").test(known)) {
    say(`making the Redis ${name}`);
    const where = ["--name", name, "--region", region, "--org", org];
    // A queue must not be evicted, and a replica elsewhere would serve nobody.
    await fly.run(["redis", "create", ...where, "--no-replicas", "--disable-eviction"]);
  }
  const status = await fly.read(["redis", "status", name]);
  const url = /rediss?:\/\/\S+/.exec(status)?.[0];
  if (url === undefined) throw new FlyError(`flyctl redis status ${name}: shows no URL`);
  return url;
}
