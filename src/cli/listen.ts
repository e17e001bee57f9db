import { parseArgs } from "node:util";
import type { FollowOptions, MailerEvent } from "../client/follow.ts";
import { createOutgoing } from "../outgoing/create-outgoing.ts";
import { version } from "../version.ts";
import { send } from "../webhooks/send.ts";
import { createSecret, createSigner } from "../webhooks/sign.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { connect, readOwner, remoteTokenHelp, streamSeconds } from "./remote/connect.ts";
import { plain } from "./remote/paint.ts";
import { tellFailures } from "./remote/tell-failures.ts";

const usage = `Usage: taskforce-mailer listen [--forward-to <url>] [--types <types>] [--json]

Prints events as they happen, until it is stopped. With --forward-to each of them is also sent
there as a webhook, signed as the real thing, and what the receiver answered is printed beside it:
no public address is needed. It goes on by itself after the server was away, without a gap.

  --forward-to <url>
                  such as http://localhost:8000/hook
  --types <types> such as email.sent,email.bounced (default: all)
  --tag <tag>     events of emails that carry it
  --owner <id>    this owner's events alone (default: all that the credential may see)
  --secret <whsec_…>
                  signs what is forwarded (default: a new one, which is printed)
  --after <id>    begins behind this event (default: with what happens now)
  --json          one line of JSON for each event
${remoteTokenHelp}

Examples:
  taskforce-mailer listen --forward-to http://localhost:8000/hook
  taskforce-mailer listen --types email.bounced,email.failed --json`;

export const listenCommand: Command = {
  name: "listen",
  summary: "print events as they happen, and forward them to a local receiver",
  usage,
  run: runListen,
};

interface Values {
  forwardTo: string | null;
  isJson: boolean;
  secret: string | null;
  filter: FollowOptions;
  server: { url: string | undefined; token: string | undefined };
}

async function runListen(args: string[], io: CommandIo): Promise<number> {
  const { forwardTo, isJson, secret, filter, server } = read(args);
  const { owner } = filter;
  const who = owner === undefined ? ({ sub: "cli", role: "admin" } as const) : { sub: owner };
  const mailer = connect(server, io.env, { who, ttlSeconds: streamSeconds });
  const forward = forwardTo === null ? null : createForward(forwardTo, secret, io);
  const telling = { io, isJson, forward };
  const onFailure = tellFailures("listen", io);
  for await (const event of mailer.follow({ ...filter, onFailure })) await tell(event, telling);
  return 0;
}

function read(args: string[]): Values {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args,
    options: {
      ...{ "forward-to": text, types: text, tag: text, owner: text, secret: text, after: text },
      ...{ url: text, token: text, json: { type: "boolean", default: false } as const },
    },
  });
  const { "forward-to": forwardTo = null, types, tag, after, secret = null } = values;
  if (forwardTo !== null && !URL.canParse(forwardTo)) {
    throw new UsageError("--forward-to must be a URL such as http://localhost:8000/hook");
  }
  const owner = readOwner(values.owner);
  const filter = {
    ...(types !== undefined && { type: types }),
    ...(tag !== undefined && { tag }),
    ...(owner !== undefined && { owner }),
    ...(after !== undefined && { after }),
  };
  const { url, token } = values;
  return { forwardTo, secret, filter, server: { url, token }, isJson: values.json };
}

type Forward = (id: string, body: string) => Promise<{ words: string; isTaken: boolean }>;

function createForward(url: string, given: string | null, io: CommandIo): Forward {
  const secret = given ?? createSecret();
  io.stderr.write(`Forwarding to ${url}, signed with ${secret}\n`);
  const sign = createSigner([secret]);
  const outgoing = createOutgoing({ allowPrivate: true });
  const deps = { outgoing, now: () => new Date(), userAgent: `Taskforce-Mailer/${version}` };
  return async (id, body) => {
    const sent = await send(deps, { url, sign, id, body });
    const words = sent.statusCode === null ? (sent.error ?? "") : String(sent.statusCode);
    return { words: `${words} in ${Math.round(sent.durationMs)} ms`, isTaken: sent.isSuccess };
  };
}

interface Telling {
  io: CommandIo;
  isJson: boolean;
  forward: Forward | null;
}

async function tell(event: MailerEvent, { io, isJson, forward }: Telling): Promise<void> {
  // A webhook has the id as a header, and in its body all the rest as it is here.
  const { id, ...sent } = event;
  const answer = forward === null ? null : await forward(`msg_${id}`, JSON.stringify(sent));
  if (isJson) {
    const line = { id, ...sent, ...(answer && { forwarded: answer.words }) };
    io.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  const colour = createColour(io);
  const { type, timestamp, data: about } = sent;
  const facts = [about.recipient, about.smtp_code, about.reply].filter((one) => one !== undefined);
  const forwarded = answer && colour(answer.isTaken ? 32 : 31, ` → ${answer.words}`);
  const time = colour(2, timestamp.slice(11, 23));
  const name = colour(colourOf(type), type.padEnd(18));
  io.stdout.write(
    `${time}  ${name} ${about.email_id} ${plain(facts.join(" "))}${forwarded ?? ""}\n`,
  );
}

function createColour({ isTty, env }: CommandIo): (code: number, text: string) => string {
  const isPlain = !isTty || (env.NO_COLOR ?? "") !== "";
  return (code, text) => (isPlain ? text : `\u001b[${code}m${text}\u001b[0m`);
}

function colourOf(type: string): number {
  if (type === "email.sent") return 32;
  if (type === "email.failed" || type === "email.bounced") return 31;
  return type === "email.deferred" || type === "email.uncertain" ? 33 : 36;
}
