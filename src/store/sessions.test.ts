import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { adminClaims, userClaims } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { createEndings, readEndedTokens } from "./endings.ts";
import { createMaintenance } from "./maintenance.ts";
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
  const ground = newHash();
  async function start(fields: Partial<NewSession> = {}): Promise<string> {
    const hash = newHash();
    const who = { ownerId: "olga", isAdmin: true, via: "token", lastsSeconds: 60 } as const;
    const rest = { ground, signingKey: null, tokenExpiresAt: null, refresh: null };
    await store.start({ hash, replaces: null, origin: "192.0.2.7", ...who, ...rest, ...fields });
    return hash;
  }
  const find = (hash: string, isActive = true) =>
    store.find(hash, { ground, idleSeconds: 3_600, isActive });
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
    expect(await find(hash)).toMatchObject({ ownerId: "ann", isAdmin: false, renewal: null });
    expect(await find(newHash())).toBeNull();
    const detail = { via: "password", is_admin: false };
    const entry = { owner_id: "ann", actor: "ann", origin: "192.0.2.7", detail };
    expect(await entries("session.started")).toEqual([entry]);
  });

  test("one that rests on a former secret is found while that one is listed", async () => {
    const former = newHash();
    const hash = await start({ ground: former });
    const listed = (formerGrounds?: string[]) =>
      store.find(hash, {
        ...{ ground, idleSeconds: 3_600, isActive: true },
        ...(formerGrounds && { formerGrounds }),
      });
    expect(await listed([newHash(), former])).not.toBeNull();
    for (const others of [undefined, [], [newHash()]]) expect(await listed(others)).toBeNull();
  });

  test("one that ended is found no more, and only its end is in the journal", async () => {
    const [hash, other] = [await start({ ownerId: "eve" }), await start({ ownerId: "eve" })];
    const options = { isEverywhere: false, origin: "192.0.2.8" };
    expect(await store.end(hash, options)).toBe(1);
    expect(await store.end(hash, options)).toBe(0);
    expect(await store.end(newHash(), { ...options, isEverywhere: true })).toBe(0);
    expect([await find(hash), await find(other)]).toMatchObject([
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

  test("none is found past its time, and each is forgotten, a bounded number at once", async () => {
    const living = await start();
    await start({ ownerId: "old", lastsSeconds: -60 });
    const hash = await start({ ownerId: "old", lastsSeconds: 0 });
    expect(await find(hash)).toBeNull();
    expect(await store.end(hash, { isEverywhere: false, origin: null })).toBe(0);
    const place = { workerId: crypto.randomUUID(), region: "local" };
    const { forget } = createMaintenance(opened.database, place);
    const forgotten = [await forget("sessions", 1), await forget("sessions", 9)];
    expect([...forgotten, await forget("sessions", 9)]).toEqual([1, 1, 0]);
    expect(await sql.query("select from mailer.sessions where owner_id = 'old'")).toEqual([]);
    expect(await find(living)).not.toBeNull();
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
        owner_id: "taskforce-mailer:console",
        actor: "taskforce-mailer:stranger",
        origin: "192.0.2.9",
        detail: { reason: "token_refused" },
      },
    ]);
  });

  const soon = (seconds: number) => new Date(Date.now() + seconds * 1_000);
  const project = { kid: "project", thumbprint: "t" };
  const byKey = { ground: null, signingKey: project };

  test("one ends with its token, however long sessions last", async () => {
    const hash = await start({ lastsSeconds: 3_600, tokenExpiresAt: soon(3) });
    expect((await find(hash))?.endsInMs).toBeLessThanOrEqual(3_000);
    const over = await start({ lastsSeconds: 3_600, tokenExpiresAt: soon(-1) });
    expect(await find(over)).toBeNull();
  });

  test("one is found by the secret that it was made with alone", async () => {
    const hash = await start();
    const other = { ground: newHash(), idleSeconds: 3_600, isActive: true };
    expect(await store.find(hash, other)).toBeNull();
    expect(await find(hash)).not.toBeNull();
    expect(await store.find(await start(byKey), other)).toMatchObject({ signingKey: project });
  });

  test("one ends with the signing key that an admin drops", async () => {
    const hash = await start({ ground: null, signingKey: { ...project, kid: "leaked" } });
    expect(await find(hash)).not.toBeNull();
    await opened.database.rpc("drop_signing_key", { kid: "leaked", origin: null }, adminClaims);
    expect(await find(hash)).toBeNull();
  });

  test("one whose token is renewed is renewed by one process, and may lose the role", async () => {
    const hash = await start({ ...byKey, tokenExpiresAt: soon(-1), refresh: "YWJj" });
    expect((await find(hash))?.renewal).toBe("needed");
    const claims = await Promise.all([store.claimRenewal(hash), store.claimRenewal(hash)]);
    expect(claims.map(({ kind }) => kind).sort()).toEqual(["busy", "yours"]);
    expect(claims).toContainEqual({ kind: "yours", refresh: "YWJj" });
    const next = { ...byKey, tokenExpiresAt: soon(3_600), refresh: "ZGVm", origin: "192.0.2.7" };
    await store.renew(hash, { ...next, isAdmin: false });
    expect(await find(hash)).toMatchObject({ isAdmin: false, renewal: null });
    expect((await entries("session.changed")).at(-1)?.detail).toEqual({ is_admin: false });
    expect(await store.claimRenewal(hash)).toEqual({ kind: "busy" });
    expect(await store.claimRenewal(await start())).toEqual({ kind: "unknown" });
  });

  test("an admin ends those of one owner, or everybody's", async () => {
    const [uma, una] = [await start({ ownerId: "uma" }), await start({ ownerId: "una" })];
    const by = { claims: adminClaims, origin: null };
    expect(await createEndings(opened.database).sessions("uma", by)).toBe(1);
    expect([await find(uma), await find(una)]).toEqual([null, expect.anything()]);
    expect(await createEndings(opened.database).sessions(null, by)).toBeGreaterThan(0);
    expect(await find(una)).toBeNull();
    expect((await entries("session.ended")).at(-1)?.detail).toMatchObject({ everybody: true });
  });

  test("tokens that are ended take their owner's sessions with them", async () => {
    const [uwe, other] = [await start({ ownerId: "uwe" }), await start({ ownerId: "ute" })];
    const by = { claims: adminClaims, origin: null };
    const { notBefore, sessions } = await createEndings(opened.database).tokens("uwe", by);
    expect(sessions).toBe(1);
    expect([await find(uwe), await find(other)]).toEqual([null, expect.anything()]);
    expect(notBefore.getMilliseconds()).toBe(0);
    expect((await readEndedTokens(opened.database)).get("uwe")).toEqual(notBefore);
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
