import { decodeWords } from "postal-mime";
import type { Address } from "../email/email.ts";
import { parseAddress } from "../email/parse-address.ts";
import { isFault, type Parsed } from "../email/parsed.ts";
import { quoteInput } from "../email/quote-input.ts";

/** The facts of a finished message that its header tells. */
export interface RawMessage {
  /** As it is sent: without Bcc, and otherwise byte for byte as it came. */
  message: Uint8Array;
  /** Everybody whom its header names as the author or the sender. */
  authors: Address[];
  /** Decoded; empty when it has none. */
  subject: string;
}

/** RFC 5321 section 4.5.3.1.6, without CRLF. */
const lineBytesMax = 998;
const lf = 0x0a;
const cr = 0x0d;
/** A header block of this size is no header block. */
const headBytesMax = 64 * 1024;

/**
 * A finished message, for signed and encrypted mail: nothing of it is written anew. What SMTP
 * forbids is a fault that names it, since repairing it would break a signature.
 */
export function readRawMessage(bytes: Uint8Array): Parsed<RawMessage> {
  const broken = byteFault(bytes);
  if (broken !== null) return { fault: broken };
  const head = headOf(bytes);
  if (head === null) {
    return { fault: `expected a header block of at most ${headBytesMax} bytes, got a longer one` };
  }
  const fields = fieldsOf(head);
  if (isFault(fields)) return fields;
  const authors = authorsOf(fields.value);
  if (isFault(authors)) return authors;
  return {
    value: {
      message: withoutBcc(bytes, fields.value),
      authors: authors.value,
      subject: decodeWords(textOf(fields.value, "subject") ?? "")
        .replace(/\p{Cc}+/gu, " ")
        .trim(),
    },
  };
}

/** Places count from 0, lines from 1. */
function byteFault(bytes: Uint8Array): string | null {
  const expected = "expected a message as SMTP carries it (7-bit, CRLF line ends)";
  let lineStart = 0;
  let line = 1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === lf) {
      if (bytes[at - 1] !== cr) return `${expected}, got a bare LF in line ${line}`;
      if (at - 1 - lineStart > lineBytesMax) return longLine(expected, line, at - 1 - lineStart);
      lineStart = at + 1;
      line++;
    } else if (bytes[at - 1] === cr) {
      return `${expected}, got a bare CR in line ${line}`;
    } else if (byte === 0) {
      return `${expected}, got a NUL in line ${line}`;
    } else if (byte > 0x7f) {
      return `${expected}, got the 8-bit byte 0x${byte.toString(16)} in line ${line}`;
    }
  }
  if (bytes.at(-1) === cr) return `${expected}, got a bare CR in line ${line}`;
  const rest = bytes.length - lineStart;
  return rest > lineBytesMax ? longLine(expected, line, rest) : null;
}

function longLine(expected: string, line: number, bytes: number): string {
  return `${expected}, got ${bytes} bytes in line ${line}, of which ${lineBytesMax} are allowed`;
}

/** Up to and with the line end before the empty line; null: too long. */
function headOf(bytes: Uint8Array): string | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = text.indexOf("\r\n\r\n");
  const length = end < 0 ? text.length : end + 2;
  return length > headBytesMax ? null : text.toString("latin1", 0, length);
}

interface Field {
  /** In lower case. */
  name: string;
  value: string;
  /** Of the message's bytes, with the line end. */
  from: number;
  to: number;
}

function fieldsOf(head: string): Parsed<Field[]> {
  const fields: Field[] = [];
  let at = 0;
  for (const [text] of head.matchAll(/[^\r]*\r\n(?:[ \t][^\r]*\r\n)*/g)) {
    const [, name = "", value = ""] = /^([\x21-\x39\x3b-\x7e]+):([\s\S]*)$/.exec(text) ?? [];
    if (name === "") {
      return {
        fault: `expected header fields before the first empty line, got ${quoteInput(text)}`,
      };
    }
    const unfolded = value.replace(/\r\n/g, "").trim();
    fields.push({ name: name.toLowerCase(), value: unfolded, from: at, to: at + text.length });
    at += text.length;
  }
  if (at !== head.length) return { fault: "expected a header block whose lines end in CRLF" };
  const twice = ["from", "sender", "date", "subject", "message-id"].find(
    (name) => fields.filter((field) => field.name === name).length > 1,
  );
  if (twice !== undefined) return { fault: `expected the header ${twice} once, got it twice` };
  return { value: fields };
}

function textOf(fields: Field[], name: string): string | undefined {
  return fields.find((field) => field.name === name)?.value;
}

/** Whom it says that it is from must be one that may send, whatever the envelope says. */
function authorsOf(fields: Field[]): Parsed<Address[]> {
  if (textOf(fields, "from") === undefined) {
    return { fault: "expected a message with a From header, got none" };
  }
  const authors: Address[] = [];
  for (const { name, value } of fields) {
    if (!["from", "sender", "resent-from", "resent-sender"].includes(name)) continue;
    // The name before the address may be an encoded-word, which a mailbox of the API may not.
    const address = /^[^<>]*<([^<>]*)>$/.exec(value)?.[1] ?? value;
    const parsed = parseAddress(address);
    if (isFault(parsed)) {
      return { fault: `expected one address in the header ${name}, got ${quoteInput(value)}` };
    }
    authors.push(parsed.value);
  }
  return { value: authors };
}

/** A copy only when there is one to remove. */
function withoutBcc(bytes: Uint8Array, fields: Field[]): Uint8Array {
  const hidden = fields.filter(({ name }) => name === "bcc" || name === "resent-bcc");
  if (hidden.length === 0) return bytes;
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const { from, to } of hidden) {
    parts.push(bytes.subarray(at, from));
    at = to;
  }
  return Buffer.concat([...parts, bytes.subarray(at)]);
}
