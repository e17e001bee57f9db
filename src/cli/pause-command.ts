import { parseArgs } from "node:util";
import { isOwnerId } from "../auth/principal.ts";
import { loadConfig } from "../config.ts";
import { isPauseReason, isRegionName } from "../http/pause-sending.ts";
import type { PauseTarget } from "../store/pauses.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { openPauseDesk, type PauseDesk } from "./pauses/pause-desk.ts";

const options = `  --region <name>  that region (default: that of the server, or REGION)
  --owner <id>     that owner's emails, in every region
  --reason <text>  why, 1 to 500 characters on one line; it stands in the journal
  --json           the answer as one line of JSON

While a server has the embedded database, that server is asked.`;

const pauseUsage = `Usage: taskforce-mailer pause [--region <name> | --owner <id>] --reason <text> [--json]

Stops sending until somebody resumes it: once this returns nothing concerned begins its message.
Emails are accepted, edited and cancelled meanwhile; restarts and a lost Redis change nothing. What
is paused already stays so, with the first reason.

${options}`;

const resumeUsage = `Usage: taskforce-mailer resume [--region <name> | --owner <id>] [--reason <text>] [--json]

Lets sending go on; what has become due meanwhile goes out within about a second. Exits 0 also when
nothing was paused, and says so.

${options}`;

export const pauseCommand: Command = {
  name: "pause",
  summary: "stop sending of a region or of an owner",
  usage: pauseUsage,
  run: (args, io) => {
    const { reason, ...asked } = read(args);
    if (reason === null) throw new UsageError("--reason <text> is required");
    return act(asked, io, (desk, target) => desk.pause(target, reason), pausedWords);
  },
};

export const resumeCommand: Command = {
  name: "resume",
  summary: "let sending go on",
  usage: resumeUsage,
  run: (args, io) => {
    const { reason, ...asked } = read(args);
    return act(asked, io, (desk, target) => desk.resume(target, reason), resumedWords);
  },
};

interface Asked {
  region: string | null;
  owner: string | null;
  reason: string | null;
  json: boolean;
}

function read(args: string[]): Asked {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args,
    options: { region: text, owner: text, reason: text, json: { type: "boolean", default: false } },
  });
  const { region = null, owner = null, reason = null, json } = values;
  if (region !== null && owner !== null) throw new UsageError("give --region or --owner, not both");
  if (region !== null && !isRegionName(region)) {
    throw new UsageError("--region must be 1 to 63 letters, digits, dots and dashes");
  }
  if (owner !== null && !isOwnerId(owner))
    throw new UsageError("--owner must be 1 to 255 characters");
  if (reason !== null && !isPauseReason(reason)) {
    throw new UsageError("--reason must be 1 to 500 characters on one line");
  }
  return { region, owner, reason, json };
}

async function act<Answer>(
  asked: Omit<Asked, "reason">,
  { env, stdout }: CommandIo,
  run: (desk: PauseDesk, target: PauseTarget | null) => Promise<Answer>,
  words: (answer: Answer) => string,
): Promise<number> {
  const desk = await openPauseDesk(loadConfig(env));
  try {
    const answer = await run(desk, targetOf(asked));
    stdout.write(`${asked.json ? JSON.stringify(answer) : words(answer)}\n`);
    return 0;
  } finally {
    await desk.close();
  }
}

function targetOf({ region, owner }: Omit<Asked, "reason">): PauseTarget | null {
  if (owner !== null) return { kind: "owner", name: owner };
  return region === null ? null : { kind: "region", name: region };
}

function pausedWords({ kind, name, ...pause }: Awaited<ReturnType<PauseDesk["pause"]>>): string {
  const since = `since ${pause.paused_at} by ${pause.paused_by}`;
  return `sending of the ${kind} ${name} is paused ${since} (${pause.reason})`;
}

function resumedWords({ kind, name, ...ended }: Awaited<ReturnType<PauseDesk["resume"]>>): string {
  const what = `sending of the ${kind} ${name}`;
  return ended.was_paused ? `${what} goes on` : `${what} was not paused`;
}
