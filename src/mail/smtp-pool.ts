import type { SmtpSession } from "./smtp-session.ts";
import { createTurns } from "./turns.ts";

/** The right to use one connection; `giveBack` must be called, once. */
export interface SmtpSlot {
  /** A connection left from an earlier message; null: open one. */
  idle: SmtpSession | null;
  /** Null, or a session that has failed: nothing to keep. */
  giveBack(session: SmtpSession | null): void;
}

export interface SmtpPool {
  /** Owners take turns. Null: aborted, or the pool was closed. */
  take(signal: AbortSignal, ownerId: string): Promise<SmtpSlot | null>;
  /** Ends idle connections and turns waiters away; those in use end when they are given back. */
  close(): Promise<void>;
}

export interface SmtpPoolOptions {
  /** Connections in use and idle together. */
  sizeMax: number;
  /** An idle connection is closed after so long. */
  idleMs: number;
}

export function createSmtpPool({ sizeMax, idleMs }: SmtpPoolOptions): SmtpPool {
  const idle = createIdleSessions(idleMs);
  const waiters = createTurns<(isGranted: boolean) => void>();
  let inUse = 0;
  let isClosed = false;

  function slot(): SmtpSlot {
    let isBack = false;
    return {
      idle: idle.take(),
      giveBack(session) {
        if (isBack) return;
        isBack = true;
        if (session && !session.failure) {
          if (isClosed) void session.quit();
          else idle.keep(session);
        }
        // The right passes straight on, so that nobody who comes now can slip in between.
        const next = waiters.next();
        if (next) next(true);
        else inUse -= 1;
      },
    };
  }

  function wait(signal: AbortSignal, ownerId: string): Promise<boolean> {
    return new Promise((resolve) => {
      function settle(isGranted: boolean): void {
        signal.removeEventListener("abort", onAbort);
        resolve(isGranted);
      }
      function onAbort(): void {
        waiters.remove(ownerId, settle);
        settle(false);
      }
      signal.addEventListener("abort", onAbort);
      waiters.add(ownerId, settle);
    });
  }

  return {
    async take(signal, ownerId) {
      if (isClosed || signal.aborted) return null;
      if (inUse < sizeMax) inUse += 1;
      else if (!(await wait(signal, ownerId))) return null;
      return slot();
    },
    async close() {
      isClosed = true;
      for (const waiter of waiters.clear()) waiter(false);
      await idle.close();
    },
  };
}

function createIdleSessions(idleMs: number) {
  /** The last is the one used last: the others may grow old and end. */
  const entries: { session: SmtpSession; timer: ReturnType<typeof setTimeout> }[] = [];

  return {
    take(): SmtpSession | null {
      for (let last = entries.pop(); last; last = entries.pop()) {
        clearTimeout(last.timer);
        last.session.onEnd = () => {};
        if (!last.session.failure) return last.session;
      }
      return null;
    },
    keep(session: SmtpSession): void {
      const timer = setTimeout(() => {
        remove();
        void session.quit();
      }, idleMs);
      // An idle connection is no reason for the process to stay.
      timer.unref();
      const entry = { session, timer };
      function remove(): void {
        clearTimeout(timer);
        const at = entries.indexOf(entry);
        if (at >= 0) entries.splice(at, 1);
      }
      session.onEnd = remove;
      entries.push(entry);
    },
    async close(): Promise<void> {
      const sessions = entries.splice(0);
      for (const { timer } of sessions) clearTimeout(timer);
      await Promise.all(sessions.map(({ session }) => session.quit()));
    },
  };
}
