import type { Socket } from "node:net";
import { type SecureContext, TLSSocket } from "node:tls";
import type { SinkAction, SinkContext, SinkPhase } from "./smtp-sink-rules.ts";

export interface SessionOptions {
  connectionId: number;
  isTls: boolean;
  /** Set: STARTTLS is offered while the connection is in clear. */
  secureContext: SecureContext | null;
  auth: { user: string; pass: string } | null;
  isAuthRequired: boolean;
  /** EHLO keywords beside STARTTLS and AUTH. */
  extensions: string[];
  onAuth(mechanism: string): void;
  decide(context: SinkContext): SinkAction | null;
  accept(message: AcceptedMessage): Promise<void>;
}

export interface AcceptedMessage {
  messageId: string;
  envelope: { from: string; recipients: string[] };
  /** As it was before dot-stuffing. */
  message: Uint8Array;
  connectionId: number;
  isTls: boolean;
  user: string | null;
  /** False: the client never got our 250. */
  isAnswered: boolean;
}

const endOfMessage = Buffer.from("\r\n.\r\n");

/** The server's side of one connection. Commands are answered one after the other. */
export class SmtpSinkSession {
  private socket: Socket;
  private input: Buffer = Buffer.alloc(0);
  private mode: "command" | "message" | "deaf" = "command";
  private isPumping = false;
  private isTls: boolean;
  private user: string | null = null;
  private from: string | null = null;
  private recipients: string[] = [];
  private body: Buffer[] = [];
  private readonly counts = new Map<SinkPhase, number>();
  /** Takes the next line instead of a command while AUTH asks for more. */
  private authStep: ((line: string) => Promise<void>) | null = null;

  constructor(
    socket: Socket,
    private readonly options: SessionOptions,
  ) {
    this.socket = socket;
    this.isTls = options.isTls;
    this.listen(socket);
  }

  async greet(): Promise<void> {
    if (await this.step("connect", "")) return;
    if (await this.step("greeting", "")) return;
    this.say("220 sink.test ESMTP");
  }

  destroy(): void {
    this.mode = "deaf";
    this.socket.destroy();
  }

  private listen(socket: Socket): void {
    socket.on("error", () => this.destroy());
    socket.on("data", (chunk: Buffer) => {
      if (this.mode === "deaf") return;
      this.input = this.input.length > 0 ? Buffer.concat([this.input, chunk]) : chunk;
      void this.pump();
    });
  }

  /** One at a time: a rule may wait, and pipelined commands must not overtake each other. */
  private async pump(): Promise<void> {
    if (this.isPumping) return;
    this.isPumping = true;
    try {
      while (await this.consume()) {
        // The work is in the condition: one command or one message each turn.
      }
    } finally {
      this.isPumping = false;
    }
  }

  private async consume(): Promise<boolean> {
    if (this.mode === "deaf") return false;
    if (this.mode === "message") return this.consumeMessage();
    const end = this.input.indexOf("\n");
    if (end < 0) return false;
    const line = this.input.subarray(0, end).toString("utf8").replace(/\r$/, "");
    this.input = this.input.subarray(end + 1);
    if (this.authStep) await this.authStep(line);
    else await this.command(line);
    return true;
  }

  private async command(line: string): Promise<void> {
    const verb = line.split(" ", 1)[0]?.toUpperCase() ?? "";
    if (verb === "EHLO" || verb === "HELO") return this.ehlo(verb, line.slice(verb.length + 1));
    if (verb === "STARTTLS") return this.startTls();
    if (verb === "AUTH") return this.auth(line);
    if (verb === "MAIL") return this.mail(line);
    if (verb === "RCPT") return this.rcpt(line);
    if (verb === "DATA") return this.data();
    if (verb === "RSET") return this.rset();
    if (verb === "NOOP") return this.say("250 ok");
    if (verb !== "QUIT") return this.say("500 5.5.2 Unknown command");
    if (await this.step("quit", "")) return;
    this.say("221 2.0.0 Bye");
    this.mode = "deaf";
    this.socket.end();
  }

