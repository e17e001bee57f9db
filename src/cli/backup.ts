import { parseArgs } from "node:util";
import { loadConfig } from "../config.ts";
import { BackupError } from "./backup/backup-error.ts";
import { createProgress } from "./backup/progress.ts";
import { writeBackup } from "./backup/write-backup.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";

const usage = `Usage: taskforce-mailer backup [<file>] [--without-secrets] [--without-captured] [--json]

Packs the embedded database of DATA_DIR into one file, as of one moment; a running server goes on
accepting and sending. With it go the captured mails, and the generated secrets: without
ENCRYPTION_KEY nobody can read the emails, and with it whoever has the file can, so keep the file as
you would keep the key (its mode is 0600). A database of DATABASE_URL or SUPABASE_URL is backed up
with pg_dump; /docs/backup says how.

  <file>              default: taskforce-mailer-<time>.tar.gz in the working folder
  --without-secrets   leave secrets.json out, and keep it elsewhere
  --without-captured  leave captured mails out
  --json              the result as one line of JSON

Examples:
  taskforce-mailer backup
  taskforce-mailer backup /backups/night.tar.gz --json`;

export const backupCommand: Command = {
  name: "backup",
  summary: "pack the embedded database into a file, also while it serves",
  usage,
  run: runBackup,
};

async function runBackup(args: string[], io: CommandIo): Promise<number> {
  const flag = { type: "boolean", default: false } as const;
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { "without-secrets": flag, "without-captured": flag, json: flag },
  });
  const [file = defaultName(new Date()), ...more] = positionals;
  if (more.length > 0) throw new UsageError("expected one file");
  const config = loadConfig(io.env);
  if (config.database.driver !== "pglite") {
    io.stderr.write("backup: this database is on a server: use pg_dump (see /docs/backup)\n");
    return 1;
  }
  const progress = createProgress("packed", io);
  try {
    const report = await writeBackup(config, {
      file,
      withSecrets: !values["without-secrets"],
      withCaptured: !values["without-captured"],
      onProgress: progress.show,
    });
    progress.end();
    io.stdout.write(`${values.json ? JSON.stringify(report) : wordsOf(report)}\n`);
    return 0;
  } catch (error) {
    progress.end();
    if (!(error instanceof BackupError)) throw error;
    io.stderr.write(`backup: ${error.message}\n`);
    return 1;
  }
}

function defaultName(now: Date): string {
  return `taskforce-mailer-${now.toISOString().replace(/[-:]|\.\d+/g, "")}.tar.gz`;
}

function wordsOf(report: Awaited<ReturnType<typeof writeBackup>>): string {
  const size = `${(report.size_bytes / 1_000_000).toFixed(1)} MB`;
  const key = report.has_secrets
    ? "The key that opens its emails is in it: keep it secret."
    : "The key that opens its emails is not in it: keep ENCRYPTION_KEY (or secrets.json) elsewhere.";
  return `${report.file}: ${report.files} files, ${size}. ${key}`;
}
