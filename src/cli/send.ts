import { parseArgs } from "node:util";
import type { Schemas } from "../client/call-types.ts";
import { isFault } from "../email/parsed.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { connect, remoteHelp, remoteOptions } from "./remote/connect.ts";
import { readAttachment, readText } from "./remote/read-file.ts";
import { readTime, type TimeFields } from "./remote/read-time.ts";

const usage = `Usage: taskforce-mailer send --to <address> --subject <text> [options]

Hands over one email and prints its id. It goes out at --at, or as soon as possible.

  --to <address>    a@b or "Name <a@b>"; may be given several times, as --cc and --bcc
  --cc, --bcc <address>
  --from <address>  default: SMTP_FROM of the server
  --reply-to <address>  may be given several times
  --subject <text>
  --body <text>     the text part; "-" reads it from the standard input
  --html <file>     the HTML part
  --attach <file>   may be given several times
  --at <time>       with --zone: 2027-01-04 09:00; without: RFC 3339 with an offset
  --zone <name>     what clocks show there, such as Europe/Berlin; also when its rules change
  --tag <tag>       to find it by; may be given several times, as --metadata and --header
  --metadata <key=value>
  --header <name: value>
  --key <text>      Idempotency-Key: the same key and email again are the same email
  --dry-run         print the message as it would go out, store nothing
  --json            the answer as one line of JSON
${remoteHelp}

Examples:
  taskforce-mailer send --to ada@example.com --subject Hello --body "A few words."
  taskforce-mailer send --to ada@example.com --subject Invoice --html mail.html \\
    --attach invoice.pdf --at "2027-01-04 09:00" --zone Europe/Berlin
  uptime | taskforce-mailer send --to ops@example.com --subject Load --body - --json`;

export const sendCommand: Command = {
  name: "send",
  summary: "hand over an email",
  usage,
  run: runSend,
};

const one = { type: "string" } as const;
const many = { type: "string", multiple: true, default: [] as string[] } as const;
const flag = { type: "boolean", default: false } as const;

function read(args: string[]) {
  return parseArgs({
    args,
    options: {
      ...remoteOptions,
      ...{
        to: many,
        cc: many,
        bcc: many,
        "reply-to": many,
        tag: many,
        metadata: many,
        header: many,
        attach: many,
      },
      ...{ from: one, subject: one, body: one, html: one, at: one, zone: one },
      ...{ key: one, "dry-run": flag },
    },
  }).values;
}

type Values = ReturnType<typeof read>;

async function runSend(args: string[], { env, stdout, stderr }: CommandIo): Promise<number> {
  const values = read(args);
  const body = await emailOf(values);
  const mailer = connect(values, env);
  const query = values["dry-run"] ? ({ query: { dry_run: "true" } } as const) : {};
  const key = values.key === undefined ? {} : { idempotencyKey: values.key };
  const { data } = await mailer.scheduleMail({ body, ...query, ...key });
  if (values.json) stdout.write(`${JSON.stringify(data)}\n`);
  else if ("id" in data) stdout.write(`${data.id}\n`);
  else if ("message" in data) {
    for (const warning of data.warnings) stderr.write(`send: ${warning}\n`);
    stdout.write(data.message.replaceAll("\r\n", "\n"));
  }
  return 0;
}

async function emailOf(values: Values): Promise<Schemas["Email"]> {
  const { subject, to, cc, bcc, tag, attach } = values;
  if (to.length + cc.length + bcc.length === 0) throw new UsageError("--to <address> is required");
  if (subject === undefined) throw new UsageError("--subject <text> is required");
  const { body, html, from, "reply-to": replyTo } = values;
  if (body === undefined && html === undefined && attach.length === 0) {
    throw new UsageError("one of --body, --html and --attach is required");
  }
  return {
    subject,
    ...(to.length > 0 ? { recipients: to } : {}),
    ...(cc.length > 0 ? { cc } : {}),
    ...(bcc.length > 0 ? { bcc } : {}),
    ...(from === undefined ? {} : { from }),
    ...(replyTo.length > 0 ? { reply_to: replyTo } : {}),
    ...(body === undefined ? {} : { body: body === "-" ? await readText("-", "--body") : body }),
    ...(html === undefined ? {} : { html_body: await readText(html, "--html") }),
    ...(attach.length > 0 ? { attachments: await Promise.all(attach.map(readAttachment)) } : {}),
    ...timeOf(values),
    ...(tag.length > 0 ? { tags: tag } : {}),
    ...pairs("metadata", values.metadata, "="),
    ...pairs("headers", values.header, ":"),
  };
}

function timeOf({ at, zone }: Values): TimeFields | object {
  if (at === undefined) {
    if (zone !== undefined) throw new UsageError("--zone is for a time in --at");
    return {};
  }
  const parsed = readTime(at, zone ?? null);
  if (isFault(parsed)) throw new UsageError(`--at: ${parsed.fault}`);
  return parsed.value;
}

/** `key=value`, each key once. */
function pairs(field: string, texts: readonly string[], mark: string): object {
  if (texts.length === 0) return {};
  const entries = texts.map((text) => {
    const at = text.indexOf(mark);
    if (at < 1) throw new UsageError(`expected <name>${mark}<value>, got ${JSON.stringify(text)}`);
    return [text.slice(0, at).trim(), text.slice(at + 1).trim()] as const;
  });
  return { [field]: Object.fromEntries(entries) };
}
