import { apiKeysCommand } from "./api-keys.ts";
import { auditCommand } from "./audit.ts";
import { backupCommand } from "./backup.ts";
import { cancelCommand } from "./cancel.ts";
import { type Command, type CommandIo, runCommand } from "./command.ts";
import { createCompletionCommand } from "./completion.ts";
import { doctorCommand } from "./doctor.ts";
import { sessionsCommand, tokensCommand } from "./end-credentials.ts";
import { healthCommand } from "./health.ts";
import { importCommand } from "./import.ts";
import { keysCommand } from "./keys.ts";
import { listCommand } from "./list.ts";
import { listenCommand } from "./listen.ts";
import { migrateCommand } from "./migrate.ts";
import { pauseCommand, resumeCommand } from "./pause.ts";
import { restoreCommand } from "./restore.ts";
import { sendCommand } from "./send.ts";
import { serveCommand } from "./serve.ts";
import { showCommand } from "./show.ts";
import { tailCommand } from "./tail.ts";
import { tokenCommand } from "./token.ts";
import { triggerCommand } from "./trigger.ts";
import { versionCommand } from "./version.ts";

/** In the order of the overview. */
export const commands: readonly Command[] = [
  serveCommand,
  sendCommand,
  listCommand,
  showCommand,
  cancelCommand,
  importCommand,
  tailCommand,
  migrateCommand,
  doctorCommand,
  tokenCommand,
  tokensCommand,
  sessionsCommand,
  apiKeysCommand,
  pauseCommand,
  resumeCommand,
  backupCommand,
  restoreCommand,
  listenCommand,
  triggerCommand,
  auditCommand,
  keysCommand,
  healthCommand,
  versionCommand,
  createCompletionCommand(() => commands),
];

/** Finds the command that `args` name (`serve` when they name none) and runs it. */
export async function runCommandLine(args: string[], io: CommandIo): Promise<number> {
  const [first, ...rest] = args;
  if (first === "--help" || first === "-h" || first === "help") {
    io.stdout.write(`${overview()}\n`);
    return 0;
  }
  if (first === "--version") return runCommand(versionCommand, rest, io);
  if (first === undefined || first.startsWith("-")) return runCommand(serveCommand, args, io);
  const command = commands.find(({ name }) => name === first);
  if (command) return runCommand(command, rest, io);
  io.stderr.write(`There is no command ${JSON.stringify(first)}.\n\n${overview()}\n`);
  return 2;
}

function overview(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    "Usage: taskforce-mailer [command] [options]",
    "",
    "Takes an e-mail now and sends it at its time. Without a command it serves.",
    "",
    ...lines,
    "",
    "taskforce-mailer <command> --help tells more. Settings come from the environment and .env.",
  ].join("\n");
}
