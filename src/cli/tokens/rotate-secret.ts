import { parseArgs } from "node:util";
import { type Config, loadConfig } from "../../config.ts";
import { forgetJwtSecrets, loadSecrets, rotateJwtSecret } from "../../crypto/secrets.ts";
import { openDatabase } from "../../server/parts.ts";
import { createActions } from "../../store/actions.ts";
import type { Database } from "../../store/database.ts";
import { FolderInUseError } from "../../store/folder-lock.ts";
import { type CommandIo, UsageError } from "../command.ts";
import { operator } from "../operator.ts";

interface Rotated {
  /** Whether another secret was made. */
  rotated: boolean;
  /** Former secrets that still verify tokens. */
  former: number;
  /** Former secrets that do so no more. */
  forgotten: number;
}

/** Replaces the generated secret of tokens, or forgets the former ones, and notes it in the journal. */
export async function rotateTokenSecret(args: string[], io: CommandIo): Promise<number> {
  const flag = { type: "boolean", default: false } as const;
  const { values, positionals } = parseArgs({
    ...{ args, allowPositionals: true },
    options: { forget: flag, json: flag },
  });
  if (positionals.length > 0) throw new UsageError("rotate takes no arguments");
  const config = loadConfig(io.env);
  const database = await openGenerated(config);
  try {
    const report = rotate(config.dataDir, values.forget);
    const action = values.forget ? "token.secret_forgotten" : "token.secret_rotated";
    const detail = { former: String(report.former), forgotten: String(report.forgotten) };
    await createActions(database).record({ action, detail, origin: null }, operator);
    io.stdout.write(`${values.json ? JSON.stringify(report) : wordsOf(report)}\n`);
    return 0;
  } finally {
    await database.close();
  }
}

/** Opens the embedded database for its folder's lock: a running server has its secrets in memory. */
async function openGenerated(config: Config): Promise<Database> {
  if (config.database.driver !== "pglite" || config.jwt.secret !== null) {
    throw new Error(
      "tokens: the secret is not a generated one: put a new one into JWT_SECRET and the former into " +
        "JWT_SECRETS_OLD, as /docs/security says.",
    );
  }
  if (loadSecrets(config.dataDir) === null) {
    throw new Error(`tokens: there is no secret in ${config.dataDir} yet: start the server once.`);
  }
  return await openDatabase(config).catch((error: unknown) => {
    if (!(error instanceof FolderInUseError)) throw error;
    throw new Error(
      `tokens: a server has ${config.dataDir}: stop it first, and start it afterwards.`,
    );
  });
}

function rotate(dataDir: string, isForgetting: boolean): Rotated {
  if (isForgetting) return { rotated: false, former: 0, forgotten: forgetJwtSecrets(dataDir) };
  const { jwtSecretsOld } = rotateJwtSecret(dataDir);
  return { rotated: true, former: jwtSecretsOld.length, forgotten: 0 };
}

function wordsOf({ rotated, forgotten }: Rotated): string {
  if (rotated) {
    return (
      "Tokens are signed with another secret from now on. Those that the former one signed still " +
      "count, until `taskforce-mailer tokens rotate --forget`."
    );
  }
  return forgotten === 0
    ? "There was no former secret."
    : "Tokens and sessions that rest on a former secret do not count any more.";
}
