import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { adminClaims, userClaims } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { type ApiKeys, createApiKeys, type NewApiKey } from "./api-keys.ts";
import { partClaims } from "./database.ts";
import { createDroppedSigningKeys } from "./dropped-signing-keys.ts";

function newKey(fields: Partial<NewApiKey> = {}): NewApiKey {
  const id = Bun.randomUUIDv7();
  return {
    id,
    name: "a key",
    prefix: `tfm_${id.slice(-8)}`,
    hash: createHash("sha256").update(id).digest("hex"),
    scopes: ["read"],
    expiresAt: null,
    madeBy: null,
    origin: "192.0.2.7",
    ...fields,
  };
}

describe.each(drivers)("API keys on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  let keys: ApiKeys;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    keys = createApiKeys(opened.database);
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });

  const entriesOf = (id: string) =>
    sql.query(
      `select owner_id, actor, origin, action, detail from mailer.journal
       where detail ->> 'key_id' = $1 order by id`,
      [id],
    );

  test("a key is found by prefix and hash together, and as what it is", async () => {
    const key = newKey();
    await keys.create(key, userClaims("ada"));
    const found = await keys.find(key);
    expect(found).toMatchObject({ kind: "found", key: { id: key.id, ownerId: "ada" } });
    const other = newKey();
    expect(await keys.find({ ...key, hash: other.hash })).toEqual({ kind: "unknown" });
    expect(await keys.find({ ...key, prefix: other.prefix })).toEqual({ kind: "unknown" });
  });

  test("its life is in the journal: who, from where, which key; never the hash", async () => {
    const key = newKey({ name: "for the report" });
    await keys.create(key, userClaims("ada"));
    await keys.revoke(key.id, adminClaims, "198.51.100.1");
    await keys.revoke(key.id, adminClaims, "198.51.100.1");
    const entries = await entriesOf(key.id);
    expect(entries).toEqual([
      {
        owner_id: "ada",
        actor: "ada",
        origin: "192.0.2.7",
        action: "key.created",
        detail: { key_id: key.id, name: "for the report", scopes: ["read"], expires_at: null },
      },
      {
        owner_id: "ada",
        actor: "root",
        origin: "198.51.100.1",
        action: "key.revoked",
        detail: { key_id: key.id, name: "for the report" },
      },
    ]);
    expect(await keys.find(key)).toEqual({ kind: "revoked" });
  });

  test("it expires by the database's clock", async () => {
    const key = newKey({ expiresAt: new Date("2040-01-01T00:00:00Z") });
    await keys.create(key, userClaims("ada"));
    expect(await keys.find(key)).toMatchObject({ kind: "found" });
    await sql.query("update mailer.api_keys set expires_at = now() where id = $1", [key.id]);
    expect(await keys.find(key)).toEqual({ kind: "expired" });
    const past = newKey({ expiresAt: new Date("2001-01-01T00:00:00Z") });
    expect(await keys.create(past, userClaims("ada"))).toEqual({ kind: "expired" });
  });

  test("its use is written once a minute at most", async () => {
    const key = newKey();
    await keys.create(key, userClaims("ada"));
    await keys.noteUse([key.id]);
    await keys.noteUse([key.id, Bun.randomUUIDv7()]);
    const [row] = await sql.query(
      "select last_used_at = date_trunc('minute', last_used_at) as is_whole from mailer.api_keys where id = $1",
      [key.id],
    );
    expect(row).toEqual({ is_whole: true });
  });

  test("one owner neither sees nor ends another's; an admin does both", async () => {
    const key = newKey();
    await keys.create(key, userClaims("ada"));
    const page = { limit: 100, offset: 0, cursor: null };
    expect(await keys.get(key.id, userClaims("bob"))).toBeNull();
    expect(await keys.revoke(key.id, userClaims("bob"), null)).toBeNull();
    expect(await keys.list(page, userClaims("bob"))).toEqual({ keys: [], total: 0, next: null });
    expect(await keys.get(key.id, adminClaims)).toMatchObject({ id: key.id, revokedAt: null });
  });

  test("a user's claims make no admin's key, whatever the program lets through", async () => {
    const key = newKey({ scopes: ["admin"] });
    const making = keys.create(key, userClaims("ada"));
    expect(await rejection(making)).toMatchObject({ code: "forbidden" });
    expect(await keys.find(key)).toEqual({ kind: "unknown" });
  });

  test("a key ends with any key that it goes back to, revoked or expired", async () => {
    const line = [newKey({ scopes: ["admin"] })];
    for (let depth = 1; depth < 4; depth++) {
      line.push(newKey({ scopes: ["admin"], madeBy: line.at(-1)?.id ?? "" }));
    }
    const other = newKey({ scopes: ["admin"] });
    for (const key of [...line, other]) await keys.create(key, adminClaims);
    const kinds = async () => (await Promise.all(line.map(keys.find))).map(({ kind }) => kind);
    await sql.query("update mailer.api_keys set expires_at = now() where id = $1", [line[1]?.id]);
    expect(await kinds()).toEqual(["found", "expired", "expired", "expired"]);
    await keys.revoke(line[0]?.id ?? "", adminClaims, null);
    expect(await kinds()).toEqual(["revoked", "revoked", "revoked", "revoked"]);
    expect((await entriesOf(line[3]?.id ?? "")).map(({ action }) => action)).toEqual([
      "key.created",
      "key.revoked",
    ]);
    expect((await keys.find(other)).kind).toBe("found");
  });

  test("those that act as an admin are listed as long as they count", async () => {
    const [admin, reader] = [newKey({ scopes: ["admin"] }), newKey()];
    for (const key of [admin, reader]) await keys.create(key, adminClaims);
    const listed = async () => (await keys.listAdmins()).map(({ id }) => id);
    expect(await listed()).toContain(admin.id);
    expect(await listed()).not.toContain(reader.id);
    await keys.revoke(admin.id, adminClaims, null);
    expect(await listed()).not.toContain(admin.id);
  });

  test.each(["find_api_key", "note_api_key_use", "drop_signing_key", "dropped_signing_keys"])(
    "%s is not for a user's claims",
    async (fn) => {
      const call = opened.database.rpc(fn, { ids: [], kid: "k" }, userClaims("ada"));
      expect(await rejection(call)).toMatchObject({ code: "forbidden" });
    },
  );

  test("the program itself makes and revokes none", async () => {
    const making = keys.create(newKey(), partClaims("worker", "local"));
    expect(await rejection(making)).toMatchObject({ code: "forbidden" });
  });

  test("a signing key is dropped once, with one entry of the journal", async () => {
    const dropped = createDroppedSigningKeys(opened.database);
    await dropped.drop("kid-1", adminClaims, "192.0.2.7");
    const [first] = [...(await dropped.list()).values()];
    await dropped.drop("kid-1", adminClaims, "192.0.2.7");
    expect([...(await dropped.list()).entries()]).toEqual([["kid-1", first ?? new Date(0)]]);
    const entries = await sql.query(
      "select actor, detail from mailer.journal where action = 'signing_key.dropped'",
    );
    expect(entries).toEqual([{ actor: "root", detail: { kid: "kid-1" } }]);
  });
});

