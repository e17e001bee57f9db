import { describe, expect, test } from "bun:test";
import { createSecretKey } from "node:crypto";
import { createMemorySessions } from "../../testing/fixtures/memory-sessions.ts";
import { createSessions } from "./session.ts";

const ann = { ownerId: "ann", isAdmin: false, credential: "jwt" as const };
const asked = { isActive: true };
const secret = "the secret of the tests";
const proof = { signingKey: null, secretKey: null, tokenExpiresAt: null, refreshToken: null };
const begin = { via: "token", proof, replaces: undefined, origin: null } as const;
const here = { isEverywhere: false, origin: null };

/** Two processes on one database. */
function startProcesses() {
  const memory = createMemorySessions();
  const clock = { ms: 0 };
  const sessionsOf = () => createSessions({ secret, store: memory.store, now: () => clock.ms });
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
    const sessions = createSessions({ secret, store: { ...store, find } });
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
    const sessions = createSessions({ secret, store: { ...store, find }, now: () => clock.ms });
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

describe("what a session rests on", () => {
  const project = { kid: "project", thumbprint: "t" };
  const memory = createMemorySessions();

  test("the secret: with another one its cookie is worth nothing", async () => {
    const cookie = await createSessions({ secret, store: memory.store }).start(ann, begin);
    const after = createSessions({ secret: "the next secret", store: memory.store });
    expect(await after.read(cookie, asked)).toBeNull();
    const same = createSessions({ secret, store: memory.store });
    expect(await same.read(cookie, asked)).not.toBeNull();
  });

  test("a former secret: it goes on for as long as that one is listed", async () => {
    const { store } = createMemorySessions();
    const cookie = await createSessions({ secret, store }).start(ann, begin);
    const rotated = { secret: "the next secret", store };
    for (const formerSecrets of [[secret], ["one before that", secret]]) {
      const sessions = createSessions({ ...rotated, formerSecrets });
      expect(await sessions.read(cookie, asked)).not.toBeNull();
    }
    const after = createSessions({ ...rotated, formerSecrets: ["one before that"] });
    expect(await after.read(cookie, asked)).toBeNull();
  });

  test("the secret that signed the token, though another one is the current by now", async () => {
    const { store } = createMemorySessions();
    const rotated = { secret: "the next secret", store };
    const secretKey = createSecretKey(secret, "utf8");
    const shown = { ...begin, proof: { ...proof, secretKey } };
    const sessions = createSessions({ ...rotated, formerSecrets: [secret] });
    const cookie = await sessions.start(ann, shown);
    expect(await sessions.read(cookie, asked)).not.toBeNull();
    expect(await createSessions(rotated).read(cookie, asked)).toBeNull();
  });

  test("a signing key: once it is gone from the key set, or another one has its name", async () => {
    const trusted = { thumbprint: "t" };
    const clock = { ms: 0 };
    const sessions = createSessions({
      ...{ secret, store: memory.store, now: () => clock.ms },
      isTrusted: async (key) => key.thumbprint === trusted.thumbprint,
    });
    const shown = { ...proof, signingKey: project };
    const cookie = await sessions.start(ann, { ...begin, proof: shown });
    expect(memory.started.values().toArray().at(-1)).toMatchObject({ ground: null });
    expect(await sessions.read(cookie, asked)).not.toBeNull();
    trusted.thumbprint = "another key's";
    clock.ms += 1_000;
    expect(await sessions.read(cookie, asked)).toBeNull();
  });
});
