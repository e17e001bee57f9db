import type { Anchor, ProvenEntry } from "../store/journal.ts";
import { type Checkpoint, isSoundlySigned, parseCheckpoint } from "./checkpoint.ts";
import type { JournalStart } from "./journal-start.ts";

/** An entry as the API shows it. */
export function entryAnswer(entry: ProvenEntry) {
  return {
    position: entry.position,
    number: entry.number,
    at: entry.at,
    owner_id: entry.ownerId,
    actor: entry.actor,
    origin: entry.origin,
    action: entry.action,
    email_id: entry.emailId,
    sequence: entry.sequence,
    detail: entry.detail,
    hash: entry.hash,
  };
}

/**
 * One line of an export. `canonical` is the text whose bytes were hashed, so that a verifier needs
 * nothing but the file: hash = sha256(hash of the owner's entry before ‖ canonical in UTF-8).
 */
export function exportLine(entry: ProvenEntry): string {
  const canonical = new TextDecoder().decode(entry.canonical);
  return `${JSON.stringify({ ...entryAnswer(entry), canonical })}\n`;
}

/** A line of an export that is none; `message` is for people. */
export class ExportError extends Error {
  constructor(line: number, words: string) {
    super(`line ${line}: ${words}`);
    this.name = "ExportError";
  }
}

const startType = "taskforce-mailer/journal-start/v1";
const anchorType = "taskforce-mailer/journal-anchor/v1";
const anchorsAtOnce = 1_000;

/** The lines before the first entry of a journal whose oldest entries were dropped. */
export function* startLines(start: JournalStart): Generator<string, void, undefined> {
  const { ownerId: owner_id, position, checkpoint } = start;
  yield `${JSON.stringify({ type: startType, owner_id, position, checkpoint })}\n`;
  let lines: string[] = [];
  for (const [owner, { position: at, number, hash }] of start.anchors) {
    const anchor = { type: anchorType, owner_id: owner, position: at, number, hash };
    lines.push(`${JSON.stringify(anchor)}\n`);
    if (lines.length < anchorsAtOnce) continue;
    yield lines.join("");
    lines = [];
  }
  if (lines.length > 0) yield lines.join("");
}

export interface JournalExport {
  /** Null: it begins with the first entries of its chains. */
  start: JournalStart | null;
  /** To be read once. Throws `ExportError` at the first bad line. */
  entries: AsyncGenerator<ProvenEntry, void, undefined>;
}

/** Reads an export in whatever chunks it comes. Throws `ExportError` at the first bad line. */
export async function openExport(chunks: AsyncIterable<Uint8Array>): Promise<JournalExport> {
  const lines = parsedLines(chunks);
  let line = await lines.next();
  if (line.done || line.value.json.type !== startType) {
    return { start: null, entries: entriesOf(lines, line) };
  }
  const anchors = new Map<string, Anchor>();
  const start = { ...parseStart(line.value), anchors };
  for (line = await lines.next(); !line.done; line = await lines.next()) {
    if (line.value.json.type !== anchorType) break;
    const [ownerId, anchor] = parseAnchor(line.value);
    anchors.set(ownerId, anchor);
  }
  return { start, entries: entriesOf(lines, line) };
}

interface Line {
  json: Record<string, unknown>;
  count: number;
}

async function* parsedLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Line, void> {
  let count = 0;
  for await (const line of linesOf(chunks)) {
    count += 1;
    if (line.trim() !== "") yield { json: parseLine(line, count), count };
  }
}

async function* entriesOf(
  lines: AsyncGenerator<Line, void>,
  first: IteratorResult<Line, void>,
): AsyncGenerator<ProvenEntry, void, undefined> {
  if (!first.done) yield parseEntry(first.value);
  for await (const line of lines) yield parseEntry(line);
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  yield rest + decoder.decode();
}

function parseLine(line: string, count: number): Record<string, unknown> {
  try {
    return Object(JSON.parse(line));
  } catch {
    // The parser's words name no line.
    throw new ExportError(count, "expected an entry as JSON, got something else, or half of one");
  }
}

function parseStart({ json, count }: Line): Omit<JournalStart, "anchors"> {
  const { owner_id: ownerId, position, checkpoint } = json;
  const isStart =
    Number.isSafeInteger(position) && (ownerId === null || typeof ownerId === "string");
  if (!isStart) throw new ExportError(count, "expected where the journal begins");
  return {
    ownerId: ownerId as string | null,
    position: position as number,
    checkpoint: checkpoint === null ? null : signedCheckpoint(checkpoint),
  };
}

/** Null, as for one that is missing: it was changed after it was signed, and vouches for nothing. */
function signedCheckpoint(json: unknown): Checkpoint | null {
  try {
    const checkpoint = parseCheckpoint(JSON.stringify(json));
    return checkpoint.owner_id === null && isSoundlySigned(checkpoint) ? checkpoint : null;
  } catch {
    // None at all.
    return null;
  }
}

function parseAnchor({ json, count }: Line): [ownerId: string, anchor: Anchor] {
  const { owner_id, position, number, hash } = json;
  const isAnchor =
    [position, number].every((place) => Number.isSafeInteger(place)) &&
    [owner_id, hash].every((word) => typeof word === "string");
  if (!isAnchor) throw new ExportError(count, "expected the anchor of an owner's chain");
  const anchor = { position: position as number, number: number as number, hash: hash as string };
  return [owner_id as string, anchor];
}

function parseEntry({ json, count }: Line): ProvenEntry {
  const { position, number, at, owner_id, actor, origin, action, email_id, sequence } = json;
  const { detail, canonical, hash } = json;
  const isEntry =
    Number.isSafeInteger(position) &&
    Number.isSafeInteger(number) &&
    [at, owner_id, actor, action, canonical, hash].every((word) => typeof word === "string");
  if (!isEntry) {
    throw new ExportError(count, "expected an entry with its canonical text and hash");
  }
  return {
    ...{ position: position as number, number: number as number, at: at as string },
    ...{ ownerId: owner_id as string, actor: actor as string, action: action as string },
    ...{ origin: origin as string | null, emailId: email_id as string | null },
    ...{ sequence: sequence as number | null, detail: detail as Record<string, unknown> },
    ...{ canonical: new TextEncoder().encode(canonical as string), hash: hash as string },
  };
}
