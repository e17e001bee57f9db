import { parseArgs } from "node:util";
import type { Output } from "../client/call-types.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { connect, remoteHelp, remoteOptions } from "./remote/connect.ts";
import { colourOf, createPaint, type Paint, plain } from "./remote/paint.ts";

const usage = `Usage: taskforce-mailer show <id> [--raw] [--json]

Shows an email: its times, each attempt with the server's words, each recipient.

  --raw             the message itself, as it was or will be sent
  --json            the answer as one line of JSON
${remoteHelp}

Examples:
  taskforce-mailer show 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
  taskforce-mailer show 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10 --raw > mail.eml`;

export const showCommand: Command = { name: "show", summary: "show an email", usage, run: runShow };

async function runShow(args: string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...remoteOptions, raw: { type: "boolean", default: false } },
  });
  const [id, ...more] = positionals;
  if (id === undefined || more.length > 0) throw new UsageError("expected the id of one email");
  const mailer = connect(values, io.env);
  const path = { id };
  if (values.raw) {
    io.stdout.write(new TextDecoder().decode(await mailer.getRawMessage({ path })));
    return 0;
  }
  const { data } = await mailer.getEmail({ path });
  if (values.json) io.stdout.write(`${JSON.stringify(data)}\n`);
  else io.stdout.write(`${linesOf(data, createPaint(io)).join("\n")}\n`);
  return 0;
}

type Email = Output<"getEmail">["data"];

function linesOf(email: Email, paint: Paint): string[] {
  const facts: [name: string, value: string | null | undefined][] = [
    ["id", email.id],
    ["status", paint(email.status, colourOf(email.status))],
    ["subject", email.subject],
    ["from", email.from],
    ["due", email.scheduled_at],
    ["next attempt", email.next_attempt_at],
    ["sent", email.sent_at],
    ["accepted", email.created_at],
    ["tags", email.tags.join(", ")],
    ["attachments", email.attachments?.map(({ filename }) => filename).join(", ")],
  ];
  const shown = facts.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return [
    ...shown.map(([name, value]) => `${paint(name.padEnd(13), "dim")}${safe(name, value ?? "")}`),
    "",
    ...email.recipients.map((one) =>
      [
        paint(one.kind.padEnd(4), "dim"),
        plain(one.address ?? "(destroyed)"),
        paint(one.status, colourOf(one.status)),
        plain(replyOf(one)),
      ].join("  "),
    ),
    ...(email.attempts.length > 0 ? [""] : []),
    ...email.attempts.map((one) =>
      [
        `${paint(`#${one.number}`, "dim")} ${one.started_at}`,
        paint(one.outcome, colourOf(one.outcome)),
        plain(one.transport),
        plain(replyOf(one)),
      ].join("  "),
    ),
  ].map((line) => line.trimEnd());
}

/** The status has its colour already. */
function safe(name: string, value: string): string {
  return name === "status" ? value : plain(value);
}

function replyOf(part: { smtp_code: number | null; reply: string | null }): string {
  return [part.smtp_code, part.reply].filter((one) => one !== null).join(" ");
}
