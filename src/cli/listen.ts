import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { loadConfig } from "../config.ts";
import type { PublicEvent } from "../journal/public-event.ts";
import { createOutgoing } from "../outgoing/create-outgoing.ts";
import { version } from "../version.ts";
import { send } from "../webhooks/send.ts";
import { createSecret, createSigner } from "../webhooks/sign.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { type Frame, readFrames } from "./live/read-frames.ts";
import { type ServerAddress, serverAddress } from "./live/server-address.ts";
import { streamFromServer } from "./server-request.ts";

const usage = `Usage: taskforce-mailer listen [--forward-to <url>] [--types <types>] [--json]

Prints events as they happen, until it is stopped. With --forward-to each of them is also sent
there as a webhook, signed as the real thing, and what the receiver answered is printed beside it:
no public address is needed. It goes on by itself after the server was away, without a gap.

  --forward-to <url>  such as http://localhost:8000/hook
  --types <types>     such as email.sent,email.bounced (default: all)
  --tag <tag>         events of emails that carry it
  --owner <id>        this owner's events alone (default everybody's)
  --secret <whsec_…>  signs what is forwarded (default: a new one, which is printed)
  --after <id>        begins behind this event (default: with what happens now)
  --json              one line of JSON for each event
  --url, --token      another server, and a credential for it (default: the one of DATA_DIR)

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
  query: URLSearchParams;
  server: ServerAddress;
}

async function runListen(args: string[], io: CommandIo): Promise<number> {
  const values = read(args, io);
  const forward = values.forwardTo === null ? null : createForward(values.forwardTo, values, io);
  for (;;) {
    try {
      for await (const frame of framesOf(values)) {
        if (frame.id !== null) values.query.set("after", frame.id);
        await tell(frame, { io, isJson: values.isJson, forward });
      }
    } catch (error) {
      const { message } = error as Error;
      // A credential that does not count will not count in a moment either.
      if (/HTTP 4\d\d/.test(message)) {
        io.stderr.write(`listen: ${message}\n`);
        return 1;
      }
      io.stderr.write(`listen: ${message}; connecting again\n`);
    }
    await pause(1_000);
  }
}

function read(args: string[], { env }: CommandIo): Values {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args,
    options: {
      ...{ "forward-to": text, types: text, tag: text, owner: text, secret: text, after: text },
      ...{ url: text, token: text, json: { type: "boolean", default: false } as const },
    },
  });
  const { "forward-to": forwardTo = null, owner = null, secret = null } = values;
  if (forwardTo !== null && !URL.canParse(forwardTo)) {
    throw new UsageError("--forward-to must be a URL such as http://localhost:8000/hook");
  }
  const query = new URLSearchParams({
    ...(values.types !== undefined && { type: values.types }),
    ...(values.tag !== undefined && { tag: values.tag }),
    ...(values.after !== undefined && { after: values.after }),
  });
  const { url = null, token = null } = values;
  const server = serverAddress(loadConfig(env), { url, token, owner });
  return { forwardTo, secret, query, server, isJson: values.json };
}

async function* framesOf({ server, query }: Values): AsyncGenerator<Frame, void, undefined> {
  const url = new URL(`/api/v1/events?${query}`, server.url);
  const token = await server.token();
  yield* readFrames(streamFromServer({ url, token, accept: "text/event-stream" }));
}

type Forward = (id: string, body: string) => Promise<{ words: string; isTaken: boolean }>;

function createForward(url: string, { secret: given }: Values, io: CommandIo): Forward {
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

async function tell({ id, data }: Frame, { io, isJson, forward }: Telling): Promise<void> {
  const event = JSON.parse(data) as PublicEvent;
  const answer = forward === null ? null : await forward(`msg_${id}`, data);
  if (isJson) {
    const line = { id, ...event, ...(answer && { forwarded: answer.words }) };
    io.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  const colour = createColour(io);
  const { type, timestamp, data: about } = event;
  const facts = [about.recipient, about.smtp_code, about.reply].filter((one) => one !== undefined);
  const forwarded = answer && colour(answer.isTaken ? 32 : 31, ` → ${answer.words}`);
  const time = colour(2, timestamp.slice(11, 23));
  const name = colour(colourOf(type), type.padEnd(18));
  io.stdout.write(`${time}  ${name} ${about.email_id} ${facts.join(" ")}${forwarded ?? ""}\n`);
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
