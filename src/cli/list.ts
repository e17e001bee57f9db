import { parseArgs } from "node:util";
import type { Entry, Input } from "../client/call-types.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { connect, remoteHelp, remoteOptions } from "./remote/connect.ts";
import { colourOf, columns, createPaint } from "./remote/paint.ts";

const usage = `Usage: taskforce-mailer list [options]

Lists emails, newest first.

  --status <list>   pending, sent, failed, deferred …; several by comma
  --tag <tag>
  --metadata <key=value>
  --recipient <address>
  --after <time>    due at this time or later: RFC 3339 with an offset
  --before <time>   due before it
  --limit <n>       how many at most (default 20); --limit all lists every one
  --json            one email as JSON on each line
${remoteHelp}

Examples:
  taskforce-mailer list --status failed,uncertain
  taskforce-mailer list --tag newsletter --limit all --json | jq -r .id`;

export const listCommand: Command = { name: "list", summary: "list emails", usage, run: runList };

type Email = Entry<"listEmails">;

async function runList(args: string[], io: CommandIo): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args,
    options: {
      ...remoteOptions,
      ...{ status: text, tag: text, metadata: text, recipient: text, after: text, before: text },
      limit: { type: "string", default: "20" },
    },
  });
  const most = mostOf(values.limit);
  const query = {
    limit: Math.min(most, 100),
    ...(values.status === undefined ? {} : { status: values.status }),
    ...(values.tag === undefined ? {} : { tag: values.tag }),
    ...(values.recipient === undefined ? {} : { recipient: values.recipient }),
    ...(values.after === undefined ? {} : { scheduled_after: values.after }),
    ...(values.before === undefined ? {} : { scheduled_before: values.before }),
    ...(values.metadata === undefined ? {} : { metadata: pairOf(values.metadata) }),
  } as NonNullable<Input<"listEmails">["query"]>;
  const emails: Email[] = [];
  let count = 0;
  for await (const email of connect(values, io.env).each("listEmails", { query })) {
    // As they come: a list of every email need not be held.
    if (values.json) io.stdout.write(`${JSON.stringify(email)}\n`);
    else emails.push(email);
    count += 1;
    if (count >= most) break;
  }
  if (!values.json) print(emails, io);
  return 0;
}

function mostOf(limit: string): number {
  if (limit === "all") return Number.POSITIVE_INFINITY;
  if (/^[1-9]\d{0,8}$/.test(limit)) return Number(limit);
  throw new UsageError("--limit must be a whole number from 1, or all");
}

export function pairOf(text: string): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new UsageError("--metadata must be <key>=<value>");
  return { [text.slice(0, at)]: text.slice(at + 1) };
}

function print(emails: readonly Email[], io: CommandIo): void {
  if (emails.length === 0) {
    io.stderr.write("No email is like that.\n");
    return;
  }
  const paint = createPaint(io);
  const head = ["ID", "STATUS", "DUE", "TO", "SUBJECT"];
  const rows = emails.map((email) => [
    email.id,
    email.status,
    String(email.scheduled_at).replace(/\.\d+Z$/, "Z"),
    recipientsOf(email),
    email.subject ?? "",
  ]);
  const lines = columns([head, ...rows], [36, 14, 20, 30, 40]);
  for (const [at, [id = "", status = "", ...rest]] of lines.entries()) {
    const shown =
      at === 0 ? [id, status] : [paint(id, "dim"), paint(status, colourOf(status.trim()))];
    const line = [...shown, ...rest].join("  ").trimEnd();
    io.stdout.write(`${at === 0 ? paint(line, "bold") : line}\n`);
  }
}

function recipientsOf({ recipients }: Email): string {
  const [first] = recipients;
  const more = recipients.length > 1 ? ` +${recipients.length - 1}` : "";
  return first === undefined ? "" : `${first.address ?? "(destroyed)"}${more}`;
}
