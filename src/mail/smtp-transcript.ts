import type { SmtpPhase, SmtpReply } from "../email/smtp.ts";
import { parseReply } from "./smtp-reply.ts";

type Command = "ehlo" | "starttls" | "auth" | "mail" | "rcpt" | "data" | "other";

/**
 * Follows a conversation command by command. nodemailer's errors do not say how far it had come,
 * and forget the replies to accepted recipients; its transaction log tells both, for certain,
 * with PIPELINING too: replies come in the order of the commands (RFC 2920 section 3.1).
 */
export interface SmtpTranscript {
  /** That of the first command without an answer, else of the last one answered. */
  readonly phase: SmtpPhase;
  /** The last complete reply, whatever it answered; null before the first one. */
  readonly lastReply: SmtpReply | null;
  readonly mailReply: SmtpReply | null;
  /** In the order of the envelope's recipients. */
  readonly rcptReplies: readonly (SmtpReply | null)[];
  readonly dataReply: SmtpReply | null;
  /** The first reply after DATA was taken: to the dot, or to part of the body. */
  readonly dotReply: SmtpReply | null;
  /** By the last EHLO's reply. */
  readonly announced: Announced;
  enter(phase: SmtpPhase): void;
  sent(command: string): void;
  received(raw: string): void;
  /** Forgets the last message; what the server is capable of stays. */
  beginMessage(): void;
  /** Called after every complete reply; a deadline is moved by it. */
  onReply: () => void;
}

/** What a server is capable of. */
export interface Announced {
  /** In capitals. */
  keywords: ReadonlySet<string>;
  /** Of SIZE (RFC 1870); 0: no limit. */
  sizeBytesMax: number;
  /** Of AUTH (RFC 4954), in capitals. */
  mechanisms: ReadonlySet<string>;
  /** Of LIMITS (RFC 9422); null: not announced. */
  limits: AnnouncedLimits;
}

export interface AnnouncedLimits {
  /** MAIL commands over one connection. */
  mailMax: number | null;
  /** RCPT commands in one transaction. */
  rcptMax: number | null;
}

const nothingAnnounced: Announced = {
  keywords: new Set(),
  sizeBytesMax: 0,
  mechanisms: new Set(),
  limits: { mailMax: null, rcptMax: null },
};

export function createSmtpTranscript(): SmtpTranscript {
  let phase: SmtpPhase = "connect";
  let unanswered: Command[] = [];
  let lastReply: SmtpReply | null = null;
  let mailReply: SmtpReply | null = null;
  let rcptReplies: (SmtpReply | null)[] = [];
  let dataReply: SmtpReply | null = null;
  let dotReply: SmtpReply | null = null;
  let announced = nothingAnnounced;

  function take(command: Command, raw: string): void {
    const reply = parseReply(raw);
    lastReply = reply;
    if (command === "mail") mailReply = reply;
    if (command === "rcpt") rcptReplies.push(reply);
    if (command === "data") dataReply = reply;
    if (command === "ehlo") announced = announcedIn(raw);
  }

  return {
    get phase() {
      const first = unanswered[0];
      return first === undefined || first === "other" ? phase : first;
    },
    get lastReply() {
      return lastReply;
    },
    get mailReply() {
      return mailReply;
    },
    get rcptReplies() {
      return rcptReplies;
    },
    get dataReply() {
      return dataReply;
    },
    get dotReply() {
      return dotReply;
    },
    get announced() {
      return announced;
    },
    enter(next) {
      phase = next;
    },
    sent(line) {
      const command = commandOf(line, phase);
      unanswered.push(command);
      if (command !== "other" && unanswered.length === 1) phase = command;
    },
    received(raw) {
      const command = unanswered.shift();
      if (command) take(command, raw);
      else {
        lastReply = parseReply(raw);
        if (phase === "data") dotReply ??= lastReply;
      }
      const next = unanswered[0];
      if (next !== undefined && next !== "other") phase = next;
      this.onReply();
    },
    beginMessage() {
      phase = "mail";
      unanswered = [];
      lastReply = null;
      mailReply = null;
      rcptReplies = [];
      dataReply = null;
      dotReply = null;
    },
    onReply: () => {
      // Nobody listens between two messages.
    },
  };
}

function commandOf(line: string, phase: SmtpPhase): Command {
  if (/^(EHLO|HELO) /.test(line)) return "ehlo";
  if (line === "STARTTLS") return "starttls";
  if (line.startsWith("AUTH ")) return "auth";
  if (line.startsWith("MAIL FROM:")) return "mail";
  if (line.startsWith("RCPT TO:")) return "rcpt";
  if (line === "DATA") return "data";
  // The user name and the password of AUTH LOGIN are lines of their own.
  return phase === "auth" ? "auth" : "other";
}

/** The first line greets; each of the others begins with a keyword (RFC 5321 section 4.1.1.1). */
function announcedIn(ehloReply: string): Announced {
  const [, ...lines] = ehloReply.split("\n");
  const keywords = lines.map((line) => /^250[ -]([\w-]+)/.exec(line)?.[1]?.toUpperCase() ?? "");
  const size = /^250[ -]SIZE[ \t]+(\d{1,15})/im.exec(ehloReply)?.[1];
  return {
    keywords: new Set(keywords),
    sizeBytesMax: Number(size ?? 0),
    mechanisms: new Set(lines.flatMap(mechanismsIn)),
    limits: limitsIn(lines.find((line) => /^250[ -]LIMITS /i.test(line)) ?? ""),
  };
}

/** `AUTH=PLAIN` is how servers older than RFC 4954 say it. */
function mechanismsIn(line: string): string[] {
  const words = /^250[ -]AUTH[ =](.*)/i.exec(line)?.[1]?.toUpperCase().split(/[ =]+/) ?? [];
  return words.filter((word) => /^[A-Z0-9_-]{1,20}$/.test(word));
}

/** RFC 9422 section 3: digits, of which the first is not 0. */
function limitsIn(line: string): AnnouncedLimits {
  const limit = (name: string): number | null => {
    const digits = new RegExp(` ${name}=([1-9]\\d{0,5})(?= |$)`, "i").exec(line)?.[1];
    return digits === undefined ? null : Number(digits);
  };
  return { mailMax: limit("MAILMAX"), rcptMax: limit("RCPTMAX") };
}
