import { ConfigError } from "../config-error.ts";

/** What a command may touch of the world around it. */
export interface CommandIo {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
  env: Readonly<Record<string, string | undefined>>;
  /** Whether stdout is a terminal: colour and progress only there. */
  isTty: boolean;
}

export interface Command {
  name: string;
  /** One line for the list of commands. */
  summary: string;
  /** All that `--help` prints, without a trailing newline. */
  usage: string;
  /** Resolves with the exit code: 0, or 1 when it failed. Throws `UsageError` for 2. */
  run(args: string[], io: CommandIo): Promise<number>;
}

/** The command line makes no sense; the message says what was expected, in one sentence. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/**
 * Runs one command the way every command behaves: `--help` wins over everything else, a wrong
 * command line exits 2, a configuration that cannot be used prints its report and exits 1.
 */
export async function runCommand(command: Command, args: string[], io: CommandIo): Promise<number> {
  if (wantsHelp(args)) {
    io.stdout.write(`${command.usage}\n`);
    return 0;
  }
  try {
    return await command.run(args, io);
  } catch (error) {
    if (isUsageError(error)) {
      io.stderr.write(`${command.name}: ${error.message}\n\n${command.usage}\n`);
      return 2;
    }
    if (error instanceof ConfigError) {
      io.stderr.write(error.report);
      return 1;
    }
    throw error;
  }
}

function wantsHelp(args: string[]): boolean {
  const end = args.indexOf("--");
  const options = end === -1 ? args : args.slice(0, end);
  return options.includes("--help") || options.includes("-h");
}

/** Ours, or one of those that `parseArgs` of node:util throws. */
function isUsageError(error: unknown): error is Error {
  if (error instanceof UsageError) return true;
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code?.startsWith("ERR_PARSE_ARGS_") ?? false;
}
