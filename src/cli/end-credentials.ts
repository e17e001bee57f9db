import { parseArgs } from "node:util";
import { isOwnerId } from "../auth/principal.ts";
import type { Client } from "../client/client.ts";
import { loadConfig } from "../config.ts";
import { openDatabase } from "../server/parts.ts";
import { readServerFile } from "../server/server-file.ts";
import { createEndings } from "../store/endings.ts";
import { FolderInUseError } from "../store/folder-lock.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { operator } from "./operator.ts";
import { connectHere } from "./remote/connect.ts";
import { rotateTokenSecret } from "./tokens/rotate-secret.ts";

const sessionsUsage = `Usage: taskforce-mailer sessions end [--owner <id> | --all] [--json]

Ends sessions of the console, on every process within a second: their browsers sign in anew.

  --owner <id>  of this owner; of the one-time link it is taskforce-mailer:console
  --all         everybody's (default)
  --json        {"owner", "ended"}

If a running server holds the embedded database, the command asks that server.

Examples:
  taskforce-mailer sessions end --owner ada
  taskforce-mailer sessions end --json`;

const tokensUsage = `Usage: taskforce-mailer tokens end --sub <id> [--json]
       taskforce-mailer tokens rotate [--forget] [--json]

end ends every token of this owner that was issued up to now, on every process within two seconds, and
their sessions of the console. Tokens made once it has returned count. API keys stay: see
\`taskforce-mailer api-keys revoke\`. If a running server holds the embedded database, the command
asks that server.

rotate makes another secret for tokens in DATA_DIR, where the secret is a generated one; the server
there must be stopped for as long as it runs. Tokens and sessions of the former secret still count
until \`rotate --forget\`, which ends everybody's. Elsewhere change JWT_SECRET, with the former one
in JWT_SECRETS_OLD: /docs/security has the steps.

  --sub <id>  whose tokens
  --forget    makes none, and ends what rests on former ones
  --json      end: {"sub", "not_before", "sessions_ended"}; rotate: {"rotated", "former", "forgotten"}

Examples:
  taskforce-mailer tokens end --sub ada
  taskforce-mailer tokens end --sub ada --json
  taskforce-mailer tokens rotate`;

export const sessionsCommand: Command = {
  name: "sessions",
  summary: "end sessions of the console",
  usage: sessionsUsage,
  run: async (args, io) => {
    const { owner, isJson } = readSessions(args);
    const body = owner === null ? { all: true as const } : { owner };
    const ended = await end(
      io,
      async (mailer) => (await mailer.endSessions({ body })).data,
      async (endings) => ({ owner, ended: await endings.sessions(owner, by) }),
    );
    const words = `${ended.ended} sessions ended`;
    io.stdout.write(`${isJson ? JSON.stringify(ended) : words}\n`);
    return 0;
  },
};

export const tokensCommand: Command = {
  name: "tokens",
  summary: "end the tokens of an owner, rotate the secret of tokens",
  usage: tokensUsage,
  run: async (args, io) => {
    if (args[0] === "rotate") return await rotateTokenSecret(args.slice(1), io);
    const { sub, isJson } = readTokens(args);
    const ended = await end(
      io,
      async (mailer) => (await mailer.endTokens({ body: { sub } })).data,
      async (endings) => {
        const { notBefore, sessions } = await endings.tokens(sub, by);
        return { sub, not_before: notBefore.toISOString(), sessions_ended: sessions };
      },
    );
    const words = `tokens of ${sub} count when they are issued from ${ended.not_before} on`;
    io.stdout.write(`${isJson ? JSON.stringify(ended) : words}\n`);
    return 0;
  },
};

const by = { claims: operator, origin: null };
const text = { type: "string" } as const;
const flag = { type: "boolean", default: false } as const;

function readSessions(args: string[]): { owner: string | null; isJson: boolean } {
  const options = { owner: text, all: flag, json: flag };
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
  if (positionals.join(" ") !== "end") throw new UsageError("expected end");
  const { owner = null, all, json } = values;
  if (owner !== null && all) throw new UsageError("give --owner <id> or --all, not both");
  if (owner !== null && !isOwnerId(owner)) {
    throw new UsageError("--owner must be 1 to 255 characters");
  }
  return { owner, isJson: json };
}

function readTokens(args: string[]): { sub: string; isJson: boolean } {
  const options = { sub: text, json: flag };
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
  if (positionals.join(" ") !== "end") throw new UsageError("expected end or rotate");
  if (!isOwnerId(values.sub)) throw new UsageError("--sub <id> is required, 1 to 255 characters");
  return { sub: values.sub, isJson: values.json };
}

/** In the database itself, or through the server that has it; both answer alike. */
async function end<Answer>(
  { env }: CommandIo,
  through: (mailer: Client) => Promise<Answer>,
  run: (endings: ReturnType<typeof createEndings>) => Promise<Answer>,
): Promise<Answer> {
  const config = loadConfig(env);
  try {
    const database = await openDatabase(config);
    try {
      return await run(createEndings(database));
    } finally {
      await database.close();
    }
  } catch (error) {
    const server = error instanceof FolderInUseError ? readServerFile(config.dataDir) : null;
    if (server === null) throw error;
    const mailer = connectHere(config, server.url, operator);
    return await through(mailer);
  }
}
