import type { Command } from "./command.ts";
import { commit, version } from "./version.ts";

export const versionCommand: Command = {
  name: "version",
  summary: "print the version",
  usage: "Usage: taskforce-mailer version [--json]",
  async run(args, io) {
    const text = commit === null ? version : `${version} (${commit})`;
    const isJson = args.includes("--json");
    io.stdout.write(isJson ? `${JSON.stringify({ version, commit })}\n` : `${text}\n`);
    return 0;
  },
};
