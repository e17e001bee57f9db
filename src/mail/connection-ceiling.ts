import type { SmtpReply } from "../email/smtp.ts";
import type { Logger } from "../log.ts";

/**
 * How many connections the next hop allows. Servers say so only by refusing one more (Exim's,
 * Sendmail's and Courier's defaults allow five to one client), so the ceiling is found by opening
 * few at a time, lowered to what was open when one more was refused, and raised by one at a time.
 */
export interface ConnectionCeiling {
  /** Connections at the same time, as far as is known. */
  readonly limit: number;
  /** Whether one more may be opened now. */
  hasRoom(counts: ConnectionCounts): boolean;
  /** One was opened. */
  opened(counts: ConnectionCounts): void;
  /** One of those that are open has ended, and is counted for the last time. */
  ended(counts: ConnectionCounts): void;
  /** One more was refused, or lost before it was ready, while others were open. */
  refused(counts: ConnectionCounts, reply: SmtpReply | null): void;
  /** The next hop was gone as a whole: what it allows from now on is not known. */
  forget(): void;
}

export interface ConnectionCounts {
  /** Ready for mail, in use, or ending. */
  open: number;
  /** Being opened. */
  opening: number;
}

export interface ConnectionCeilingOptions {
  /** `SMTP_POOL_SIZE`. */
  sizeMax: number;
  /** Milliseconds until one more is tried after a refusal. Default 10,000. */
  raiseAfterMs?: number;
  log?: Pick<Logger, "info"> | undefined;
  /** Milliseconds that only rise. */
  now?: () => number;
}

/** A refusal at the same ceiling doubles the wait up to this, a success halves it. */
const raiseAfterMsMax = 300_000;
/** While it climbs. */
const raiseAfterMsMin = 1_000;
/** A server may count a connection for so long after it has ended. */
const lingerMs = 1_000;
/** Before the place of an ended connection, which the server still counts, is asked for again. */
const pauseMs = 50;

export function createConnectionCeiling(options: ConnectionCeilingOptions): ConnectionCeiling {
  return new Ceiling(options);
}

class Ceiling implements ConnectionCeiling {
  limit: number;
  private readonly sizeMax: number;
  private readonly firstRaiseMs: number;
  private readonly log: ConnectionCeilingOptions["log"];
  private readonly now: () => number;
  private readonly peak: ReturnType<typeof createPeak>;
  private raiseAfterMs: number;
  private raiseAt = 0;
  private pausedUntil = 0;
  private lowestTold = Number.POSITIVE_INFINITY;
  private refusal: SmtpReply | null = null;

  constructor(options: ConnectionCeilingOptions) {
    const { sizeMax, raiseAfterMs = 10_000, log, now = () => performance.now() } = options;
    this.now = now;
    this.peak = createPeak(now);
    this.sizeMax = sizeMax;
    this.limit = sizeMax;
    this.firstRaiseMs = raiseAfterMs;
    this.raiseAfterMs = raiseAfterMs;
    this.log = log;
  }

  /**
   * A cold pool opens one connection, so that a wrong password is tried once and not twenty times.
   * Then as many as have worked: twenty at once overran a listen backlog.
   */
  hasRoom({ open, opening }: ConnectionCounts): boolean {
    const now = this.now();
    if (opening >= Math.max(1, open)) return false;
    // Where one is open its end is an event, after which this is asked again.
    if (open > 0 && now < this.pausedUntil) return false;
    if (open + opening < this.limit) return true;
    return this.limit < this.sizeMax && opening === 0 && now >= this.raiseAt;
  }

  opened(counts: ConnectionCounts): void {
    this.peak.note(counts.open);
    if (counts.open > this.limit) {
      this.limit = counts.open;
      this.raiseAfterMs = Math.max(raiseAfterMsMin, this.raiseAfterMs / 2);
      this.raiseAt = this.now() + this.raiseAfterMs;
    }
    this.tell(counts);
  }

  ended({ open }: ConnectionCounts): void {
    this.peak.note(open);
  }

  refused(counts: ConnectionCounts, reply: SmtpReply | null): void {
    const reached = Math.max(1, counts.open, this.peak.recent());
    const isLower = reached < this.limit;
    this.raiseAfterMs = isLower
      ? this.firstRaiseMs
      : Math.min(raiseAfterMsMax, this.raiseAfterMs * 2);
    this.limit = Math.min(this.limit, reached);
    const now = this.now();
    this.raiseAt = now + this.raiseAfterMs;
    this.pausedUntil = now + pauseMs;
    this.refusal = reply;
    this.tell(counts);
  }

  forget(): void {
    this.limit = this.sizeMax;
    this.raiseAfterMs = this.firstRaiseMs;
    this.raiseAt = 0;
    this.peak.forget();
  }

  /** Once for a ceiling, when none is being opened that could still raise it. */
  private tell({ opening }: ConnectionCounts): void {
    if (opening > 0 || this.limit >= Math.min(this.sizeMax, this.lowestTold)) return;
    this.lowestTold = this.limit;
    this.log?.info("SMTP server allows fewer connections than SMTP_POOL_SIZE", {
      count: this.limit,
      ...(this.refusal ? { smtp_code: this.refusal.code } : {}),
      hint: `lower SMTP_POOL_SIZE (now ${this.sizeMax}), or allow this client more connections there`,
    });
  }
}

/** The most there were at once, within the last one to two times `lingerMs`. */
function createPeak(now: () => number) {
  let since = 0;
  let current = 0;
  let previous = 0;

  function roll(): void {
    const age = now() - since;
    if (age < lingerMs) return;
    previous = age < 2 * lingerMs ? current : 0;
    current = 0;
    since = now();
  }

  return {
    note(count: number): void {
      roll();
      current = Math.max(current, count);
    },
    recent(): number {
      roll();
      return Math.max(current, previous);
    },
    forget(): void {
      current = 0;
      previous = 0;
    },
  };
}
