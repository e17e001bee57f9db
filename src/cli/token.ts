import { parseArgs } from "node:util";
import { issueToken } from "../auth/jwt.ts";
import { isOwnerId } from "../auth/principal.ts";
import { type Config, loadConfig } from "../config.ts";
import { loadSecrets } from "../crypto/secrets.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";

const usage = `Usage: taskforce-mailer token --sub <id> [--role admin] [--ttl <time>] [--json]

Prints a bearer token for the API, and nothing else. The secret is JWT_SECRET, or the one that
the embedded database keeps in DATA_DIR; the database is not opened.

  --sub <id>      whose token: the owner of the e-mails it schedules (1 to 255 characters)
  --role admin    may see and change everybody's e-mails
  --ttl <time>    how long it is valid: 90s, 30m, 1h, 7d (default 1h, at most 3650d)
  --json          {"token", "sub", "role", "expires_at"}

Example: curl -H "Authorization: Bearer $(taskforce-mailer token --sub me)" …`;

export const tokenCommand: Command = {
  name: "token",
  summary: "print a bearer token for the API",
  usage,
  run: runToken,
};

interface TokenArguments {
  sub: string;
  role: "admin" | null;
  ttlSeconds: number;
  isJson: boolean;
}

export async function runToken(args: string[], io: CommandIo): Promise<number> {
  const { sub, role, ttlSeconds, isJson } = parseTokenArguments(args);
  const config = loadConfig(settingsOf(io.env));
  const secret = secretOf(config);
  if (secret === null) {
    io.stderr.write(
      `token: there is no secret in ${config.dataDir} yet: start the server once, or set ` +
        "JWT_SECRET or DATA_DIR as the server has them\n",
    );
    return 1;
  }
  const now = new Date();
  const { audience, issuer } = config.jwt;
  const asked = role === null ? { sub } : { sub, role };
  const token = await issueToken({ ...asked, ttlSeconds, secret, audience, issuer, now });
  const expiresAt = new Date((Math.floor(now.getTime() / 1000) + ttlSeconds) * 1000);
  const json = { token, sub, role, expires_at: expiresAt.toISOString() };
  io.stdout.write(`${isJson ? JSON.stringify(json) : token}\n`);
  return 0;
}

/** What a token is made from; the rest of the environment may be for another machine. */
function settingsOf(env: CommandIo["env"]): CommandIo["env"] {
  const { JWT_SECRET, JWT_ISSUER, JWT_AUDIENCE, DATA_DIR } = env;
  return { JWT_SECRET, JWT_ISSUER, JWT_AUDIENCE, DATA_DIR };
}

/** From the environment; with the embedded database, from its folder. */
function secretOf(config: Config): string | null {
  if (config.jwt.secret !== null) return config.jwt.secret;
  return loadSecrets(config.dataDir)?.jwtSecret ?? null;
}

function parseTokenArguments(args: string[]): TokenArguments {
  const { values } = parseArgs({
    args,
    options: {
      sub: { type: "string" },
      role: { type: "string" },
      ttl: { type: "string", default: "1h" },
      json: { type: "boolean", default: false },
    },
  });
  if (!isOwnerId(values.sub)) throw new UsageError("--sub <id> is required, 1 to 255 characters");
  if (values.role !== undefined && values.role !== "admin") {
    throw new UsageError("--role knows one role only: admin");
  }
  const ttlSeconds = parseTtl(values.ttl);
  return { sub: values.sub, role: values.role ?? null, ttlSeconds, isJson: values.json };
}

const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
const ttlSecondsMax = 3650 * 86_400;

function parseTtl(text: string): number {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const seconds = Number(amount) * (unitSeconds[unit ?? ""] ?? 0);
  if (seconds >= 1 && seconds <= ttlSecondsMax) return seconds;
  throw new UsageError("--ttl must be a number with a unit, such as 90s, 30m, 1h or 7d");
}
