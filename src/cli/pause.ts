import { parseArgs } from "node:util";
import { isOwnerId } from "../auth/principal.ts";
import { loadConfig } from "../config.ts";
import { regionNamePattern, regionNameWords } from "../email/region-name.ts";
import { isPauseReason } from "../http/operations/pause-sending.ts";
import type { PauseTarget } from "../store/pauses.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { openPauseDesk, type PauseDesk, type ResumeRestoredJson } from "./pauses/pause-desk.ts";

const options = `  --region <name>  that region (default: that of the server, or REGION)
  --owner <id>     that owner's emails, in every region
  --reason <text>  why, 1 to 500 characters on one line; it stands in the journal, in /health and on
                   every page
  --json           the answer as one line of JSON

If a running server holds the embedded database, the command asks that server.`;

const pauseUsage = `Usage: taskforce-mailer pause [--region <name> | --owner <id>] [--reason <text>] [--json]

Stops sending until somebody resumes it: once this returns nothing concerned begins its message.
Emails are accepted, edited and cancelled meanwhile; restarts and a lost Redis change nothing. What
is paused already stays so, with the first reason.

${options}

Examples:
  taskforce-mailer pause --reason "wrong template"
  taskforce-mailer pause --owner shop --reason "under attack" --json`;

const resumeUsage = `Usage: taskforce-mailer resume [--region <name> | --owner <id>] [--reason <text>] [--json]
       taskforce-mailer resume --restored [--hold] [--reason <text>] [--json]

Lets sending go on; what has become due meanwhile goes out within about a second. Exits 0 also when
nothing was paused, and says so.

  --restored       ends the pause of a database that was restored or copied. Emails that were due
                   between the dump and now may have been sent already: they are sent
  --hold           they are held instead, each for a decision (release it or cancel it)
${options}

Examples:
  taskforce-mailer resume
  taskforce-mailer resume --owner shop --reason "the template is mended"
  taskforce-mailer resume --restored --hold`;

/** In an emergency nobody should have to look up an option first. */
const noReason = "no reason given";

export const pauseCommand: Command = {
  name: "pause",
  summary: "stop sending of a region or of an owner",
  usage: pauseUsage,
  run: (args, io) => {
    const { reason, ...asked } = read(args);
    const given = reason ?? noReason;
    return act(asked, io, (desk, target) => desk.pause(target, given), pausedWords);
  },
};

export const resumeCommand: Command = {
  name: "resume",
  summary: "let sending go on",
  usage: resumeUsage,
  run: (args, io) => {
    const { reason, ...asked } = read(args, { restored: boolean, hold: boolean });
    if (asked.hold && !asked.restored) throw new UsageError("--hold goes with --restored");
    if (!asked.restored) {
      return act(asked, io, (desk, target) => desk.resume(target, reason), resumedWords);
    }
    if (asked.region !== null || asked.owner !== null) {
      throw new UsageError("--restored is of the whole database: leave --region and --owner out");
    }
    const decision = asked.hold ? "hold" : "send";
    return act(asked, io, (desk) => desk.resumeRestored(decision, reason), restoredWords);
  },
};

interface Asked {
  region: string | null;
  owner: string | null;
  reason: string | null;
  json: boolean;
  restored: boolean;
  hold: boolean;
}

const text = { type: "string" } as const;
const boolean = { type: "boolean", default: false } as const;

function read(args: string[], more: Record<string, typeof boolean> = {}): Asked {
  const options = { region: text, owner: text, reason: text, json: boolean, ...more };
  const { values } = parseArgs({ args, options });
  const { region = null, owner = null, reason = null, json } = values as Partial<Asked>;
  const { restored = false, hold = false } = values as Partial<Asked>;
  if (region !== null && owner !== null) throw new UsageError("give --region or --owner, not both");
  if (region !== null && !regionNamePattern.test(region)) {
    throw new UsageError(`--region must be ${regionNameWords}`);
  }
  if (owner !== null && !isOwnerId(owner))
    throw new UsageError("--owner must be 1 to 255 characters");
  if (reason !== null && !isPauseReason(reason)) {
    throw new UsageError("--reason must be 1 to 500 characters on one line");
  }
  return { region, owner, reason, json: json ?? false, restored, hold };
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

function targetOf({ region, owner }: Pick<Asked, "region" | "owner">): PauseTarget | null {
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

function restoredWords({ was_paused: wasPaused, held }: ResumeRestoredJson): string {
  if (!wasPaused) return "sending was not paused: this database was not found restored or copied";
  if (held === 0) return "sending goes on";
  return `sending goes on; ${held} ${held === 1 ? "email is" : "emails are"} held for a decision`;
}