describe("API keys by direct SQL", () => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  const key = newKey();
  beforeAll(async () => {
    const postgres = drivers.find(({ driver }) => driver === "postgres");
    if (postgres === undefined) throw new Error("there is no such driver");
    opened = await postgres.open();
    sql = await directSql(opened.database);
    await createApiKeys(opened.database).create(key, userClaims("ada"));
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });

  /** Runs one statement as a role and with claims, and undoes it. */
  async function as(role: string, sub: string, statement: string) {
    await sql.query("begin");
    try {
      await sql.query(`set local role ${role}`);
      const claims = JSON.stringify({ role: "user", sub });
      await sql.query("select set_config('request.jwt.claims', $1, true)", [claims]);
      return await sql.query(statement);
    } finally {
      await sql.query("rollback");
    }
  }

  test("mailer_owner sees and ends its own rows only", async () => {
    const select = "select id from mailer.api_keys";
    const revoke = "update mailer.api_keys set revoked_at = now() returning id";
    for (const statement of [select, revoke]) {
      expect(await as("mailer_owner", "ada", statement)).toEqual([{ id: key.id }]);
      expect(await as("mailer_owner", "bob", statement)).toEqual([]);
    }
  });

  test("mailer_owner makes no key for another", async () => {
    const insert = `insert into mailer.api_keys (id, owner_id, name, prefix, hash, scopes, created_at)
      values (gen_random_uuid(), 'ada', 'x', 'tfm_x', sha256('x'), '{read}', now())`;
    expect(String(await rejection(as("mailer_owner", "bob", insert)))).toMatch(
      "row-level security",
    );
  });

  test.each([
    "update mailer.api_keys set scopes = '{admin}'",
    "update mailer.api_keys set owner_id = 'bob'",
    "update mailer.api_keys set hash = sha256('x')",
    "update mailer.api_keys set expires_at = null",
    "delete from mailer.api_keys",
    "truncate mailer.api_keys",
    "delete from mailer.dropped_signing_keys",
    "update mailer.dropped_signing_keys set kid = 'x'",
  ])("neither role of ours may: %s", async (statement) => {
    for (const role of ["mailer_owner", "mailer_service", "mailer_client"]) {
      expect(String(await rejection(as(role, "ada", statement)))).toMatch("permission denied");
    }
  });

  test("with row-level security switched off the functions still keep owners apart", async () => {
    await sql.query("alter role mailer_owner bypassrls");
    try {
      const keys = createApiKeys(opened.database);
      expect(await keys.get(key.id, userClaims("bob"))).toBeNull();
      expect(await keys.revoke(key.id, userClaims("bob"), null)).toBeNull();
    } finally {
      await sql.query("alter role mailer_owner nobypassrls");
    }
  });
});
