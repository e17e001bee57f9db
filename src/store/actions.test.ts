import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { adminClaims, userClaims } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { createActions } from "./actions.ts";
import { partClaims } from "./database.ts";

describe.each(drivers)("what admins do, on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });

  const rotated = {
    action: "encryption.rotated",
    detail: { emails: "4" },
    origin: "192.0.2.7",
  } as const;
  const count = async () => (await sql.query("select from mailer.journal")).length;

  test("is an entry of the journal that names the admin and from where", async () => {
    await createActions(opened.database).record(rotated, { role: "admin", sub: "olga" });
    const entries = await sql.query(
      "select owner_id, actor, origin, action, email_id, sequence, detail from mailer.journal",
    );
    expect(entries).toEqual([
      {
        owner_id: "olga",
        actor: "olga",
        origin: "192.0.2.7",
        action: "encryption.rotated",
        email_id: null,
        sequence: null,
        detail: { emails: "4" },
      },
    ]);
  });

  test.each([userClaims("ada"), partClaims("worker", "local")])(
    "is not for $role claims to record",
    async (claims) => {
      const before = await count();
      const recording = createActions(opened.database).record(rotated, claims);
      expect(await rejection(recording)).toMatchObject({ code: "forbidden" });
      expect(await count()).toBe(before);
    },
  );

  test.each(["email.sent", "", "Queue paused", null])(
    "is never an entry about an email, nor without a name: %p",
    async (action) => {
      const before = await count();
      const args = { action, detail: {}, origin: null };
      const recording = opened.database.rpc("record_action", args, adminClaims);
      expect(await rejection(recording)).toMatchObject({ code: "forbidden" });
      expect(await count()).toBe(before);
    },
  );
});
