import type { ProvenEntry } from "../store/journal.ts";

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

/** Reads an export in whatever chunks it comes. Throws `ExportError` at the first bad line. */
export async function* readExport(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<ProvenEntry, void, undefined> {
  let count = 0;
  for await (const line of linesOf(chunks)) {
    count += 1;
    if (line.trim() !== "") yield parseLine(line, count);
  }
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

function parseLine(line: string, count: number): ProvenEntry {
  let json: Record<string, unknown>;
  try {
    json = Object(JSON.parse(line));
  } catch {
    // The parser's words name no line.
    throw new ExportError(count, "expected an entry as JSON, got something else, or half of one");
  }
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
