import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { scheduleCommand } from "./schedule-command.ts";

/** Where the words go; `isTTY` decides about colour. */
export interface WelcomeOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

export interface WelcomeOptions {
  /** Address of the server as a browser on this machine reaches it, without a trailing slash. */
  baseUrl: string;
  /** Complete link that signs a browser in once; null: the page needs a token. */
  signInLink: string | null;
  /** Bearer token for trying out; goes into the command line too. */
  token: string;
  /** How this program is called from a shell. */
  program: string;
  /** With the link and the token; else it says how to get one: a log is no place for them. */
  isWhole: boolean;
  /** Folder where captured mails appear; null when mail really goes out. */
  capturedDir: string | null;
  stdout: WelcomeOutput;
  /** `PATH` decides what the command line is made of, `NO_COLOR` about colour. */
  env: Readonly<Record<string, string | undefined>>;
}

/**
 * Greets whoever started the product on a terminal or with embedded defaults: where the page
 * is, a token, and a line to paste that schedules a mail ten seconds ahead. The line stands
 * alone and unindented, so that a triple click takes it whole.
 */
export function printWelcome(options: WelcomeOptions): void {
  const { baseUrl, signInLink, token, capturedDir, program, isWhole, stdout, env } = options;
  const isColoured = stdout.isTTY === true && !env.NO_COLOR;
  const bold = (text: string) => (isColoured ? `\x1b[1m${text}\x1b[0m` : text);
  const dim = (text: string) => (isColoured ? `\x1b[2m${text}\x1b[0m` : text);
  const command = scheduleCommand({
    baseUrl,
    token,
    hasTool: (name) => isOnPath(name, env.PATH ?? ""),
    execPath: process.execPath,
  });
  // Elsewhere it is a log, which is read by others and kept: no credential belongs there.
  if (!isWhole) {
    stdout.write(logLines(baseUrl, program));
    return;
  }
  const arrival = capturedDir === null ? "" : ` It appears on the page and in ${capturedDir}.`;
  const lines = [
    "",
    `${bold("Taskforce Mailer is running.")} ${dim("Ctrl-C stops it.")}`,
    "",
    `  ${dim("Page")}   ${signInLink ?? baseUrl}${signInLink === null ? "" : dim("  (signs you in, once)")}`,
    `  ${dim("Token")}  ${token}`,
    "",
    `Paste this line into another shell: it schedules a mail 10 seconds ahead.${arrival}`,
    "",
    command,
    "",
    "",
  ];
  stdout.write(lines.join("\n"));
}

function logLines(baseUrl: string, program: string): string {
  const lines = [
    "",
    "Taskforce Mailer is running.",
    "",
    `  Page   ${baseUrl}`,
    `  Token  printed by: ${program} token --sub developer`,
    "         with --role admin it signs you in to the page",
    "",
    "",
  ];
  return lines.join("\n");
}

function isOnPath(name: string, path: string): boolean {
  return path
    .split(delimiter)
    .filter((folder) => folder !== "")
    .some((folder) => isExecutable(join(folder, name)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Absent, or not ours to run: to the caller both mean "not there".
    return false;
  }
}
