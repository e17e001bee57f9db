import { parseArgs } from "node:util";
import { commit, version } from "../version.ts";
import type { Command } from "./command.ts";

const usage = `Usage: taskforce-mailer version [--json]

Prints the version, and the commit that it was built from.

  --json  {"version", "commit"}

Example: taskforce-mailer version --json`;

export const versionCommand: Command = {
  name: "version",
  summary: "print the version",
  usage,
  async run(args, io) {
    const { values } = parseArgs({ args, options: { json: { type: "boolean", default: false } } });
    const text = commit === null ? version : `${version} (${commit})`;
    io.stdout.write(values.json ? `${JSON.stringify({ version, commit })}\n` : `${text}\n`);
    return 0;
  },
};
