import type { Logger } from "../../log.ts";
import { faultWords, type TransportFault } from "../../mail/transport-fault.ts";
import { createSlowStart, type SlowStart } from "./slow-start.ts";

/**
 * Holds emails back, before any claim, while the transport is down: they spend no attempt and
 * write nothing. It opens at the first failure; one email at a time goes ahead as a probe, after
 * waits that double. What works again lets the others through one, two, four … at once.
 */
export interface Breaker {
  /** The right to try one email, which `leave` ends; null: not now, `onChange` is called later. */
  tryEnter(): Pass | null;
  /** Set by the one who enters: called when more may be let through than before. */
  onChange: () => void;
  /** Lets the next probe through now, whatever it would wait for; nothing while mail gets through. */
  probeNow(): void;
  /** Nothing holds emails back: no fault, and no slow start after one. */
  readonly isOpenWide: boolean;
  /** For health, metrics and `doctor`. */
  snapshot(): BreakerSnapshot;
}

export interface BreakerSnapshot {
  state: "closed" | "open" | "half_open";
  /** Why it is open; null while it is closed. */
  reason: TransportFault["reason"] | null;
  /** Of the reply that opened it, or kept it open; null: none came, or closed. */
  smtpCode: number | null;
  /** That reply as it may be shown, without addresses; null: none came, or closed. */
  said: string | null;
  /** Since when nothing gets through; null while it is closed. */
  openedAt: Date | null;
  /** 0: now, or one is under way; null while it is closed. */
  nextProbeInMs: number | null;
  /** When the next probe goes, or went; null while it is closed. */
  nextProbeAt: Date | null;
  /** Failures in a row. */
  failures: number;
  /** How often it opened since the process started. */
  opened: number;
  /** Since something last got through; null: nothing has since the process started. */
  workedMsAgo: number | null;
  /** Emails let through at the same time; below the full number after an outage. */
  limit: number;
}

/** One passage through the breaker. */
export interface Pass {
  /** False once the transport was found to be down, or up again, since this passage began. */
  readonly isCurrent: boolean;
  /** It has the transport to itself, to find out whether that works again. */
  readonly isProbe: boolean;
  /**
   * Says whose passage it is, once that is known. A number: milliseconds after which this email
   * comes again, since the last probe failed with it or its sender and others wait to be the next
   * one; leave with `nothing`.
   */
  identify(email: ProbedEmail): number | null;
  /** What the passage showed of the transport; nothing, when it never got that far. Once. */
  leave(showed: "works" | "nothing" | TransportFault): void;
}

/** What tells one probe from another. */
export interface ProbedEmail {
  emailId: string;
  /** MAIL FROM. */
  sender: string;
}

export interface BreakerOptions {
  /** Emails let through at once when all is well. */
  concurrencyMax: number;
  /** Length of the retry schedule's minute: 60,000, or less in tests, which scales the waits. */
  minuteMs: number;
  /** Name of the transport, for the log. */
  transport: string;
  /** Whether other emails wait to be the next probe. */
  hasOthers: () => boolean;
  log: Logger;
  now?: () => Date;
}

/** The first wait is a sixtieth of the minute; no scale makes it busy. */
const firstWaitMsMin = 10;
/** Of the first wait: 30 s at the default. */
const waitFactorMax = 30;

/** Candidates turned away in a row for other senders; after them there is no other sender. */
const turnedAwayMax = 50;

/** Converts a time given for the real minute to the minute of the retry schedule. */
export function scaled(ms: number, minuteMs: number): number {
  return Math.ceil((ms * minuteMs) / 60_000);
}

export function createBreaker(options: BreakerOptions): Breaker {
  return new TransportBreaker(options);
}

class TransportBreaker implements Breaker {
  private readonly firstWaitMs: number;
  private readonly minuteMs: number;
  private readonly now: () => Date;
  private readonly log: Logger;
  private readonly pace: SlowStart;
  onChange = (): void => {};
  private readonly hasOthers: () => boolean;
  private timer: Timer | null = null;
  /** What a passage of an earlier generation shows is old news. */
  private generation = 0;
  private fault: TransportFault | null = null;
  private openedAt: Date | null = null;
  private probeAt = 0;
  /** The same by the clock, for people. */
  private nextProbeAt: Date | null = null;
  private isProbing = false;
  private failures = 0;
  private opened = 0;
  private workedAt: number | null = null;
  /** With whose email the last probe failed; null: none has yet, or it is not known. */
  private failedWith: ProbedEmail | null = null;
  private turnedAway = 0;
  /** The first two that were heard of: with one alone nobody is turned away for another. */
  private readonly senders = new Set<string>();

  constructor({ concurrencyMax, minuteMs, transport, hasOthers, log, now }: BreakerOptions) {
    this.hasOthers = hasOthers;
    this.minuteMs = minuteMs;
    this.firstWaitMs = Math.max(firstWaitMsMin, minuteMs / 60);
    this.now = now ?? (() => new Date());
    this.log = log.with({ transport });
    this.pace = createSlowStart(concurrencyMax);
  }

  tryEnter(): Pass | null {
    return this.canPass() ? this.pass() : null;
  }

