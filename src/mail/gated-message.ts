import type { FenceAnswer } from "../email/smtp.ts";
import { dotStuffed, endOfData, lineStart } from "./dot-stuffed.ts";
import { dateBefore } from "./message-date.ts";

/** Backpressure and the progress of an upload are counted in pieces of this size. */
const pieceBytes = 64 * 1024;

export interface GatedMessageOptions {
  message: Uint8Array;
  messageDate: Date;
  fence: (messageDate: Date) => Promise<FenceAnswer>;
  /** A fence that has not answered by then counts as failed. */
  fenceTimeoutMs: number;
  onAsk: () => void;
  /** Granted; the body begins. */
  onOpen: () => void;
  /** A piece of the body was handed over, the first or a later one. */
  onProgress: () => void;
}

export type GateState =
  /** The server has not said 354. */
  | "shut"
  /** The fence is being asked. */
  | "asking"
  /** Refused, failed, or shut for good: not one byte was handed over, nor will be. */
  | "withheld"
  /** Part of the body was handed over. */
  | "open"
  /** All of it was, and the dot. */
  | "finished";

/** Where the body goes. */
export interface BodySink {
  /** False once the connection has ended. */
  readonly isOpen: boolean;
  /** Resolves when more may follow; false: the connection has ended. */
  write(bytes: Uint8Array): Promise<boolean> | boolean;
}

/** The body of one message behind its fence: nothing can be accepted unfenced. */
export class GatedMessage {
  state: GateState = "shut";
  /** The server had said 354. */
  wasAsked = false;
  isFenced = false;
  withheld: "cancelled" | "stale" | "paused" | "fence_failed" | null = null;
  private isShutForGood = false;
  private answered: Promise<void> = Promise.resolve();

  constructor(private readonly options: GatedMessageOptions) {}

  /** Hands nothing more over; a fence under way is awaited by `settled`. */
  shut(): void {
    this.isShutForGood = true;
    if (this.state === "shut") this.state = "withheld";
  }

  /** Resolves when no answer of the fence is outstanding. */
  settled(): Promise<void> {
    return this.answered;
  }

  /**
   * After 354: asks, and writes the body and its dot if that is granted. Resolves when all is
   * written, or with false when nothing more will be: then the connection is of no more use.
   */
  async passTo(sink: BodySink): Promise<boolean> {
    if (this.state !== "shut") return false;
    this.state = "asking";
    this.wasAsked = true;
    this.options.onAsk();
    const asked = this.ask(sink);
    this.answered = asked.then(() => {});
    return (await asked) ? await this.writeTo(sink) : false;
  }

  /** Never rejects. */
  private async ask(sink: BodySink): Promise<boolean> {
    const { fence, messageDate, fenceTimeoutMs, onOpen } = this.options;
    try {
      const answer = await withTimeout(fence, messageDate, fenceTimeoutMs);
      this.isFenced = answer.granted;
      if (!answer.granted) this.withheld = answer.reason;
    } catch {
      this.withheld = "fence_failed";
    }
    // Also when the connection was lost meanwhile: then surely nothing was sent, fence or not.
    const isOpen = this.isFenced && !this.isShutForGood && sink.isOpen;
    this.state = isOpen ? "open" : "withheld";
    if (isOpen) onOpen();
    return isOpen;
  }

  /** In few large writes: what costs is each write, not its bytes. */
  private async writeTo(sink: BodySink): Promise<boolean> {
    const { message, messageDate, onProgress } = this.options;
    const before = { ...lineStart };
    for (let from = 0; this.state === "open" && sink.isOpen; from += pieceBytes) {
      const piece = dotStuffed(message.subarray(from, from + pieceBytes), before);
      const isLast = from + pieceBytes >= message.length;
      const parts = [piece];
      if (from === 0) parts.unshift(Buffer.from(dateBefore(message, messageDate), "latin1"));
      if (isLast) parts.push(Buffer.from(endOfData(before), "latin1"));
      if (isLast) this.state = "finished";
      onProgress();
      const written = sink.write(parts.length === 1 ? piece : Buffer.concat(parts));
      if (isLast) return true;
      if (!(await written) || this.isShutForGood) return false;
    }
    return false;
  }
}

/** Rejects when the time is up, and when `fence` throws before it makes a promise. */
async function withTimeout(
  fence: GatedMessageOptions["fence"],
  messageDate: Date,
  timeoutMs: number,
): Promise<FenceAnswer> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("the fence did not answer")), timeoutMs);
  try {
    return await Promise.race([fence(messageDate), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
