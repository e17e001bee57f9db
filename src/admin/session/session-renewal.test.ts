import { describe, expect, test } from "bun:test";
import { createSecretKey } from "node:crypto";
import { createMemorySessions } from "../../testing/fixtures/memory-sessions.ts";
import { createSessions } from "./session.ts";
import { groundOf } from "./session-cookie.ts";
import type { Renewal } from "./session-renewal.ts";

const olga = { ownerId: "u-olga", isAdmin: true, credential: "jwt" as const };
const asked = { isActive: true };
const key = { kid: "project", thumbprint: "t" };
const inAnHour = () => new Date(Date.now() + 3_600_000);
const renewed = (fields: object = {}): Renewal => ({
  ...{ kind: "renewed", principal: olga, signingKey: key, secretKey: null },
  ...{ expiresAt: inAnHour(), refreshToken: "second" },
  ...fields,
});

/** A session whose token ends soon or has ended, and the project's answers to its renewal. */
async function startRenewable(renewal: "due" | "needed", answer: Renewal, claims = ["yours"]) {
  const memory = createMemorySessions();
  const shown: string[] = [];
  const waits: number[] = [];
  const state: { renewal: "due" | "needed" | null } = { renewal };
  const store = {
    ...memory.store,
    find: async (...args: Parameters<typeof memory.store.find>) => {
      const found = await memory.store.find(...args);
      return found && { ...found, renewal: state.renewal };
    },
    claimRenewal: async (hash: string) => {
      const kind = (claims.shift() ?? "busy") as "yours" | "busy";
      const refresh = memory.started.get(hash)?.refresh ?? "";
      return kind === "yours" ? { kind, refresh } : { kind };
    },
    renew: async (hash: string, fresh: object) => {
      const session = memory.started.get(hash);
      if (session) memory.started.set(hash, { ...session, ...fresh });
    },
  };
  const sessions = createSessions({
    ...{ secret: "the secret of the tests", store, isTrusted: async () => true },
    renew: async (token) => {
      shown.push(token);
      return answer;
    },
    wait: async (ms) => {
      waits.push(ms);
      if (waits.length === 3) state.renewal = null;
    },
  });
  const ends = { tokenExpiresAt: new Date(), refreshToken: "first" };
  const proof = { signingKey: key, secretKey: null, ...ends };
  const start = { via: "password", proof, replaces: undefined, origin: null } as const;
  const cookie = await sessions.start(olga, start);
  return { sessions, cookie, shown, waits, started: memory.started };
}

describe("a session whose token has ended", () => {
  test("goes on with the next token, and the refresh token is never stored as it is", async () => {
    const at = await startRenewable("needed", renewed());
    expect(JSON.stringify([...at.started])).not.toContain("first");
    expect(await at.sessions.read(at.cookie, asked)).toMatchObject({ isAdmin: true });
    expect(at.shown).toEqual(["first"]);
    expect(JSON.stringify([...at.started])).not.toContain("second");
  });

  test("is a user's once the new token is no admin's any more", async () => {
    const answer = renewed({ principal: { ...olga, isAdmin: false } });
    const { sessions, cookie } = await startRenewable("needed", answer);
    expect(await sessions.read(cookie, asked)).toMatchObject({ isAdmin: false });
  });

  test("rests on the secret that signed the next token, be it a former one", async () => {
    const secretKey = createSecretKey("a former secret", "utf8");
    const answer = renewed({ signingKey: null, secretKey });
    const { sessions, cookie, started } = await startRenewable("needed", answer);
    await sessions.read(cookie, asked);
    const [session] = started.values();
    expect(session?.ground).toBe(groundOf(cookie, "a former secret"));
  });

  test("is over for good with a refused renewal, or a token of somebody else", async () => {
    const other = renewed({ principal: { ...olga, ownerId: "u-eve" } });
    for (const answer of [{ kind: "refused" } as const, other]) {
      const { sessions, cookie, started } = await startRenewable("needed", answer);
      expect(await sessions.read(cookie, asked)).toBeNull();
      expect(started.size).toBe(0);
    }
  });

  test("lets nobody in while the project does not answer, and is not ended by that", async () => {
    const at = await startRenewable("needed", { kind: "unavailable" });
    expect(await at.sessions.read(at.cookie, asked)).toBeNull();
    expect(at.started.size).toBe(1);
  });

  test("waits while another process renews it, and uses no refresh token twice", async () => {
    const at = await startRenewable("needed", renewed(), ["busy", "busy", "busy"]);
    expect(await at.sessions.read(at.cookie, asked)).not.toBeNull();
    expect([at.waits.length, at.shown]).toEqual([3, []]);
  });
});

describe("a session whose token ends within minutes", () => {
  test("counts as it was while the project does not answer, or another process asks it", async () => {
    const silent = await startRenewable("due", { kind: "unavailable" });
    expect(await silent.sessions.read(silent.cookie, asked)).not.toBeNull();
    const busy = await startRenewable("due", renewed(), ["busy"]);
    expect(await busy.sessions.read(busy.cookie, asked)).not.toBeNull();
    expect([busy.shown, busy.waits]).toEqual([[], []]);
  });

  test("is over with a refused renewal", async () => {
    const { sessions, cookie } = await startRenewable("due", { kind: "refused" });
    expect(await sessions.read(cookie, asked)).toBeNull();
  });
});
