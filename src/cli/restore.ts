import { parseArgs } from "node:util";
import { loadConfig } from "../config.ts";
import { postgresMajor } from "../store/pglite-engine.ts";
import { BackupError } from "./backup/backup-error.ts";
import { createProgress } from "./backup/progress.ts";
import { type RestoreReport, readBackup } from "./backup/read-backup.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";

const usage = `Usage: taskforce-mailer restore <file> [--json]

Unpacks what \`backup\` made into DATA_DIR, which must hold no database yet. All of it is verified
before anything is put in place: a file that is damaged, cut off or somebody else's is refused, and
nothing is left behind.

The backup does not know what was sent after it, so the server that starts on it sends nothing until
you have decided: \`doctor\` says which emails were due since, \`resume --restored\` sends them, and
with --hold holds each of them. Webhooks wait for that, too.

  --json   the result as one line of JSON

Example:
  DATA_DIR=/var/lib/restored taskforce-mailer restore /backups/night.tar.gz`;

export const restoreCommand: Command = {
  name: "restore",
  summary: "unpack a backup into an empty DATA_DIR",
  usage,
  run: runRestore,
};

async function runRestore(args: string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: "boolean", default: false } },
  });
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new UsageError("expected one file");
  const { database, dataDir } = loadConfig(io.env);
  if (database.driver !== "pglite") {
    io.stderr.write("restore: this database is on a server: use pg_restore (see /docs/backup)\n");
    return 1;
  }
  const progress = createProgress("unpacked", io);
  try {
    const options = { file, dataDir, postgres: postgresMajor, onProgress: progress.show };
    const report = await readBackup(options);
    progress.end();
    io.stdout.write(`${values.json ? JSON.stringify(report) : wordsOf(report, dataDir)}\n`);
    return 0;
  } catch (error) {
    progress.end();
    if (!(error instanceof BackupError)) throw error;
    io.stderr.write(`restore: ${error.message}\n`);
    return 1;
  }
}

function wordsOf({ made_at, files, has_secrets }: RestoreReport, dataDir: string): string {
  return [
    `${dataDir}: ${files} files of ${made_at}.`,
    ...(has_secrets
      ? []
      : ["Its key is not in it: set ENCRYPTION_KEY, or put secrets.json there."]),
    "The server starts with sending paused: see `taskforce-mailer doctor`, then decide with " +
      "`taskforce-mailer resume --restored` (or with --hold).",
  ].join("\n");
}
