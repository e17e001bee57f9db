import { Readable } from "node:stream";
import type { FenceAnswer } from "../email/smtp.ts";
import { dateHeader } from "./message-date.ts";

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
  /** Not read yet: the server has not said 354. */
  | "shut"
  /** The fence is being asked. */
  | "asking"
  /** Refused, failed, or shut for good: not one byte was handed over, nor will be. */
  | "withheld"
  /** Part of the body was handed over. */
  | "open"
  /** All of it was; the dot follows by itself. */
  | "finished";

/**
 * The body of one message behind its fence. SMTPConnection reads it only after 354, and a stream
 * that is destroyed before its end makes it send no dot, so nothing can be accepted unfenced.
 */
export class GatedMessage extends Readable {
  state: GateState = "shut";
  /** The server had said 354. */
  wasAsked = false;
  isFenced = false;
  withheld: "cancelled" | "stale" | "fence_failed" | null = null;
  private isShutForGood = false;
  private answered: Promise<void> = Promise.resolve();
  private offset = 0;

  constructor(private readonly options: GatedMessageOptions) {
    super({ highWaterMark: pieceBytes });
    this.on("error", () => {
      // `state` and `withheld` tell it all; without a listener the error would end the process.
    });
  }

  /** Hands nothing more over; a fence under way is awaited by `settled`. */
  shut(): void {
    this.isShutForGood = true;
    if (this.state === "shut") this.withhold();
    if (this.state === "open") this.destroy();
  }

  /** Resolves when no answer of the fence is outstanding. */
  settled(): Promise<void> {
    return this.answered;
  }

  override _read(): void {
    if (this.state === "open") this.next();
    if (this.state !== "shut") return;
    this.state = "asking";
    this.wasAsked = true;
    this.options.onAsk();
    this.answered = this.ask().catch(() => {
      this.withheld = "fence_failed";
      this.withhold();
    });
  }

  private async ask(): Promise<void> {
    const { fence, messageDate, fenceTimeoutMs, onOpen } = this.options;
    const answer = await withTimeout(fence(messageDate), fenceTimeoutMs);
    this.isFenced = answer.granted;
    if (!answer.granted) this.withheld = answer.reason;
    // Also when the connection was lost meanwhile: then surely nothing was sent, fence or not.
    if (this.isShutForGood || this.destroyed || !answer.granted) return this.withhold();
    this.state = "open";
    onOpen();
    this.next();
  }

  private next(): void {
    const { message, messageDate, onProgress } = this.options;
    const piece = message.subarray(this.offset, this.offset + pieceBytes);
    const isFirst = this.offset === 0;
    this.offset += piece.length;
    const isLast = this.offset >= message.length;
    if (isLast) this.state = "finished";
    onProgress();
    const date = isFirst ? [Buffer.from(dateHeader(messageDate))] : [];
    this.push(Buffer.concat([...date, piece]));
    if (isLast) this.push(null);
  }

  private withhold(): void {
    this.state = "withheld";
    this.destroy(new Error("the body was withheld"));
  }
}

/** Rejects when the time is up, and when `fence` throws before it makes a promise. */
async function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("the fence did not answer")), timeoutMs);
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
