import type { Socket } from "node:net";
import type { GatedMessage } from "./gated-message.ts";
import type { SmtpFailure } from "./smtp-failure.ts";
import { createSmtpLines } from "./smtp-lines.ts";
import type { SmtpTranscript } from "./smtp-transcript.ts";

/** The envelope and message for the next hop. Addresses are ASCII, of our own strict parser. */
export interface OutgoingMessage {
  from: string;
  to: string[];
  size: number;
  body: GatedMessage;
}

/**
 * The conversation over a connection that is greeted, secured and logged in. It is our own because
 * it bounds how many emails are sent a second: with PIPELINING (RFC 2920) an envelope is one write
 * and the message another; and because the fence stands in the middle of it.
 */
export interface SmtpExchange {
  /** Resolves at the reply that ends the message, or when the connection is of no more use. */
  send(message: OutgoingMessage): Promise<void>;
  /** Resolves at the reply, null: none came. For what stands between messages. */
  command(line: "RSET" | "QUIT"): Promise<string | null>;
  /** The server hung up: what it had begun to say still counts. */
  hangUp(): void;
  /** The connection has ended: nobody waits for anything any more. */
  end(): void;
  /** A command without an answer. */
  readonly isWaiting: boolean;
}

export interface SmtpExchangeDeps {
  socket: Socket;
  transcript: SmtpTranscript;
  /** The connection is of no more use; hang up. */
  onBroken: (failure: SmtpFailure) => void;
}

export function createSmtpExchange(deps: SmtpExchangeDeps): SmtpExchange {
  return new Exchange(deps);
}

const protocolBroken = { words: "the server broke the protocol (EPROTOCOL)", isTls: false };
const closedByServer = { words: "connection closed by the server (ECONNECTION)", isTls: false };

class Exchange implements SmtpExchange {
  private readonly socket: Socket;
  private readonly transcript: SmtpTranscript;
  private readonly waiting: ((reply: string | null) => void)[] = [];
  private readonly lines = createSmtpLines((reply) => this.received(reply));
  private drained: PromiseWithResolvers<boolean> | null = null;
  /** Whatever comes after 354 answers the body, also before there is one. */
  private bodyReply: Promise<string | null> = Promise.resolve(null);
  private isEnded = false;

  constructor(private readonly deps: SmtpExchangeDeps) {
    this.socket = deps.socket;
    this.transcript = deps.transcript;
    this.socket.on("data", (chunk: Buffer) => {
      if (!this.isEnded && !this.lines.feed(chunk)) deps.onBroken(protocolBroken);
    });
    this.socket.on("drain", () => this.settleDrain(true));
  }

  get isWaiting(): boolean {
    return this.waiting.length > 0;
  }

  async send({ from, to, size, body }: OutgoingMessage): Promise<void> {
    if (this.isEnded || ![from, ...to].every(isPlain)) return;
    const { keywords } = this.transcript.announced;
    const mail = `MAIL FROM:<${from}>${keywords.has("SIZE") ? ` SIZE=${size}` : ""}`;
    const recipients = to.map((address) => `RCPT TO:<${address}>`);
    const replies = keywords.has("PIPELINING")
      ? await this.ask([mail, ...recipients, "DATA"])
      : await this.askInTurn(mail, recipients);
    if (!replies) return;
    const [mailReply, ...rest] = replies;
    const dataReply = rest.pop();
    if (!isContinue(dataReply)) return;
    if (!isPositive(mailReply)) return this.deps.onBroken(protocolBroken);
    if (rest.some(isPositive)) await this.pass(body);
    else await this.passNothing();
  }

  async command(line: "RSET" | "QUIT"): Promise<string | null> {
    return (await this.ask([line]))?.[0] ?? null;
  }

  hangUp(): void {
    const { rest } = this.lines;
    if (!this.isEnded && rest !== "") this.transcript.received(rest);
  }

  end(): void {
    this.isEnded = true;
    this.settleDrain(false);
    for (const answer of this.waiting.splice(0)) answer(null);
  }

  private async pass(body: GatedMessage): Promise<void> {
    const { bodyReply } = this;
    const isOpen = () => !this.isEnded;
    const written = body.passTo({
      write: (bytes) => this.write(bytes),
      get isOpen() {
        return isOpen();
      },
    });
    await Promise.race([bodyReply, written.then((isWritten) => (isWritten ? bodyReply : null))]);
  }

  /** A server must refuse DATA without a recipient; an empty message has nobody to go to. */
  private async passNothing(): Promise<void> {
    if (this.isEnded) return;
    this.transcript.sent(".");
    this.socket.write(".\r\n");
    await this.bodyReply;
  }

  /** One write for all; null: the connection ended before the last reply. */
  private async ask(commands: string[]): Promise<string[] | null> {
    if (this.isEnded) return null;
    // The server has hung up, and the event that says so is still to come.
    if (!this.socket.writable) {
      this.deps.onBroken(closedByServer);
      return null;
    }
    for (const command of commands) this.transcript.sent(command);
    const replies = Promise.all(commands.map((command) => this.replyTo(command)));
    this.socket.write(`${commands.join("\r\n")}\r\n`, "latin1");
    const given = (await replies).filter((reply) => reply !== null);
    return given.length === commands.length ? given : null;
  }

  /** One after the other, none that makes no sense any more. */
  private async askInTurn(mail: string, recipients: string[]): Promise<string[] | null> {
    const replies = await this.ask([mail]);
    if (!isPositive(replies?.[0])) return null;
    for (const recipient of recipients) {
      const reply = await this.ask([recipient]);
      if (!reply) return null;
      replies?.push(...reply);
    }
    const data = replies?.slice(1).some(isPositive) ? await this.ask(["DATA"]) : null;
    return replies && data && [...replies, ...data];
  }

  private replyTo(command: string): Promise<string | null> {
    return new Promise((resolve) =>
      this.waiting.push((reply) => {
        if (command === "DATA" && isContinue(reply)) this.bodyReply = this.replyTo("the body");
        resolve(reply);
      }),
    );
  }

  private received(reply: string): void {
    if (this.isEnded) return;
    this.transcript.received(reply);
    const answer = this.waiting.shift();
    answer?.(reply);
    // With 421 the server says that it hangs up, whatever it answers (RFC 5321 section 4.2).
    if (reply.startsWith("421")) this.deps.onBroken(closedByServer);
    else if (!answer) this.deps.onBroken(protocolBroken);
  }

  private write(bytes: Uint8Array): Promise<boolean> | boolean {
    if (this.isEnded) return false;
    if (this.socket.write(bytes)) return true;
    this.drained ??= Promise.withResolvers<boolean>();
    return this.drained.promise;
  }

  private settleDrain(isOpen: boolean): void {
    this.drained?.resolve(isOpen);
    this.drained = null;
  }
}

/** What the parser lets through; an address that could end its command never becomes one. */
function isPlain(address: string): boolean {
  return /^[\x21-\x3b\x3d\x3f-\x7e]*$/.test(address);
}

function isPositive(reply: string | undefined): boolean {
  return reply?.startsWith("2") ?? false;
}

/** Some servers say 250 where 354 is meant. */
function isContinue(reply: string | null | undefined): boolean {
  return /^[23]/.test(reply ?? "");
}
