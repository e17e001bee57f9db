import type { SendReport, SmtpPhase } from "../email/smtp.ts";
import { type Concern, concernOf } from "./reply-concern.ts";
import { rejectingFault, type TransportFault } from "./transport-fault.ts";

/** One conversation, and whose email it was about. */
export interface Trial {
  emailId: string;
  /** MAIL FROM. */
  sender: string;
  /** Of the recipients. */
  domains: readonly string[];
  report: SendReport;
  /** It had the transport to itself, because that was found at fault. */
  isProbe: boolean;
}

/** What a trial came to. */
export type Judgement =
  /** The transport's fault. `forgiven`: the trials before it that were taken for an email's. */
  | { kind: "transport"; fault: TransportFault; forgiven: readonly Trial[] }
  /** Its sender's: MAIL was refused for good. */
  | { kind: "sender" }
  /** The email's or its recipients'. `hasShown`: the transport was shown to work. */
  | { kind: "email"; hasShown: boolean }
  /**
   * One such reply is an email's, two of two emails are the transport's. `isShared` resolves to the
   * fault when a second one comes, and to null when the transport is shown to work.
   */
  | { kind: "suspect"; isSender: boolean; isShared: Promise<TransportFault | null> };

/**
 * Tells replies that are about the pipe (transport, account, server) from those about one email.
 * A reply that may be either is the transport's once two different emails got one with no success
 * between: of two senders, where there are two; at RCPT of two domains. From then on it is, for
 * everybody, until something gets through.
 */
export interface PipeSuspicion {
  judge(trial: Trial): Judgement;
  /** Whether any message was taken since the process started. */
  readonly hasWorked: boolean;
  /** Whether the transport was found to refuse everybody, and nothing has got through since. */
  readonly isRejecting: boolean;
}

export interface PipeSuspicionOptions {
  /** Length of the retry schedule's minute, which scales the times below. */
  minuteMs: number;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

/** A sender who was heard of within this is there; the first retry comes no sooner. */
const senderMinutes = 2;
/**
 * Greylisting asks for up to 5 minutes (the default of Postgrey): an email that is refused again
 * after that was not greylisted.
 */
const greylistingMinutes = 5;
const rememberedMax = 1_000;
/** An email that is greylisted is to be known again, of a mailing too. */
const greylistedMax = 20_000;

interface Suspect {
  trial: Trial;
  resolve: (fault: TransportFault | null) => void;
}

export function createPipeSuspicion(options: PipeSuspicionOptions): PipeSuspicion {
  return new Suspicion(options);
}

class Suspicion implements PipeSuspicion {
  hasWorked = false;
  private readonly minuteMs: number;
  private readonly now: () => number;
  private readonly suspects = new Map<string, Suspect>();
  /** Emails that were refused alone while others got through: two of them prove nothing. */
  private readonly loners = createMemory(rememberedMax);
  /** When each sender was last heard of. */
  private readonly senders = createMemory(rememberedMax);
  /** When each greylisted email was refused for the first time. */
  private readonly greylisted = createMemory(greylistedMax);
  /** Where the transport was found to refuse everybody; null: it was not. */
  private refusedAt: SmtpPhase | null = null;

  constructor({ minuteMs, now }: PipeSuspicionOptions) {
    this.minuteMs = minuteMs;
    this.now = now ?? performance.now.bind(performance);
  }

  get isRejecting(): boolean {
    return this.refusedAt !== null;
  }

  judge(trial: Trial): Judgement {
    const concern = concernOf(trial.report);
    if (concern !== null) this.senders.set(trial.sender, this.now());
    switch (concern) {
      case null:
        return { kind: "email", hasShown: !this.isRejecting };
      case "works":
        this.hasWorked = true;
        this.loners.delete(trial.emailId);
        this.greylisted.delete(trial.emailId);
        return this.clear(trial);
      case "email":
        return this.clear(trial);
      case "sender":
        return { kind: "sender" };
      case "greylisting":
        return this.judgeGreylisted(trial);
      case "pipe":
      case "account":
        return this.suspect(trial, concern);
    }
  }

