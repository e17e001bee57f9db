import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Schemas } from "../client/call-types.ts";
import type { Client } from "../client/client.ts";
import { MailerError } from "../client/mailer-error.ts";
import type { FieldFault } from "../errors.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { openProgress, type ProgressFile } from "./import/progress-file.ts";
import { ImportError, type Row, readRows } from "./import/read-rows.ts";
import { connect, remoteHelp, remoteOptions } from "./remote/connect.ts";
import { createPaint } from "./remote/paint.ts";
import { readText } from "./remote/read-file.ts";

const usage = `Usage: taskforce-mailer import <file.csv|file.jsonl> [options]

Hands over many emails. The whole file is checked first; when a row is at fault nothing is sent, and
<file>.errors.jsonl says of each what is wrong. Killed, the same command goes on where it was
(<file>.progress.jsonl), and nothing is sent twice.

A CSV file names its columns on its first line: recipients (or to; several by ";"), subject, body,
html_body, at, zone, from, reply_to, cc, bcc, tags, metadata.<key>, headers.<name>, … JSONL has an
email of the API on each line, with at and zone if you like. A time is 2027-01-04 09:00 in its zone,
or RFC 3339 with an offset; without a column for it emails go out as soon as possible.

  --zone <name>     the zone of times that have none
  --subject <text>, --body <text>, --html <file>, --from <address>, --tag <tag>
                    for rows that have none of their own
  --run <name>      another run of a file that was imported already
  --skip-faulty     hand over the rows that are fit although others are not
  --dry-run         check the file, hand over nothing
  --errors <file>   default: <file>.errors.jsonl
  --json            the result as one line of JSON
${remoteHelp}

Examples:
  taskforce-mailer import guests.csv --zone Europe/Berlin --subject "Tomorrow" --html mail.html
  taskforce-mailer import emails.jsonl --dry-run`;

export const importCommand: Command = {
  name: "import",
  summary: "hand over the emails of a CSV or JSONL file",
  usage,
  run: runImport,
};

/** Rows of one request; more would make a lost answer cost more to repeat. */
const batchRows = 100;
const batchBytes = 8 * 1024 * 1024;

function read(args: string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...remoteOptions,
      ...{ zone: text, subject: text, body: text, html: text, from: text, tag: text },
      ...{ run: text, errors: text, "skip-faulty": flag, "dry-run": flag },
    },
  });
}

type Values = ReturnType<typeof read>["values"];

async function runImport(args: string[], io: CommandIo): Promise<number> {
  const { values, positionals } = read(args);
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0) throw new UsageError("expected one file");
  const kind = /\.(csv|jsonl)$/i.exec(path)?.[1]?.toLowerCase();
  if (kind === undefined) throw new UsageError("expected a file named .csv or .jsonl");
  const source = await readText(path);
  try {
    return await importRows({ path, source, kind: kind as "csv" | "jsonl", values }, io);
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    io.stderr.write(`import: ${error.message}\n`);
    return 1;
  }
}

interface Job {
  path: string;
  source: string;
  kind: "csv" | "jsonl";
  values: Values;
}

async function importRows({ path, source, kind, values }: Job, io: CommandIo): Promise<number> {
  const defaults = await defaultsOf(values);
  const options = { defaults, zone: values.zone ?? null };
  // Rows of an import that goes on may be past by now: they were fit when it began.
  const all = readRows(source, kind, { ...options, now: null });
  const hash = createHash("sha256")
    .update(JSON.stringify([all.map(({ email }) => email), values.run ?? ""]))
    .digest("hex");
  const progress = values["dry-run"]
    ? null
    : openProgress(`${path}.progress.jsonl`, hash, all.length);
  const isNew = progress === null || !progress.isResumed || progress.done === 0;
  const rows = isNew ? readRows(source, kind, { ...options, now: new Date() }) : all;
  const errors = createErrors(values.errors ?? `${path}.errors.jsonl`);
  const faulty = rows.filter(({ faults }) => faults.length > 0);
  for (const { line, faults, email } of faulty) {
    errors.add({ line, code: "invalid_content", errors: faults, email });
  }
  if (values["dry-run"] || (faulty.length > 0 && !values["skip-faulty"])) {
    return tellChecked(rows, errors, values, io);
  }
  const mailer = connect(values, io.env);
  const context = { mailer, hash, errors, io, progress: progress as ProgressFile };
  return await handOver(rows, context, values);
}

async function defaultsOf({ subject, body, html, from, tag }: Values) {
  return {
    ...(subject === undefined ? {} : { subject }),
    ...(body === undefined ? {} : { body }),
    ...(html === undefined ? {} : { html_body: await readText(html, "--html") }),
    ...(from === undefined ? {} : { from }),
    ...(tag === undefined ? {} : { tags: [tag] }),
  };
}

interface Refused {
  line: number;
  code: string;
  errors: readonly FieldFault[];
  email: Record<string, unknown>;
}

