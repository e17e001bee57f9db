import { parseArgs } from "node:util";
import { isOwnerId, type Scope, scopes } from "../auth/principal.ts";
import { loadConfig } from "../config.ts";
import { parseInstant } from "../email/parse-time.ts";
import { isFault } from "../email/parsed.ts";
import { type KeyDesk, type KeyJson, type NewKey, openKeyDesk } from "./api-keys/key-desk.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { operator } from "./operator.ts";

const usage = `Usage: taskforce-mailer api-keys create --sub <id> --name <text> --scopes <list>
                                        [--expires <time>] [--json]
       taskforce-mailer api-keys list [--sub <id>] [--json]
       taskforce-mailer api-keys revoke <key id> [--json]

create prints a new API key, once, and nothing else on stdout: it is stored hashed. revoke ends one on every
process within seconds. If a running server holds the embedded database, the command asks that server.

  --sub <id>        whom the key acts as; for list: whose keys (default everybody's)
  --name <text>     what it is for, 1 to 100 characters
  --scopes <list>   send, read, admin, separated by commas; admin includes the others
  --expires <time>  RFC 3339 with an offset, such as 2030-01-01T00:00:00Z, or never (default: in a
                    year; said on stderr when the key is made)

Examples:
  taskforce-mailer api-keys create --sub shop --name backend --scopes send,read
  taskforce-mailer api-keys list --sub shop --json`;

export const apiKeysCommand: Command = {
  name: "api-keys",
  summary: "make, list and revoke API keys",
  usage,
  run: runApiKeys,
};

type Action = (desk: KeyDesk, io: CommandIo) => Promise<number>;

async function runApiKeys(args: string[], io: CommandIo): Promise<number> {
  // The command line is judged before anything is opened.
  const action = actionOf(args);
  const desk = await openKeyDesk(loadConfig(io.env));
  try {
    return await action(desk, io);
  } finally {
    await desk.close();
  }
}

function actionOf(args: string[]): Action {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      sub: { type: "string" },
      name: { type: "string" },
      scopes: { type: "string" },
      expires: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const [verb, id, ...rest] = positionals;
  if (values.sub !== undefined && !isOwnerId(values.sub)) {
    throw new UsageError("--sub must be 1 to 255 characters");
  }
  if (verb === "create" && id === undefined) return createOf(values);
  if (verb === "list" && id === undefined) return listOf(values);
  if (verb === "revoke" && id !== undefined && rest.length === 0) return revokeOf(id, values.json);
  throw new UsageError("expected create, list, or revoke <key id>");
}

interface Values {
  sub?: string | undefined;
  name?: string | undefined;
  scopes?: string | undefined;
  expires?: string | undefined;
  json: boolean;
}

function createOf({ sub, name, scopes: list, expires, json }: Values): Action {
  if (sub === undefined) throw new UsageError("--sub <id> is required");
  if (name === undefined || !/^[^\p{Cc}\p{Zl}\p{Zp}]{1,100}$/u.test(name)) {
    throw new UsageError("--name <text> is required, 1 to 100 characters on one line");
  }
  const asked: NewKey = { name, scopes: scopesOf(list), expiresAt: expiryOf(expires) };
  const role = asked.scopes.includes("admin") ? "admin" : "user";
  return async (desk, { stdout, stderr }) => {
    const made = await desk.create(asked, { role, sub });
    stdout.write(`${json ? JSON.stringify(made) : made.key}\n`);
    if (!json) stderr.write(`expires ${made.expires_at ?? "never"}\n`);
    return 0;
  };
}

function scopesOf(list = ""): Scope[] {
  const names = list.split(",").map((name) => name.trim());
  const known = scopes.filter((scope) => names.includes(scope));
  if (known.length === names.length) return known;
  throw new UsageError(`--scopes <list> is required, of ${scopes.join(", ")}, each once`);
}

function expiryOf(text: string | undefined): Date | null | undefined {
  if (text === undefined || text === "never") return text === undefined ? text : null;
  const parsed = parseInstant(text);
  if (isFault(parsed)) throw new UsageError(`--expires: ${parsed.fault}`);
  return parsed.value;
}

function listOf({ sub, json }: Values): Action {
  return async (desk, { stdout }) => {
    const keys = await desk.list(sub === undefined ? operator : { role: "user", sub });
    const text = json ? JSON.stringify(keys) : keys.map(lineOf).join("\n");
    stdout.write(text === "" ? "" : `${text}\n`);
    return 0;
  };
}

/** One key on one line, its parts apart by tabs. */
function lineOf(key: KeyJson): string {
  const state = key.revoked_at === null ? `expires ${key.expires_at ?? "never"}` : "revoked";
  const used = `last used ${key.last_used_at ?? "never"}`;
  return [key.id, key.prefix, key.owner, key.scopes.join(","), state, used, key.name].join("\t");
}

function revokeOf(id: string, json: boolean): Action {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) {
    throw new UsageError("revoke takes the id of a key, as list shows it; not the key itself");
  }
  return async (desk, { stdout, stderr }) => {
    const revoked = await desk.revoke(id, operator);
    if (revoked === null) {
      stderr.write("api-keys: there is no API key with this id\n");
      return 1;
    }
    stdout.write(`${json ? JSON.stringify(revoked) : `revoked ${revoked.id}`}\n`);
    return 0;
  };
}
