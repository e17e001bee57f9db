import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { drivers, type OpenDatabase } from "../testing/databases.ts";
import { type DirectSql, directSql } from "../testing/direct-sql.ts";
import { adminClaims, userClaims } from "../testing/new-email.ts";
import { rejection } from "../testing/rejection.ts";
import { createSessionStore, type NewSession, type SessionStore } from "./sessions.ts";

describe.each(drivers)("sessions of the console, on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  let store: SessionStore;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    store = createSessionStore(opened.database);
  }, 60_000);
  afterAll(async () => {
    await sql?.close();
    await opened?.close();
  });

  const newHash = () => randomBytes(32).toString("hex");
  async function start(fields: Partial<NewSession> = {}): Promise<string> {
    const hash = newHash();
    const who = { ownerId: "olga", isAdmin: true, via: "token", lastsSeconds: 60 } as const;
    await store.start({ hash, replaces: null, origin: "192.0.2.7", ...who, ...fields });
    return hash;
  }
  const find = (hash: string, isActive = true) =>
    store.find(hash, { idleSeconds: 3_600, isActive });
  const entries = (action: string) =>
    sql.query(
      `select owner_id, actor, origin, detail from mailer.journal
       where action = '${action}' order by id`,
    );
  /** As if it had been left alone for so long. */
  const age = (hash: string, interval: string) =>
    sql.query(
      `update mailer.sessions set seen_at = seen_at - interval '${interval}'
       where hash = decode('${hash}', 'hex')`,
    );

  test("one that was started is found with its owner, and stands in the journal", async () => {
    const hash = await start({ ownerId: "ann", isAdmin: false, via: "password" });
    expect(await find(hash)).toEqual({ ownerId: "ann", isAdmin: false });
    expect(await find(newHash())).toBeNull();
    const detail = { via: "password", is_admin: false };
    const entry = { owner_id: "ann", actor: "ann", origin: "192.0.2.7", detail };
    expect(await entries("session.started")).toEqual([entry]);
  });

  test("one that ended is found no more, and only its end is in the journal", async () => {
    const [hash, other] = [await start({ ownerId: "eve" }), await start({ ownerId: "eve" })];
    const options = { isEverywhere: false, origin: "192.0.2.8" };
    expect(await store.end(hash, options)).toBe(1);
    expect(await store.end(hash, options)).toBe(0);
    expect(await store.end(newHash(), { ...options, isEverywhere: true })).toBe(0);
    expect([await find(hash), await find(other)]).toEqual([
      null,
      { ownerId: "eve", isAdmin: true },
    ]);
    const detail = { sessions: 1 };
    const entry = { owner_id: "eve", actor: "eve", origin: "192.0.2.8", detail };
    expect(await entries("session.ended")).toEqual([entry]);
  });

  test("everywhere means all of that owner's and nobody else's", async () => {
    const mine = [await start({ ownerId: "ida" }), await start({ ownerId: "ida" })];
    const other = await start({ ownerId: "ivo" });
    expect(await store.end(mine[0] ?? "", { isEverywhere: true, origin: null })).toBe(2);
    expect(await Promise.all(mine.map((hash) => find(hash)))).toEqual([null, null]);
    expect(await find(other)).not.toBeNull();
  });

  test("one that replaces another ends it", async () => {
    const old = await start();
    const fresh = await start({ replaces: old });
    expect([await find(old), await find(fresh)]).toEqual([null, expect.anything()]);
  });

  test("none is found past its time, and the next sign-in removes it", async () => {
    const hash = await start({ ownerId: "old", lastsSeconds: 0 });
    expect(await find(hash)).toBeNull();
    expect(await store.end(hash, { isEverywhere: false, origin: null })).toBe(0);
    await start();
    expect(await sql.query("select from mailer.sessions where owner_id = 'old'")).toEqual([]);
  });

  test("one that nobody used for an hour is over; a page that asks by itself is not using it", async () => {
    const [used, watched] = [await start(), await start()];
    for (const hash of [used, watched]) await age(hash, "40 minutes");
    expect(await find(used, true)).not.toBeNull();
    expect(await find(watched, false)).not.toBeNull();
    for (const hash of [used, watched]) await age(hash, "40 minutes");
    expect([await find(used), await find(watched)]).toEqual([expect.anything(), null]);
  });

  test("an owner has at most 20, the newest", async () => {
    const hashes: string[] = [];
    for (let count = 0; count < 22; count++) {
      hashes.push(await start({ ownerId: "many" }));
      // Each has a millisecond of its own, the finest that PGlite's clock knows.
      await Bun.sleep(2);
    }
    const found = await Promise.all(hashes.map((hash) => find(hash)));
    expect(found.map((session) => session !== null)).toEqual([
      false,
      false,
      ...Array.from({ length: 20 }, () => true),
    ]);
  });

  test("a refused sign-in is an entry without an owner who could read it", async () => {
    await store.noteRefused("token_refused", "192.0.2.9");
    expect(await entries("session.refused")).toEqual([
      {
        owner_id: "console",
        actor: "stranger",
        origin: "192.0.2.9",
        detail: { reason: "token_refused" },
      },
    ]);
  });

  test.each(["start_session", "find_session", "end_session", "note_refused_sign_in"])(
    "%s is for the program alone",
    async (fn) => {
      for (const claims of [adminClaims, userClaims("ada")]) {
        const call = opened.database.rpc(fn, { hash: newHash() }, claims);
        expect(await rejection(call)).toMatchObject({ code: "forbidden" });
      }
    },
  );
});