/** Written anew by each run, when there is something to write. */
function createErrors(path: string) {
  const lines: string[] = [];
  return {
    path,
    get count() {
      return lines.length;
    },
    add(refused: Refused): void {
      lines.push(`${JSON.stringify(refused)}\n`);
      writeFileSync(path, lines.join(""));
    },
  };
}

type Errors = ReturnType<typeof createErrors>;

function tellChecked(
  rows: readonly Row[],
  errors: Errors,
  { json }: Values,
  io: CommandIo,
): number {
  const fit = rows.length - errors.count;
  if (json) {
    io.stdout.write(`${JSON.stringify({ rows: rows.length, fit, faulty: errors.count })}\n`);
  } else if (errors.count === 0) io.stdout.write(`${fit} emails are fit\n`);
  if (errors.count === 0) return 0;
  const [first] = rows.filter(({ faults }) => faults.length > 0);
  const [fault] = first?.faults ?? [];
  io.stderr.write(
    `import: ${errors.count} of ${rows.length} rows are at fault, nothing was handed over; the ` +
      `first on line ${first?.line}: ${fault?.pointer || "/"}: ${fault?.detail}. All of them: ` +
      `${errors.path}\n`,
  );
  return 1;
}

interface Context {
  mailer: Client;
  hash: string;
  errors: Errors;
  progress: ProgressFile;
  io: CommandIo;
}

async function handOver(rows: readonly Row[], context: Context, values: Values): Promise<number> {
  const { progress, errors, io } = context;
  const before = progress.done;
  const bar = createBar(rows.length, io);
  let accepted = 0;
  // From the first row on, so that a batch has the same rows, and key, in every run.
  for (const { from, to } of batchesOf(rows)) {
    if (to <= progress.done) continue;
    bar.show(from);
    try {
      accepted += await handOverBatch(rows.slice(from, to), `${from}-${to}`, context);
    } catch (error) {
      bar.end();
      if (!(error instanceof MailerError)) throw error;
      io.stderr.write(
        `import: stopped behind ${progress.done} of ${rows.length} rows: ${error.message} ` +
          "Run the same command again to go on.\n",
      );
      return 1;
    }
    progress.note(to);
  }
  bar.end();
  const result = { rows: rows.length, accepted, refused: errors.count, earlier: before };
  if (values.json) io.stdout.write(`${JSON.stringify(result)}\n`);
  else io.stdout.write(`${wordsOf(result)}\n`);
  if (errors.count === 0) return 0;
  io.stderr.write(`import: ${errors.count} rows were refused: ${errors.path}\n`);
  return 1;
}

function wordsOf({ rows, accepted, earlier }: { rows: number; accepted: number; earlier: number }) {
  if (earlier === rows)
    return `all ${rows} rows were handed over before; --run <name> does it again`;
  const before = earlier === 0 ? "" : `, ${earlier} rows were handed over before`;
  return `${accepted} emails accepted${before}`;
}

function* batchesOf(rows: readonly Row[]): Generator<{ from: number; to: number }> {
  let from = 0;
  let bytes = 0;
  for (const [at, { email }] of rows.entries()) {
    const size = JSON.stringify(email).length;
    if (at > from && (at - from >= batchRows || bytes + size > batchBytes)) {
      yield { from, to: at };
      from = at;
      bytes = 0;
    }
    bytes += size;
  }
  if (from < rows.length) yield { from, to: rows.length };
}

/** How many were accepted, now or by an earlier run whose answer was lost. */
async function handOverBatch(
  rows: readonly Row[],
  place: string,
  { mailer, hash, errors }: Context,
): Promise<number> {
  const fit = rows.filter(({ faults }) => faults.length === 0);
  if (fit.length === 0) return 0;
  const { data } = await mailer.scheduleBatch({
    body: { mode: "permissive", emails: fit.map(({ email }) => email as Schemas["Email"]) },
    idempotencyKey: `import-${hash.slice(0, 32)}-${place}`,
  });
  let accepted = 0;
  for (const entry of data) {
    const row = fit[entry.index];
    if (!("error" in entry)) accepted += 1;
    else if (row !== undefined) {
      const { code, errors: faults } = entry.error;
      errors.add({ line: row.line, code, errors: faults, email: row.email });
    }
  }
  return accepted;
}

/** A line that is written over, on a terminal alone. */
function createBar(total: number, io: CommandIo) {
  const paint = createPaint(io);
  const width = 24;
  return {
    show(done: number): void {
      if (!io.isTty) return;
      const filled = Math.round((done / total) * width);
      const bar = paint("█".repeat(filled), "green") + paint("░".repeat(width - filled), "dim");
      io.stderr.write(`\r${bar} ${done} of ${total}`);
    },
    end(): void {
      if (io.isTty) io.stderr.write("\r\x1b[K");
    },
  };
}
