import { type CsvError, type Info, parse } from "csv-parse/sync";
import { quoteInput } from "../../email/quote-input.ts";
import { type FieldFault, isAppError } from "../../errors.ts";
import { emailSchema } from "../../http/request/email-schema.ts";
import { isPlainObject } from "../../http/request/field-schemas.ts";
import { toDraft } from "../../http/request/to-draft.ts";
import { readTime } from "../remote/read-time.ts";

/** One email of the file, as the API takes it, or what is wrong with it. */
export interface Row {
  /** Where it begins in the file, from 1. */
  line: number;
  email: Record<string, unknown>;
  faults: FieldFault[];
}

export interface RowOptions {
  /** Fields of every row that has none of its own. */
  defaults: Record<string, unknown>;
  /** The zone of times without one. */
  zone: string | null;
  /** Times before it are refused; null: they are for the server to judge. */
  now: Date | null;
}

/** The file makes no sense as a whole; the message says where and why. */
export class ImportError extends Error {}

/** Every row, checked by the schemas of the API. Throws `ImportError`. */
export function readRows(text: string, kind: "csv" | "jsonl", options: RowOptions): Row[] {
  const rows = kind === "csv" ? readCsv(text) : readJsonLines(text);
  return rows.map((row) => checkRow(row, options));
}

function readJsonLines(text: string): Row[] {
  return text
    .replace(/^\ufeff/, "")
    .split("\n")
    .flatMap((source, index): Row[] => {
      if (source.trim() === "") return [];
      const line = index + 1;
      const email = parseJson(source);
      if (isPlainObject(email)) return [{ line, email, faults: [] }];
      const detail = `expected an email as a JSON object on one line, got ${quoteInput(source)}`;
      return [{ line, email: {}, faults: [{ pointer: "", detail }] }];
    });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's words quote the line.
    return undefined;
  }
}

const lists: ReadonlySet<string> = new Set(["recipients", "cc", "bcc", "reply_to", "tags"]);
const numbers: ReadonlySet<string> = new Set(["max_retries", "max_age", "max_lateness"]);
const aliases: Readonly<Record<string, string>> = {
  to: "recipients",
  email: "recipients",
  html: "html_body",
  text: "body",
  timezone: "zone",
};
/** Fields that are no cell: a list of files, or an object. */
const notCells: ReadonlySet<string> = new Set(["attachments", "headers", "metadata"]);

function readCsv(text: string): Row[] {
  const [head = "", ...none] = text.replace(/^\ufeff/, "").split(/\r?\n/, 1);
  const delimiter = head.includes(";") && !head.includes(",") && none.length === 0 ? ";" : ",";
  const records = parseCsv(text, delimiter);
  const [header, ...rest] = records;
  if (header === undefined) throw new ImportError("expected a first line with the columns' names");
  const columns = header.record.map((name) => columnOf(name));
  const twice = columns.find((name, at) => columns.indexOf(name) !== at);
  if (twice !== undefined) throw new ImportError(`the column ${twice} is there twice`);
  return rest.map(({ record, info }) => {
    const email: Record<string, unknown> = {};
    const faults: FieldFault[] = [];
    for (const [at, name] of columns.entries()) fill(email, name, record[at] ?? "", faults);
    // A cell may have several lines; `info` counts to the last of them.
    const lines = record.join("").split("\n").length - 1;
    return { line: info.lines - lines, email, faults };
  });
}

function parseCsv(text: string, delimiter: string) {
  try {
    const options = { bom: true, delimiter, info: true, skip_empty_lines: true } as const;
    return parse(text, options) as unknown as { record: string[]; info: Info }[];
  } catch (error) {
    throw new ImportError(`the file is no CSV: ${(error as CsvError).message}`);
  }
}

function columnOf(name: string): string {
  const trimmed = name.trim();
  const known = aliases[trimmed] ?? trimmed;
  const isPart = /^(?:metadata|headers)\../.test(known);
  const isField = Object.hasOwn(emailSchema.shape, known) && !notCells.has(known);
  if (isPart || isField || known === "at" || known === "zone") return known;
  throw new ImportError(
    `expected columns that are fields of an email, at, zone, metadata.<key> or headers.<name>, ` +
      `got ${quoteInput(trimmed)}`,
  );
}

/** An empty cell is a field left out, but for a time: that would mean now. */
function fill(email: Record<string, unknown>, name: string, cell: string, faults: FieldFault[]) {
  if (cell === "") {
    if (name !== "at" && name !== "scheduled_at") return;
    faults.push({ pointer: `/${name}`, detail: "expected a time, got an empty cell" });
    return;
  }
  const [group = "", ...path] = name.split(".");
  if (path.length > 0) {
    email[group] = { ...(email[group] as object), [path.join(".")]: cell };
  } else if (lists.has(name)) {
    email[name] = cell.split(";").flatMap((part) => (part.trim() === "" ? [] : [part.trim()]));
  } else {
    email[name] = numbers.has(name) && /^\d+$/.test(cell) ? Number(cell) : cell;
  }
}

function checkRow({ line, email: given, faults }: Row, { defaults, zone, now }: RowOptions): Row {
  const { at, zone: ownZone, ...fields } = { ...defaults, ...given };
  const email: Record<string, unknown> = fields;
  if (at !== undefined) {
    const isText = typeof at === "string" && (ownZone === undefined || typeof ownZone === "string");
    const parsed = isText
      ? readTime(at, ownZone ?? (/(?:Z|[+-]\d\d:\d\d)$/i.test(at) ? null : zone))
      : { fault: `expected a time and a zone as texts, got ${quoteInput(at)}` };
    if ("value" in parsed) Object.assign(email, parsed.value);
    else faults.push({ pointer: "/at", detail: parsed.fault });
    const other = ["scheduled_at", "local_time"].find((name) => Object.hasOwn(given, name));
    if (other !== undefined) {
      faults.push({ pointer: "/at", detail: `expected at or ${other}, got both` });
    }
  } else if (ownZone !== undefined) {
    faults.push({ pointer: "/zone", detail: "expected at beside zone, got zone alone" });
  }
  return { line, email, faults: faults.length > 0 ? faults : faultsOf(email, now) };
}

/** By the rules of the API; who may be the sender, and in which region, the server alone knows. */
function faultsOf(email: Record<string, unknown>, now: Date | null): FieldFault[] {
  const sender = { from: "import@localhost", fromName: null, allowed: null, headersAllowed: ["*"] };
  const { region } = email;
  const config = { region: "local", sender };
  const regions = typeof region === "string" ? [region] : [];
  try {
    toDraft(email, { config, now: now ?? new Date(0), regions });
    return [];
  } catch (error) {
    if (!isAppError(error)) throw error;
    const { faults, publicDetail } = error;
    return faults.length > 0 ? faults : [{ pointer: "", detail: publicDetail }];
  }
}
