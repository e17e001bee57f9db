import { describe, expect, test } from "bun:test";
import { createMemorySessions } from "../testing/memory-sessions.ts";
import { createSessions } from "./session.ts";

const ann = { ownerId: "ann", isAdmin: false, credential: "jwt" as const };
const asked = { isActive: true };
const begin = { via: "token", replaces: undefined, origin: null } as const;
const here = { isEverywhere: false, origin: null };

/** Two processes on one database. */
function startProcesses() {
  const memory = createMemorySessions();
  const clock = { ms: 0 };
  const sessionsOf = () => createSessions({ store: memory.store, now: () => clock.ms });
  return { ...memory, clock, here: sessionsOf(), there: sessionsOf() };
}

describe("a session", () => {
  test("counts on every process, and its cookie is stored nowhere", async () => {
    const at = startProcesses();
    const cookie = await at.here.start(ann, begin);
    expect(cookie).toMatch(/^[\w-]{43}$/);
    expect(await at.there.read(cookie, asked)).toEqual({ ...ann, credential: "session" });
    expect(JSON.stringify([...at.started])).not.toContain(cookie);
  });

  test("that ended is over at once here, and within a second elsewhere", async () => {
    const at = startProcesses();
    const cookie = await at.here.start(ann, begin);
    await Promise.all([at.here.read(cookie, asked), at.there.read(cookie, asked)]);
    await at.here.end(cookie, here);
    expect(await at.here.read(cookie, asked)).toBeNull();
    at.clock.ms += 1_000;
    expect(await at.there.read(cookie, asked)).toBeNull();
  });

  test("ends with the next sign-in of the same browser", async () => {
    const at = startProcesses();
    const old = await at.here.start(ann, begin);
    await at.here.read(old, asked);
    const fresh = await at.here.start(ann, { ...begin, replaces: old });
    expect(fresh).not.toBe(old);
    expect(await at.here.read(old, asked)).toBeNull();
    expect(await at.here.read(fresh, asked)).not.toBeNull();
  });

  test("is asked for once by the many files of one page", async () => {
    const at = startProcesses();
    const cookie = await at.here.start(ann, begin);
    await Promise.all(Array.from({ length: 40 }, () => at.here.read(cookie, asked)));
    expect(at.asked).toHaveLength(1);
  });

  test("of a database that is gone is known again once it is back", async () => {
    const { store } = createMemorySessions();
    let isGone = true;
    const find: typeof store.find = async (...args) => {
      if (isGone) throw new Error("gone");
      return await store.find(...args);
    };
    const sessions = createSessions({ store: { ...store, find } });
    const cookie = await sessions.start(ann, begin);
    await expect(sessions.read(cookie, asked)).rejects.toThrow("gone");
    isGone = false;
    expect(await sessions.read(cookie, asked)).not.toBeNull();
  });

  test("outlasts half a minute without the database, but not its end here", async () => {
    const { store } = createMemorySessions();
    const clock = { ms: 0 };
    const state = { isGone: false };
    const find: typeof store.find = async (...args) => {
      if (state.isGone) throw new Error("gone");
      return await store.find(...args);
    };
    const sessions = createSessions({ store: { ...store, find }, now: () => clock.ms });
    const [kept, ended] = [await sessions.start(ann, begin), await sessions.start(ann, begin)];
    for (const cookie of [kept, ended]) await sessions.read(cookie, asked);
    await sessions.end(ended, here);
    state.isGone = true;
    for (const ms of [1_000, 29_000]) {
      clock.ms = ms;
      expect(await sessions.read(kept, asked)).not.toBeNull();
      await expect(sessions.read(ended, asked)).rejects.toThrow("gone");
    }
    clock.ms = 30_001;
    await expect(sessions.read(kept, asked)).rejects.toThrow("gone");
  });

  test.each([undefined, "", "x", "a".repeat(44), `${"a".repeat(42)}.`, "ey.J.z"])(
    "is not meant by %p, for which the database is not even asked",
    async (cookie) => {
      const at = startProcesses();
      expect(await at.here.read(cookie, asked)).toBeNull();
      await at.here.end(cookie, here);
      expect(at.asked).toEqual([]);
    },
  );
});
