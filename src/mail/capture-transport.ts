import type { FenceAnswer, SendReport } from "../email/smtp.ts";
import { type StagedFile, stageFile, syncPath } from "../runtime/durable-file.ts";
import { capturedEnvelope, capturedFolder, capturedPaths } from "./captured.ts";
import { wholeSeconds, withDate } from "./message-date.ts";
import type { SendRequest, Transport } from "./transport.ts";

export interface CaptureTransportOptions {
  dataDir: string;
  now?: () => Date;
}

const accepted = { code: 250, enhanced: "2.0.0", text: "captured" };

/**
 * Sends nothing: each message becomes `captured/<email id>.eml`, its envelope a `.json` beside it.
 * It keeps the order of a real conversation, so that everything around it runs as in production:
 * whatever can fail (a full disk) fails before the fence is asked.
 */
export function createCaptureTransport({
  dataDir,
  now = () => new Date(),
}: CaptureTransportOptions): Transport {
  async function send(request: SendRequest): Promise<SendReport> {
    if (request.signal.aborted) return { ...nothingSent, phase: "connect", withheld: "aborted" };
    const messageDate = wholeSeconds(request.messageDate ?? now());
    let staged: StagedFile[];
    try {
      staged = await stage(dataDir, request, messageDate, now());
    } catch (error) {
      return { ...nothingSent, phase: "connect", error: wordsOf(error) };
    }
    const answer = await ask(request, messageDate);
    if (!answer?.granted) {
      await Promise.all(staged.map((file) => file.discard()));
      return { ...nothingSent, phase: "fence", withheld: answer?.reason ?? "fence_failed" };
    }
    return commit(dataDir, request, messageDate, staged);
  }

  return { name: "capture", send, close: async () => {} };
}

async function stage(
  dataDir: string,
  { emailId, envelope, message }: SendRequest,
  messageDate: Date,
  capturedAt: Date,
): Promise<StagedFile[]> {
  const paths = capturedPaths(dataDir, emailId);
  if (!paths) throw new Error("the email's id is no UUID");
  const dated = withDate(message, messageDate);
  const json = `${JSON.stringify(await capturedEnvelope(envelope, capturedAt, dated), null, 2)}\n`;
  const envelopeFile = await stageFile(paths.envelope, json);
  try {
    // The message last: whoever sees it finds its envelope there already.
    return [envelopeFile, await stageFile(paths.message, dated)];
  } catch (error) {
    await envelopeFile.discard();
    throw error;
  }
}

/** Null: the fence's call failed. */
async function ask({ fence }: SendRequest, messageDate: Date): Promise<FenceAnswer | null> {
  try {
    return await fence(messageDate);
  } catch {
    // Whether it was written or not, nothing is sent; the report says so.
    return null;
  }
}

async function commit(
  dataDir: string,
  { envelope }: SendRequest,
  messageDate: Date,
  staged: StagedFile[],
): Promise<SendReport> {
  const recipients = envelope.recipients.map(({ position }) => ({ position, reply: accepted }));
  const sent: SendReport = {
    ...nothingSent,
    phase: "reply",
    fenced: true,
    messageDate,
    recipients,
  };
  try {
    for (const file of staged) await file.commit();
    await syncPath(capturedFolder(dataDir));
    return { ...sent, reply: accepted };
  } catch (error) {
    // Like a connection lost after the dot: the file may be there.
    return { ...sent, error: wordsOf(error) };
  }
}

const nothingSent: Omit<SendReport, "phase"> = {
  fenced: false,
  messageDate: null,
  reply: null,
  recipients: [],
  error: null,
  withheld: null,
  transport: "capture",
};

function wordsOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return `the captured message could not be written (${code ?? message ?? "unknown"})`;
}
