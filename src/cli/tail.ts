import { parseArgs } from "node:util";
import type { MailerEvent } from "../client/follow.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { connect, remoteHelp, remoteOptions, streamSeconds } from "./remote/connect.ts";
import { colourOf, createPaint, type Paint, plain } from "./remote/paint.ts";
import { tellFailures } from "./remote/tell-failures.ts";

const usage = `Usage: taskforce-mailer tail [options]

Shows what happens to emails, as it happens, until it is interrupted. A connection that is lost is
opened again, without a gap or a double.

  --type <list>     email.sent, email.bounced, …; several by comma
  --tag <tag>
  --status <status> events after which the email has it
  --after <id>      begin behind this event; 0 begins with the first (default: from now on)
  --count <n>       end after so many
  --json            one event as JSON on each line
${remoteHelp}

Examples:
  taskforce-mailer tail --type email.bounced,email.failed
  taskforce-mailer tail --json | jq -r .data.email_id`;

export const tailCommand: Command = {
  name: "tail",
  summary: "show what happens, as it happens",
  usage,
  run: runTail,
};

async function runTail(args: string[], io: CommandIo): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args,
    options: {
      ...remoteOptions,
      ...{ type: text, tag: text, status: text, after: text, count: text },
    },
  });
  const { type, tag, status, after, count } = values;
  if (count !== undefined && !/^[1-9]\d{0,8}$/.test(count)) {
    throw new UsageError("--count must be a whole number from 1");
  }
  const paint = createPaint(io);
  const filter = {
    ...(type === undefined ? {} : { type }),
    ...(tag === undefined ? {} : { tag }),
    ...(status === undefined ? {} : { status }),
    ...(after === undefined ? {} : { after }),
  };
  let seen = 0;
  const mailer = connect(values, io.env, { ttlSeconds: streamSeconds });
  const onFailure = tellFailures("tail", io);
  for await (const event of mailer.follow({ ...filter, onFailure })) {
    io.stdout.write(`${values.json ? JSON.stringify(event) : lineOf(event, paint)}\n`);
    seen += 1;
    if (seen === Number(count)) break;
  }
  return 0;
}

function lineOf({ type, timestamp, data }: MailerEvent, paint: Paint): string {
  const name = type.replace(/^email\./, "");
  const more = [data.recipient, data.smtp_code, data.reply].filter((one) => one !== undefined);
  return [
    paint(timestamp, "dim"),
    paint(name.padEnd(11), colourOf(name)),
    paint(data.email_id, "dim"),
    plain(more.join(" ")),
  ]
    .join("  ")
    .trimEnd();
}
