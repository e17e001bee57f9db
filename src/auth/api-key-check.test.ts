import { describe, expect, test } from "bun:test";
import { AppError, isAppError } from "../errors.ts";
import { createApiKey } from "./api-key.ts";
import { createApiKeyCheck, type FoundApiKey } from "./api-key-check.ts";
import { missingScope, type Right, type Scope } from "./principal.ts";

function startCheck(scopes: Scope[] = ["send"]) {
  const clock = { ms: 0 };
  const asked: string[] = [];
  const noted: string[] = [];
  const state: { answer: FoundApiKey; fault: unknown } = {
    answer: { kind: "found", id: "k1", ownerId: "ada", scopes, expiresAt: null },
    fault: null,
  };
  const check = createApiKeyCheck({
    find: async ({ hash }) => {
      asked.push(hash);
      if (state.fault !== null) throw state.fault;
      return state.answer;
    },
    noteUse: async (ids) => {
      noted.push(...ids);
    },
    now: () => clock.ms,
  });
  return { check, clock, asked, noted, state };
}

async function reasonFor(attempt: Promise<unknown>): Promise<string | undefined> {
  const error: unknown = await attempt.then(
    () => "accepted",
    (cause: unknown) => cause,
  );
  if (!isAppError(error)) throw error;
  return error.reason ?? error.code;
}

describe("an API key", () => {
  const { key } = createApiKey();

  test("acts as its owner, as an admin only with the scope admin", async () => {
    const user = await startCheck(["send", "read"]).check.authenticate(key);
    expect(user).toEqual({
      ownerId: "ada",
      isAdmin: false,
      credential: "api_key",
      key: { id: "k1", scopes: ["send", "read"], expiresAt: null },
    });
    expect((await startCheck(["admin"]).check.authenticate(key)).isAdmin).toBe(true);
  });

  test("that is revoked counts for two seconds more and no longer", async () => {
    const { check, clock, asked, state } = startCheck();
    await check.authenticate(key);
    state.answer = { kind: "revoked" };
    clock.ms = 1_999;
    await check.authenticate(key);
    expect(asked).toHaveLength(1);
    clock.ms = 2_000;
    expect(await reasonFor(check.authenticate(key))).toBe("api_key_revoked");
  });

  test("that was revoked in this process ends at once", async () => {
    const { check, state } = startCheck();
    await check.authenticate(key);
    state.answer = { kind: "revoked" };
    check.forget();
    expect(await reasonFor(check.authenticate(key))).toBe("api_key_revoked");
  });

  test("shown by many at one moment is asked for once", async () => {
    const { check, asked } = startCheck();
    await Promise.all(Array.from({ length: 50 }, () => check.authenticate(key)));
    expect(asked).toHaveLength(1);
  });

  test.each(["unknown", "revoked", "expired"] as const)("that is %s is refused", async (kind) => {
    const { check, state } = startCheck();
    state.answer = { kind };
    expect(await reasonFor(check.authenticate(key))).toBe(`api_key_${kind}`);
  });

  test("that is mistyped is refused without asking", async () => {
    const { check, asked } = startCheck();
    expect(await reasonFor(check.authenticate(`${key}a`))).toBe("api_key_malformed");
    expect(asked).toEqual([]);
  });

  test("while the database is gone is no bad key, and is asked for again at once", async () => {
    const { check, asked, state } = startCheck();
    state.fault = new AppError("database_unavailable", { publicDetail: "gone" });
    expect(await reasonFor(check.authenticate(key))).toBe("database_unavailable");
    state.fault = null;
    await check.authenticate(key);
    expect(asked).toHaveLength(2);
  });

  test("is noted as used once a minute, and a note that is lost hurts nobody", async () => {
    const { check, clock, noted } = startCheck();
    for (const ms of [0, 2_000, 59_000]) {
      clock.ms = ms;
      await check.authenticate(key);
    }
    expect(noted).toEqual(["k1"]);
    clock.ms = 60_000;
    await check.authenticate(key);
    expect(noted).toEqual(["k1", "k1"]);
    const losing = createApiKeyCheck({
      find: async () => ({ kind: "found", id: "k", ownerId: "a", scopes: [], expiresAt: null }),
      noteUse: () => Promise.reject(new Error("gone")),
    });
    await losing.authenticate(key);
  });
});

describe("what may be done", () => {
  const rights: Right[] = ["any", "send", "read", "send_and_read", "keys", "admin"];
  const mayDo = (isAdmin: boolean, list: Scope[] | null) =>
    rights.filter((right) => {
      const key = list && { id: "k", scopes: list, expiresAt: null };
      const who = { ownerId: "a", isAdmin, credential: key ? "api_key" : "jwt" } as const;
      return missingScope(key ? { ...who, key } : who, right) === null;
    });

  test.each<[Scope[], Right[]]>([
    [["send"], ["any", "send"]],
    [["read"], ["any", "read"]],
    [
      ["send", "read"],
      ["any", "send", "read", "send_and_read"],
    ],
  ])("with a key of %j: %j, and never making keys", (list, allowed) => {
    expect(mayDo(false, list)).toEqual(allowed);
  });

  test("with an admin's key or token: everything; with a user's token: all but admin", () => {
    expect(mayDo(true, ["admin"])).toEqual(rights);
    expect(mayDo(true, null)).toEqual(rights);
    expect(mayDo(false, null)).toEqual(["any", "send", "read", "send_and_read", "keys"]);
  });
});

test("a key that nobody has shown yet is not looked up where guessing has ended", async () => {
  const { check, asked, clock } = startCheck();
  const { key } = createApiKey();
  const ended = (): never => {
    throw new AppError("rate_limited", { publicDetail: "too many" });
  };
  expect(await reasonFor(check.authenticate(key, ended))).toBe("rate_limited");
  expect(asked).toEqual([]);
  await check.authenticate(key);
  clock.ms += 60_000;
  expect((await check.authenticate(key, ended)).ownerId).toBe("ada");
});
