import { parseArgs } from "node:util";
import type { Command } from "./command.ts";
import { commit, version } from "./version.ts";

export const versionCommand: Command = {
  name: "version",
  summary: "print the version",
  usage: "Usage: taskforce-mailer version [--json]",
  async run(args, io) {
    const { values } = parseArgs({ args, options: { json: { type: "boolean", default: false } } });
    const text = commit === null ? version : `${version} (${commit})`;
    io.stdout.write(values.json ? `${JSON.stringify({ version, commit })}\n` : `${text}\n`);
    return 0;
  },
};
