#!/usr/bin/env bun
// First, and for what it does: what follows would be loaded twice otherwise.
import "./memory.ts";
import { runCommandLine } from "./cli/commands.ts";
import { fillEnvironment } from "./config.ts";
import { isAppError } from "./errors.ts";

// The parts of the server are listed in cli/serve.ts.
const io = {
  stdout: process.stdout,
  stderr: process.stderr,
  env: fillEnvironment(),
  isTty: process.stdout.isTTY === true,
};

// Exits by itself, so that a connection that hangs keeps no finished command alive.
void runCommandLine(process.argv.slice(2), io).then(
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    process.stderr.write(`${wordsOf(error)}\n`);
    process.exit(1);
  },
);

function wordsOf(error: unknown): string {
  if (isAppError(error)) return error.publicDetail;
  return error instanceof Error ? error.message : String(error);
}