  private async ehlo(verb: string, name: string): Promise<void> {
    if (await this.step("ehlo", name)) return;
    this.forgetTransaction();
    if (verb === "HELO") return this.say("250 sink.test");
    const lines = ["sink.test", ...this.options.extensions];
    if (this.options.secureContext && !this.isTls) lines.push("STARTTLS");
    if (this.options.auth) lines.push("AUTH PLAIN LOGIN");
    this.say(lines.map((text, i) => `250${i < lines.length - 1 ? "-" : " "}${text}`).join("\n"));
  }

  private async startTls(): Promise<void> {
    if (await this.step("starttls", "")) return;
    const { secureContext } = this.options;
    if (!secureContext || this.isTls) return this.say("502 5.5.1 STARTTLS is not available");
    this.say("220 2.0.0 Ready to start TLS");
    this.socket.removeAllListeners("data");
    this.input = Buffer.alloc(0);
    if (await this.step("tls", "")) return;
    this.socket = new TLSSocket(this.socket, { isServer: true, secureContext });
    this.isTls = true;
    this.listen(this.socket);
  }

  private async auth(line: string): Promise<void> {
    const [, mechanism = "", initial] = line.split(" ");
    this.options.onAuth(mechanism);
    if (mechanism.toUpperCase() === "PLAIN") {
      if (initial) return this.plain(initial);
      this.authStep = (answer) => this.plain(answer);
      return this.say("334 ");
    }
    if (mechanism.toUpperCase() !== "LOGIN") return this.say("504 5.5.4 Unknown mechanism");
    this.authStep = async (name) => {
      this.authStep = (pass) => this.finishAuth(decode(name), decode(pass));
      this.say("334 UGFzc3dvcmQ6");
    };
    this.say("334 VXNlcm5hbWU6");
  }

  private plain(response: string): Promise<void> {
    const [, name = "", pass = ""] = decode(response).split("\0");
    return this.finishAuth(name, pass);
  }

  private async finishAuth(name: string, pass: string): Promise<void> {
    this.authStep = null;
    if (await this.step("auth", name)) return;
    const { auth } = this.options;
    if (auth && auth.user === name && auth.pass === pass) {
      this.user = name;
      return this.say("235 2.7.0 Authentication successful");
    }
    this.say("535 5.7.8 Authentication credentials invalid");
  }

  private async mail(line: string): Promise<void> {
    const address = addressOf(line);
    if (await this.step("mail", address)) return;
    if (this.options.isAuthRequired && this.user === null)
      return this.say("530 5.7.0 Authentication required");
    if (this.from !== null) return this.say("503 5.5.1 Nested MAIL command");
    this.from = address;
    this.say("250 2.1.0 ok");
  }

  private async rcpt(line: string): Promise<void> {
    const address = addressOf(line);
    if (this.from === null) return this.say("503 5.5.1 MAIL first");
    if (await this.step("rcpt", address)) return;
    this.recipients.push(address);
    this.say("250 2.1.5 ok");
  }

  private async data(): Promise<void> {
    if (this.from === null) return this.say("503 5.5.1 MAIL first");
    if (this.recipients.length === 0) return this.say("554 5.5.1 No valid recipients");
    if (await this.step("data", "")) return;
    // The line end that precedes the message, so that a dot in its first line is seen as one.
    this.body = [Buffer.from("\r\n")];
    this.mode = "message";
    this.say("354 End data with <CR><LF>.<CR><LF>");
  }

  private async rset(): Promise<void> {
    if (await this.step("rset", "")) return;
    this.forgetTransaction();
    this.say("250 2.0.0 ok");
  }

  /** True when a whole message was taken; what has come so far is kept otherwise. */
  private async consumeMessage(): Promise<boolean> {
    if (this.input.length === 0) return false;
    if (this.body.length === 1 && (await this.step("body", ""))) return false;
    const tail = this.body.at(-1) ?? Buffer.alloc(0);
    const joined = Buffer.concat([tail.subarray(-4), this.input]);
    const seen = joined.length - this.input.length;
    const at = joined.indexOf(endOfMessage);
    if (at < 0) {
      // At least four bytes each, so that the end is found across two chunks.
      if (this.input.length < 4)
        this.body.push(Buffer.concat([this.body.pop() ?? tail, this.input]));
      else this.body.push(this.input);
      this.input = Buffer.alloc(0);
      return false;
    }
    const end = at - seen + endOfMessage.length;
    this.body.push(this.input.subarray(0, end));
    this.input = this.input.subarray(end);
    this.mode = "command";
    await this.dot(unstuffed(Buffer.concat(this.body)));
    return true;
  }

