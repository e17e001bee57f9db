import { parseArgs } from "node:util";
import type { Client } from "../client/client.ts";
import { MailerError } from "../client/mailer-error.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { pairOf } from "./list.ts";
import { connect, remoteHelp, remoteOptions } from "./remote/connect.ts";

const usage = `Usage: taskforce-mailer cancel <id>… [--json]
       taskforce-mailer cancel [--tag <tag>] [--metadata <key=value>] [--after <time>]
                               [--before <time>] [--dry-run] [--json]

Cancels emails: of those it reports as cancelled nothing will ever be sent. Exits 1 when one of the
ids could not be cancelled, and says why.

  --tag, --metadata, --after, --before   which emails, by what they carry or when they are due
  --dry-run         count them, change nothing
  --json            each answer as one line of JSON
${remoteHelp}

Examples:
  taskforce-mailer cancel 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
  taskforce-mailer cancel --tag newsletter --dry-run`;

export const cancelCommand: Command = {
  name: "cancel",
  summary: "cancel emails",
  usage,
  run: runCancel,
};

function read(args: string[]) {
  const text = { type: "string" } as const;
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...remoteOptions,
      ...{ tag: text, metadata: text, after: text, before: text },
      "dry-run": { type: "boolean", default: false },
    },
  });
}

type Values = ReturnType<typeof read>["values"];

async function runCancel(args: string[], io: CommandIo): Promise<number> {
  const { values, positionals: ids } = read(args);
  const filter = filterOf(values);
  const isFiltered = Object.keys(filter).length > 0;
  if (ids.length > 0 === isFiltered) throw new UsageError("expected either ids or a filter");
  if (ids.length > 0 && values["dry-run"]) throw new UsageError("--dry-run is for a filter");
  const mailer = connect(values, io.env);
  if (ids.length > 0) return await cancelEach(mailer, ids, values, io);
  const { data } = await mailer.cancelEmails({ body: { ...filter, dry_run: values["dry-run"] } });
  const { matched, cancelled, warnings } = data;
  const words = values["dry-run"]
    ? `${matched} would be cancelled`
    : `${cancelled} of ${matched} cancelled`;
  io.stdout.write(`${values.json ? JSON.stringify(data) : words}\n`);
  if (!values.json) for (const warning of warnings) io.stderr.write(`cancel: ${warning}\n`);
  return 0;
}

function filterOf({ tag, metadata, after, before }: Values) {
  return {
    ...(tag === undefined ? {} : { tag }),
    ...(metadata === undefined ? {} : { metadata: pairOf(metadata) }),
    ...(after === undefined ? {} : { scheduled_after: after }),
    ...(before === undefined ? {} : { scheduled_before: before }),
  };
}

async function cancelEach(
  mailer: Client,
  ids: readonly string[],
  { json }: Values,
  { stdout, stderr }: CommandIo,
): Promise<number> {
  let exitCode = 0;
  for (const id of ids) {
    try {
      const { data } = await mailer.cancelEmail({ path: { id } });
      stdout.write(`${json ? JSON.stringify(data) : `${id} cancelled`}\n`);
    } catch (error) {
      if (!(error instanceof MailerError) || error.status === null) throw error;
      exitCode = 1;
      const { code, message } = error;
      if (json) stdout.write(`${JSON.stringify({ id, error: { code, detail: message } })}\n`);
      else stderr.write(`${id}: ${message}\n`);
    }
  }
  return exitCode;
}