  private judgeGreylisted(trial: Trial): Judgement {
    const firstAt = this.greylisted.get(trial.emailId);
    if (firstAt === undefined) this.greylisted.set(trial.emailId, this.now());
    const isAgain = firstAt !== undefined && this.isOver(firstAt, greylistingMinutes);
    if (isAgain || this.isRejecting) return this.suspect(trial, "pipe");
    return this.clear(trial);
  }

  private suspect(trial: Trial, concern: Concern): Judgement {
    const isKnown = this.isRejecting || trial.isProbe;
    if (isKnown || this.hasSecond(trial)) return this.confirm(trial);
    const { promise, resolve } = Promise.withResolvers<TransportFault | null>();
    this.suspects.get(trial.emailId)?.resolve(null);
    this.suspects.set(trial.emailId, { trial, resolve });
    if (this.suspects.size > rememberedMax) this.forgetOldest();
    return { kind: "suspect", isSender: concern === "account", isShared: promise };
  }

  private hasSecond(trial: Trial): boolean {
    for (const { trial: first } of this.suspects.values()) {
      if (first.emailId !== trial.emailId && this.isPair(first, trial)) return true;
    }
    return false;
  }

  private isPair(first: Trial, second: Trial): boolean {
    const areLoners = [first, second].every(({ emailId }) => this.loners.has(emailId));
    if (areLoners) return false;
    if (isAtRcpt(first) && isAtRcpt(second)) {
      return !second.domains.every((domain) => first.domains.includes(domain));
    }
    return first.sender !== second.sender || !this.isAnotherThere(first.sender);
  }

  private isAnotherThere(sender: string): boolean {
    return this.senders.entries().some(([other, at]) => {
      return other !== sender && !this.isOver(at, senderMinutes);
    });
  }

  private confirm(trial: Trial): Judgement {
    const fault = rejectingFault(trial.report);
    const forgiven = [...this.suspects.values()];
    this.refusedAt ??= trial.report.phase;
    this.suspects.clear();
    for (const { resolve } of forgiven) resolve(fault);
    return { kind: "transport", fault, forgiven: forgiven.map((suspect) => suspect.trial) };
  }

  /** The server let this one come so far: who was refused before there was refused alone. */
  private clear({ emailId, report }: Trial): Judgement {
    const isPast = (phase: SmtpPhase) => order(phase) <= reach(report);
    for (const [id, { trial, resolve }] of this.suspects) {
      if (!isPast(trial.report.phase)) continue;
      this.suspects.delete(id);
      if (id !== emailId) this.loners.set(id, this.now());
      resolve(null);
    }
    const hasShown = this.refusedAt === null || isPast(this.refusedAt);
    if (hasShown) this.refusedAt = null;
    return { kind: "email", hasShown };
  }

  private forgetOldest(): void {
    const [id, suspect] = this.suspects.entries().next().value ?? [];
    if (id === undefined) return;
    this.suspects.delete(id);
    suspect?.resolve(null);
  }

  private isOver(at: number, minutes: number): boolean {
    return this.now() - at >= minutes * this.minuteMs;
  }
}

const phases: readonly SmtpPhase[] = ["mail", "rcpt", "data", "fence", "body", "reply"];

function order(phase: SmtpPhase): number {
  return phases.indexOf(phase);
}

/**
 * How far a conversation shows the server to work. A greylisting RCPT shows no more than MAIL; too
 * large a message shows nothing, since it is also refused by what EHLO announced.
 */
function reach(report: SendReport): number {
  if (report.phase === "mail") return -1;
  return order(report.phase) - (concernOf(report) === "greylisting" ? 1 : 0);
}

function isAtRcpt({ report }: Trial): boolean {
  return report.phase === "rcpt";
}

/** Remembers when something was; those not heard of for longest are forgotten first. */
function createMemory(countMax: number) {
  const times = new Map<string, number>();
  return {
    get: (key: string) => times.get(key),
    has: (key: string) => times.has(key),
    entries: () => times.entries(),
    delete: (key: string) => void times.delete(key),
    set(key: string, at: number): void {
      times.delete(key);
      times.set(key, at);
      const oldest = times.keys().next().value;
      if (times.size > countMax && oldest !== undefined) times.delete(oldest);
    },
  };
}