  private async dot(message: Buffer): Promise<void> {
    const envelope = { from: this.from ?? "", recipients: this.recipients };
    const messageId = messageIdOf(message);
    const decision = this.decision("dot", messageId);
    const isSilent = decision?.do === "accept_then_drop" || decision?.do === "accept_then_hang";
    if (!isSilent && decision && (await this.act(decision))) return this.forgetTransaction();
    this.forgetTransaction();
    const { connectionId } = this.options;
    const { isTls, user } = this;
    const isAnswered = !isSilent;
    await this.options.accept({
      messageId,
      envelope,
      message,
      connectionId,
      isTls,
      user,
      isAnswered,
    });
    if (decision?.do === "accept_then_drop") return this.destroy();
    if (decision?.do === "accept_then_hang") this.mode = "deaf";
    else this.say(`250 2.0.0 queued as ${connectionId}`);
  }

  private forgetTransaction(): void {
    this.from = null;
    this.recipients = [];
    this.body = [];
  }

  /** True when a rule has answered, dropped or silenced the connection. */
  private async step(phase: SinkPhase, argument: string): Promise<boolean> {
    const decision = this.decision(phase, argument);
    return decision ? this.act(decision) : false;
  }

  private decision(phase: SinkPhase, argument: string): SinkAction | null {
    const count = (this.counts.get(phase) ?? 0) + 1;
    this.counts.set(phase, count);
    const { connectionId } = this.options;
    const envelope = { from: this.from ?? "", recipients: this.recipients };
    const { isTls, user } = this;
    return this.options.decide({ phase, argument, connectionId, count, isTls, user, envelope });
  }

  private async act(action: SinkAction): Promise<boolean> {
    switch (action.do) {
      case "wait":
        await action.until;
        if (action.next && this.mode !== "deaf") return await this.act(action.next);
        return this.mode === "deaf";
      case "reply":
        this.say(action.text);
        return true;
      case "reply_then_drop":
        this.mode = "deaf";
        this.socket.end(`${action.text.replace(/\n/g, "\r\n")}\r\n`);
        return true;
      case "drip":
        this.mode = "deaf";
        this.drip(action.text, action.everyMs);
        return true;
      case "hang":
      case "accept_then_hang":
        this.mode = "deaf";
        return true;
      case "drop":
      case "accept_then_drop":
        this.destroy();
        return true;
    }
  }

  private drip(text: string, everyMs: number): void {
    const bytes = Buffer.from(`${text}\r\n`);
    let at = 0;
    const timer = setInterval(() => {
      if (at >= bytes.length || this.socket.destroyed) return clearInterval(timer);
      this.socket.write(bytes.subarray(at, at + 1));
      at += 1;
    }, everyMs);
  }

  private say(text: string): void {
    if (!this.socket.destroyed) this.socket.write(`${text.replace(/\n/g, "\r\n")}\r\n`);
  }
}

function decode(base64: string): string {
  return Buffer.from(base64, "base64").toString("utf8");
}

function addressOf(line: string): string {
  return /<([^>]*)>/.exec(line)?.[1] ?? "";
}

/** Takes the terminating dot away and undoes the stuffing (RFC 5321 section 4.5.2). */
function unstuffed(raw: Buffer): Buffer {
  const text = raw.subarray(0, raw.length - 3).toString("latin1");
  return Buffer.from(text.replace(/\r\n\./g, "\r\n").slice(2), "latin1");
}

function messageIdOf(message: Buffer): string {
  const end = message.indexOf("\r\n\r\n");
  const headers = message.subarray(0, end < 0 ? message.length : end).toString("latin1");
  return /^message-id:\s*(\S+)/im.exec(headers)?.[1] ?? "";
}
