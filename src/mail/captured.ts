import { join } from "node:path";
import type { Envelope } from "../email/smtp.ts";
import { readMessage } from "./read-message.ts";

/** The envelope file beside a captured message, as JSON. */
export interface CapturedEnvelope {
  from: string;
  recipients: string[];
  /** RFC 3339, UTC. */
  captured_at: string;
  /** So that a folder can be looked through without reading whole messages. */
  subject: string;
  size_bytes: number;
}

const idPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Where captured messages lie. */
export function capturedFolder(dataDir: string): string {
  return join(dataDir, "captured");
}

/** Null for what is no email id: nothing else may ever become part of a path. */
export function capturedPaths(
  dataDir: string,
  emailId: string,
): { message: string; envelope: string } | null {
  if (!idPattern.test(emailId)) return null;
  const base = join(capturedFolder(dataDir), emailId);
  return { message: `${base}.eml`, envelope: `${base}.json` };
}

export async function capturedEnvelope(
  envelope: Envelope,
  capturedAt: Date,
  message: Uint8Array,
): Promise<CapturedEnvelope> {
  return {
    from: envelope.from,
    recipients: envelope.recipients.map(({ address }) => address),
    captured_at: capturedAt.toISOString(),
    subject: await subjectOf(message),
    size_bytes: message.length,
  };
}

/** All that a message may hold before its body, and more. */
const headBytesMax = 64 * 1024;

/** Of the headers alone. A message that no parser can read has none. */
async function subjectOf(message: Uint8Array): Promise<string> {
  const head = Buffer.from(message.subarray(0, headBytesMax));
  const end = head.indexOf("\r\n\r\n");
  return await readMessage(head.subarray(0, end < 0 ? undefined : end + 4)).then(
    ({ subject }) => subject,
    () => "",
  );
}
