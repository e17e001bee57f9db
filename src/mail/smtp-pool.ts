import { createTurns } from "../runtime/turns.ts";
import type { ConnectionCeiling, ConnectionCounts } from "./connection-ceiling.ts";
import { createIdleSessions, type IdleSessions } from "./idle-sessions.ts";
import type { Ending } from "./smtp-conversation.ts";
import type { SmtpSession } from "./smtp-session.ts";

/** The email that asks for a connection. */
export interface Asker {
  ownerId: string;
  signal: AbortSignal;
  /** Asked before a connection is given or opened for it. */
  isWanted: () => boolean;
  /** The connection it was given had ended before: it has the next turn. */
  isAgain: boolean;
}

export type Taken =
  /** `isFresh`: it was opened just now; any other one may have been given up by the server. */
  | { session: SmtpSession; isFresh: boolean }
  /** No connection could be opened, and none is open that works. */
  | { failed: Ending };

export interface SmtpPool {
  /**
   * Whichever connection is ready first, owners in turns; `giveBack` must be called with it. Null:
   * aborted, not wanted any more, or the pool was closed.
   */
  take(asker: Asker): Promise<Taken | null>;
  /** At the reply, also of a session that has failed. */
  giveBack(session: SmtpSession): void;
  /** Ends idle connections and turns waiters away; those in use end when they are given back. */
  close(): Promise<void>;
}

export interface SmtpPoolOptions {
  ceiling: ConnectionCeiling;
  /** An idle connection is closed after so long. */
  idleMs: number;
  /** An open connection without a reply for longer proves nothing of the server. */
  quietMs: number;
  /** Connects and logs in, or says how that ended. */
  open: (signal: AbortSignal) => Promise<{ session: SmtpSession } | { failed: Ending }>;
}

export function createSmtpPool(options: SmtpPoolOptions): SmtpPool {
  return new Pool(options);
}

interface Waiter {
  isWanted: () => boolean;
  settle: (taken: Taken | null) => void;
  reject: (error: unknown) => void;
}

interface Opening {
  stop: AbortController;
  /** Another connection was open at the same time. */
  isBesideOthers: boolean;
}

class Pool implements SmtpPool {
  /** Idle, in use, and those that say goodbye: each counts at the server. */
  private readonly open = new Set<SmtpSession>();
  private readonly openings = new Set<Opening>();
  private readonly waiters = createTurns<Waiter>();
  private readonly idle: IdleSessions;
  private readonly ceiling: ConnectionCeiling;
  /** When the server last showed that it works. */
  private workedAt = 0;
  private isClosed = false;

  constructor(private readonly options: SmtpPoolOptions) {
    this.idle = createIdleSessions(options.idleMs);
    this.ceiling = options.ceiling;
  }

  async take(asker: Asker): Promise<Taken | null> {
    if (this.isClosed || asker.signal.aborted || !asker.isWanted()) return null;
    const session = this.idle.take();
    return session ? { session, isFresh: false } : await this.wait(asker);
  }

  giveBack(session: SmtpSession): void {
    // The place of one that has failed was given up at its end.
    if (session.failure) return;
    this.workedAt = performance.now();
    // One that is spent keeps its place until the server has closed it, and counts it no more.
    if (this.isClosed || session.isSpent) void session.quit();
    else this.pass(session, false);
    this.openMore();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const { stop } of this.openings) stop.abort();
    for (const { settle } of this.waiters.takeOut(() => true)) settle(null);
    await this.idle.close();
  }

  private get counts(): ConnectionCounts {
    return { open: this.open.size, opening: this.openings.size };
  }

  private wait({ ownerId, signal, isWanted, isAgain }: Asker): Promise<Taken | null> {
    return new Promise((resolve, reject) => {
      const settle = (taken: Taken | null): void => {
        signal.removeEventListener("abort", onAbort);
        resolve(taken);
      };
      const waiter: Waiter = { isWanted, settle, reject };
      const onAbort = (): void => {
        this.waiters.remove(ownerId, waiter);
        settle(null);
        if (this.waiters.size === 0) for (const { stop } of this.openings) stop.abort();
      };
      signal.addEventListener("abort", onAbort);
      if (isAgain) this.waiters.addFirst(ownerId, waiter);
      else this.waiters.add(ownerId, waiter);
      this.openMore();
    });
  }

  /** To who has waited longest, so that nobody who comes now slips in between; or it is kept. */
  private pass(session: SmtpSession, isFresh: boolean): void {
    const waiter = this.nextWanted();
    if (waiter) waiter.settle({ session, isFresh });
    else if (!session.failure) this.idle.keep(session);
  }

  private nextWanted(): Waiter | null {
    for (let next = this.waiters.next(); next; next = this.waiters.next()) {
      if (next.isWanted()) return next;
      next.settle(null);
    }
    return null;
  }

  private openMore(): void {
    while (this.waiters.size > this.openings.size && this.ceiling.hasRoom(this.counts)) {
      void this.openOne();
    }
  }

  /** No mail is bound to it: who waits takes whichever connection is ready first. */
  private async openOne(): Promise<void> {
    const opening: Opening = {
      stop: new AbortController(),
      isBesideOthers: this.open.size > 0,
    };
    this.openings.add(opening);
    try {
      const opened = await this.options.open(opening.stop.signal);
      this.openings.delete(opening);
      if ("session" in opened) this.adopt(opened.session);
      else this.fail(opening, opened.failed);
    } catch (error) {
      // A fault of ours, which a log should show as such.
      this.openings.delete(opening);
      this.nextWanted()?.reject(error);
      this.lookAgain();
    }
  }

  private adopt(session: SmtpSession): void {
    // One that has ended meanwhile is passed on all the same: its mail says so.
    if (!session.failure) this.open.add(session);
    for (const other of this.openings) other.isBesideOthers = true;
    this.workedAt = performance.now();
    this.ceiling.opened(this.counts);
    session.onEnd = () => {
      this.ceiling.ended(this.counts);
      this.open.delete(session);
      this.idle.remove(session);
      this.lookAgain();
    };
    if (this.isClosed) void session.quit();
    else this.pass(session, true);
    this.openMore();
  }

  private fail(opening: Opening, failed: Ending): void {
    if (failed.withheld !== "aborted") this.judge(opening, failed);
    this.lookAgain();
  }

  private judge(opening: Opening, failed: Ending): void {
    const { size } = this.open;
    if (!this.isCeiling(opening, failed)) {
      if (size === 0) this.ceiling.forget();
      this.nextWanted()?.settle({ failed });
    }
    // Where none is open any more the next one, alone, shows whether the server works.
    else if (size > 0) this.ceiling.refused(this.counts, failed.reply);
  }

  /**
   * A connection that fails beside others that work says nothing of the transport: the server
   * wants no more of them. Where no reply came, the others must have shown lately that they work,
   * since all may hang.
   */
  private isCeiling({ isBesideOthers }: Opening, { reply }: Ending): boolean {
    const isAlive = reply !== null || this.workedAt >= performance.now() - this.options.quietMs;
    return isBesideOthers && isAlive;
  }

  /** A turn later: who hears of a failure may not want the next connection tried any more. */
  private lookAgain(): void {
    setImmediate(() => {
      for (const { settle } of this.waiters.takeOut(({ isWanted }) => !isWanted())) settle(null);
      this.openMore();
    });
  }
}