  get isOpenWide(): boolean {
    return !this.fault && this.pace.isWide;
  }

  probeNow(): void {
    if (!this.fault || this.isProbing) return;
    this.probeAt = performance.now();
    this.nextProbeAt = this.now();
    this.tell();
  }

  snapshot(): BreakerSnapshot {
    const { fault, isProbing, openedAt, failures, opened, nextProbeAt } = this;
    return {
      state: !fault ? "closed" : isProbing ? "half_open" : "open",
      reason: fault?.reason ?? null,
      smtpCode: fault?.smtpCode ?? null,
      said: fault?.said ?? null,
      openedAt,
      nextProbeInMs: fault ? Math.ceil(isProbing ? 0 : this.untilProbe()) : null,
      nextProbeAt,
      failures,
      opened,
      workedMsAgo: this.workedAt === null ? null : Math.ceil(performance.now() - this.workedAt),
      limit: this.pace.limit,
    };
  }

  // Monotonic, so that a clock that is set cannot prolong the wait.
  private untilProbe(): number {
    return Math.max(0, this.probeAt - performance.now());
  }

  private canPass(): boolean {
    return this.fault ? !this.isProbing && this.untilProbe() === 0 : this.pace.hasRoom;
  }

  /** Says that more may be let through: at once, or when it is time for a probe. */
  private tell(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    // With nothing held back, an email that ends makes room for one other and no more.
    if (this.isOpenWide) return;
    if (this.canPass()) this.onChange();
    else if (this.fault && !this.isProbing) {
      this.timer = setTimeout(() => this.onChange(), Math.ceil(this.untilProbe()));
      // A probe is no reason for the process to stay.
      this.timer.unref();
    }
  }

  private pass(): Pass {
    const mine = this.generation;
    let hasLeft = false;
    let whose: ProbedEmail | null = null;
    const isCurrent = () => mine === this.generation;
    const isProbe = this.fault !== null;
    if (isProbe) this.isProbing = true;
    else this.pace.begin();
    return {
      isProbe,
      get isCurrent() {
        return isCurrent();
      },
      identify: (email) => {
        whose = email;
        if (this.senders.size < 2) this.senders.add(email.sender);
        return isProbe && isCurrent() ? this.turnAway(email) : null;
      },
      leave: (showed) => {
        if (hasLeft || !isCurrent()) return;
        hasLeft = true;
        if (typeof showed === "object") this.fail(showed, whose);
        else if (this.fault) this.endProbe(showed);
        else this.pace.end(showed);
        if (showed === "works") {
          this.failures = 0;
          this.workedAt = performance.now();
        }
        this.tell();
      },
    };
  }

  /** An email, or a sender, that alone is at fault must not keep the way shut for everybody. */
  private turnAway({ emailId, sender }: ProbedEmail): number | null {
    const last = this.failedWith;
    const isOfSender = last?.sender === sender && this.senders.size > 1;
    const isSame = last?.emailId === emailId || isOfSender;
    const isTurnedAway = isSame && this.hasOthers() && this.turnedAway < turnedAwayMax;
    this.turnedAway = isTurnedAway ? this.turnedAway + 1 : 0;
    return isTurnedAway ? this.backOffMs() : null;
  }

  private backOffMs(): number {
    return this.firstWaitMs * Math.min(2 ** Math.max(0, this.failures - 1), waitFactorMax);
  }

  private fail(found: TransportFault, whose: ProbedEmail | null): void {
    const isNew = this.fault?.reason !== found.reason;
    if (!this.fault) {
      this.opened += 1;
      this.openedAt = this.now();
      // The server took some of us and said that it has enough: that many were too many.
      if (found.reason === "refused" && found.pauseMs === null) this.pace.halve();
    }
    this.fault = found;
    this.failures += 1;
    this.generation += 1;
    this.isProbing = false;
    this.failedWith = whose;
    this.turnedAway = 0;
    const { pauseMs: askedMs } = found;
    const pauseMs = askedMs === null ? this.backOffMs() : scaled(askedMs, this.minuteMs);
    this.probeAt = performance.now() + pauseMs;
    this.nextProbeAt = new Date(this.now().getTime() + pauseMs);
    this.logFailure(found, isNew);
  }

  private endProbe(showed: "works" | "nothing"): void {
    this.isProbing = false;
    if (showed === "nothing") return;
    this.log.info("transport works again", {
      duration_ms: this.now().getTime() - (this.openedAt?.getTime() ?? 0),
    });
    this.fault = null;
    this.openedAt = null;
    this.nextProbeAt = null;
    this.failedWith = null;
    this.generation += 1;
    this.pace.restart();
  }

  private logFailure({ reason, smtpCode, said }: TransportFault, isNew: boolean): void {
    const fields = {
      reason: said === null ? faultWords[reason] : `${faultWords[reason]}: ${said}`,
      delay_ms: Math.round(this.untilProbe()),
      count: this.failures,
      ...(smtpCode === null ? {} : { smtp_code: smtpCode }),
    };
    if (!isNew) this.log.info("transport still down", fields);
    else if (reason === "auth") this.log.error("transport refuses our login", fields);
    else this.log.error("transport down", fields);
  }
}
