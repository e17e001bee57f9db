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

export function capturedEnvelope(envelope: Envelope, capturedAt: Date): CapturedEnvelope {
  return {
    from: envelope.from,
    recipients: envelope.recipients.map(({ address }) => address),
    captured_at: capturedAt.toISOString(),
  };
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
  const captured = await readCaptured(dataDir, emailId).catch(() => null);
  if (!captured) return null;
  const { message, envelope } = captured;
  // A message that no parser can read is listed all the same; its bytes are there to be seen.
  const subject = await readMessage(message).then(
    (read) => read.subject,
    () => "",
  );
  return {
    emailId,
    subject,
    from: envelope.from,
    recipients: envelope.recipients,
    capturedAt: new Date(envelope.captured_at),
    sizeBytes: message.length,
  };
}

function isMissing(error: unknown): boolean {
  return (error as { code?: string }).code === "ENOENT";
}
