import { apiKeysCommand } from "./api-keys-command.ts";
import { auditCommand } from "./audit-command.ts";
import { type Command, type CommandIo, runCommand } from "./command.ts";
import { doctorCommand } from "./doctor-command.ts";
import { healthCommand } from "./health-command.ts";
import { keysCommand } from "./keys-command.ts";
import { migrateCommand } from "./migrate.ts";
import { pauseCommand, resumeCommand } from "./pause-command.ts";
import { serveCommand } from "./serve.ts";
import { tokenCommand } from "./token.ts";
import { versionCommand } from "./version-command.ts";

const commands: readonly Command[] = [
  serveCommand,
  migrateCommand,
  doctorCommand,
  tokenCommand,
  apiKeysCommand,
  pauseCommand,
  resumeCommand,
  auditCommand,
  keysCommand,
  healthCommand,
  versionCommand,
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
