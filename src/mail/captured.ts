import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Envelope } from "../email/smtp.ts";
import { readMessage } from "./read-message.ts";

/** The envelope file beside a captured message, as JSON. */
export interface CapturedEnvelope {
  from: string;
  recipients: string[];
  /** RFC 3339, UTC. */
  captured_at: string;
  /** Noted for the list, so that nobody reads whole messages for it; absent: an older file. */
  subject?: string;
  size_bytes?: number;
}

/** One line of the page that lists captured messages. */
export interface CapturedMail {
  emailId: string;
  subject: string;
  from: string;
  recipients: string[];
  capturedAt: Date;
  sizeBytes: number;
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
): Promise<Required<CapturedEnvelope>> {
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

/** Of the headers alone. A message that no parser can read has none, and is listed all the same. */
async function subjectOf(message: Uint8Array): Promise<string> {
  const head = Buffer.from(message.subarray(0, headBytesMax));
  const end = head.indexOf("\r\n\r\n");
  return await readMessage(head.subarray(0, end < 0 ? undefined : end + 4)).then(
    ({ subject }) => subject,
    () => "",
  );
}

/** The newest first, at most `limit`. A file that cannot be read is left out. */
export async function listCaptured(
  dataDir: string,
  { limit }: { limit: number },
): Promise<CapturedMail[]> {
  const newest = (await filesByAge(dataDir)).slice(0, limit);
  const mails = await Promise.all(newest.map(({ emailId }) => describe(dataDir, emailId)));
  return mails
    .filter((mail) => mail !== null)
    .sort((a, b) => b.capturedAt.getTime() - a.capturedAt.getTime());
}

/** The exact bytes; null when there is no such message. */
export async function readCaptured(
  dataDir: string,
  emailId: string,
): Promise<{ message: Uint8Array; envelope: CapturedEnvelope } | null> {
  const paths = capturedPaths(dataDir, emailId);
  if (!paths) return null;
  try {
    const message = await readFile(paths.message);
    const envelope = JSON.parse(await readFile(paths.envelope, "utf8")) as CapturedEnvelope;
    return { message, envelope };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function filesByAge(dataDir: string): Promise<{ emailId: string; at: number }[]> {
  const folder = capturedFolder(dataDir);
  const names = await readdir(folder).catch((error: unknown) => {
    // Before the first message there is no folder.
    if (isMissing(error)) return [];
    throw error;
  });
  const ids = names
    .filter((name) => name.endsWith(".eml"))
    .map((name) => name.slice(0, -".eml".length))
    .filter((id) => idPattern.test(id));
  const aged = await Promise.all(
    ids.map(async (emailId) => ({
      emailId,
      at: await stat(join(folder, `${emailId}.eml`)).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    })),
  );
  return aged.sort((a, b) => b.at - a.at);
}

async function describe(dataDir: string, emailId: string): Promise<CapturedMail | null> {
  const paths = capturedPaths(dataDir, emailId);
  if (!paths) return null;
  try {
    const envelope = JSON.parse(await readFile(paths.envelope, "utf8")) as CapturedEnvelope;
    const { subject, size_bytes: sizeBytes } = envelope;
    const file = Bun.file(paths.message);
    return {
      emailId,
      subject: subject ?? (await subjectOf(await file.slice(0, headBytesMax).bytes())),
      from: envelope.from,
      recipients: envelope.recipients,
      capturedAt: new Date(envelope.captured_at),
      sizeBytes: sizeBytes ?? (await stat(paths.message)).size,
    };
  } catch {
    // A file that is gone, or cannot be read, is left out.
    return null;
  }
}

function isMissing(error: unknown): boolean {
  return (error as { code?: string }).code === "ENOENT";
}
