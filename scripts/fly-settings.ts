import { randomBytes } from "node:crypto";
import { loadConfig } from "../src/config.ts";
import { readDotenvFile } from "../src/config-dotenv.ts";

/** The settings file cannot be used; the message names every fault. */
export class SettingsError extends Error {}

/** Names and values of one settings file, the same in every region. */
export type Settings = Readonly<Record<string, string>>;

/** What differs between regions, or is set by fly.toml or by Fly. */
const ofARegion = ["REDIS_URL", "PUBLIC_URL", "REGION", "PORT", "HOST", "TRUST_PROXY"];

/** A stand-in while the file is judged: each region gets its own. */
const anyRedis = "redis://default:secret@fly-any.upstash.io:6379";

export function freshSettings(): string {
  const key = () => randomBytes(32).toString("hex");
  return `# Settings of every region; REDIS_URL and PUBLIC_URL are added for each. Never commit this file.
# /docs/configuration explains every name. A value with a # or a $ belongs in 'single quotes'.

# One PostgreSQL 15 or later for all regions. Fly's own: fly mpg create.
DATABASE_URL=
SMTP_HOST=
SMTP_USER=
SMTP_PASS=
SMTP_FROM=
# Without it stored emails cannot be read by anybody. Keep it apart from the database's backups.
ENCRYPTION_KEY=${key()}
# Anybody who knows it can act as any user.
JWT_SECRET=${key()}
METRICS_TOKEN=${key()}
`;
}

/** Reads the file and judges it as the server will. */
export function readSettings(path: string): Settings {
  const file = readDotenvFile(path);
  if (file === null) throw new SettingsError(`${path} is missing: run \`scripts/fly init\``);
  const given = Object.entries(file.values).filter(([, value]) => value.trim() !== "");
  const doubts = file.doubts.map(({ sentence }) => sentence);
  const misplaced = given.flatMap(([name]) => (ofARegion.includes(name) ? [name] : []));
  doubts.push(...misplaced.map((name) => `${name} is set for each region, so leave it out`));
  const severalLines = given.filter(([, value]) => /[\r\n]/.test(value));
  doubts.push(...severalLines.map(([name]) => `${name} has several lines`));
  if (doubts.length > 0) throw new SettingsError(`${path}:\n  ${doubts.join("\n  ")}`);
  const settings = Object.fromEntries(given);
  try {
    loadConfig({
      ...{ NODE_ENV: "production", TRUST_PROXY: "fly", REDIS_URL: anyRedis },
      ...settings,
    });
  } catch (error) {
    throw new SettingsError(`${path}: ${error instanceof Error ? error.message : error}`);
  }
  return settings;
}

/**
 * As `flyctl secrets import` reads its input: a line each, taken to the letter but for blanks before
 * the value and a pair of double quotes around it, which are put there for that reason.
 */
export function secretLines(settings: Settings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}="${value}"\n`)
    .join("");
}
