import type { NewSession, SessionStore } from "../store/sessions.ts";

/** Sessions without a database, for tests of what stands before one; it knows no time. */
export function createMemorySessions() {
  const started = new Map<string, NewSession>();
  const refused: { reason: string; origin: string | null }[] = [];
  const asked: boolean[] = [];
  const store: SessionStore = {
    start: async (session) => {
      if (session.replaces !== null) started.delete(session.replaces);
      started.set(session.hash, session);
    },
    find: async (hash, { isActive }) => {
      asked.push(isActive);
      const found = started.get(hash);
      return found === undefined ? null : { ownerId: found.ownerId, isAdmin: found.isAdmin };
    },
    end: async (hash) => Number(started.delete(hash)),
    noteRefused: async (reason, origin) => void refused.push({ reason, origin }),
  };
  return { store, started, refused, asked };
}
