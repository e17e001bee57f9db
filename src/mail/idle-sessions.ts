import type { SmtpSession } from "./smtp-session.ts";

/** Connections that wait for a message, each for a while. */
export interface IdleSessions {
  /** The one used last: the others may grow old and end. Null: none waits. */
  take(): SmtpSession | null;
  keep(session: SmtpSession): void;
  /** One that has ended. */
  remove(session: SmtpSession): void;
  /** Ends all; resolves when they have ended. */
  close(): Promise<void>;
}

export function createIdleSessions(idleMs: number): IdleSessions {
  const entries: { session: SmtpSession; timer: ReturnType<typeof setTimeout> }[] = [];

  function remove(session: SmtpSession): void {
    const at = entries.findIndex((entry) => entry.session === session);
    const [entry] = at < 0 ? [] : entries.splice(at, 1);
    if (entry) clearTimeout(entry.timer);
  }

  return {
    take() {
      const last = entries.pop();
      if (!last) return null;
      clearTimeout(last.timer);
      return last.session;
    },
    keep(session) {
      const timer = setTimeout(() => {
        remove(session);
        void session.quit();
      }, idleMs);
      // An idle connection is no reason for the process to stay.
      timer.unref();
      entries.push({ session, timer });
    },
    remove,
    async close() {
      const sessions = entries.splice(0);
      for (const { timer } of sessions) clearTimeout(timer);
      await Promise.all(sessions.map(({ session }) => session.quit()));
    },
  };
}
