import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { createEmails } from "./emails.ts";
import { createJournal } from "./journal.ts";

/** By direct SQL, as each of those who own something here. */
describe.each(drivers.filter(({ driver }) => driver !== "supabase"))(
  "the journal on $driver is append-only",
  ({ open }) => {
    let opened: OpenDatabase;
    let sql: DirectSql;

    beforeAll(async () => {
      opened = await open();
      sql = await directSql(opened.database);
      await store(createEmails(opened.database), [newEmail(), newEmail()]);
      await createJournal(opened.database).seal(10);
    }, 60_000);
    afterAll(async () => {
      await sql.close();
      await opened.close();
    });

    const refused = /permission denied|append-only|row-level security/;
    const roles = [null, "mailer_owner", "mailer_service", "mailer_client"];
    const tries = [
      "delete from mailer.journal",
      "truncate mailer.journal",
      "update mailer.journal set actor = 'x'",
      "update mailer.journal set detail = '{}'",
      "delete from mailer.seals",
      "truncate mailer.seals",
      "update mailer.seals set position = position + 10",
      "update mailer.seals set entry_id = -1",
      "update mailer.seals set owner_id = 'eve'",
      "update mailer.seals set number = number + 10",
      "update mailer.seals set hash = sha256('x')",
      "delete from mailer.journal_heads",
      "truncate mailer.journal_heads",
      "update mailer.journal_heads set number = number - 1",
      "update mailer.journal_heads set hash = sha256('x')",
      "update mailer.journal_heads set owner_id = 'eve', number = number + 1",
      "delete from mailer.checkpoints",
      "truncate mailer.checkpoints",
      "update mailer.checkpoints set checkpoint = '{}'",
      "delete from mailer.sealer",
      "truncate mailer.sealer",
      "update mailer.sealer set position = 0",
    ];

    test.each(roles.flatMap((role) => tries.map((statement) => ({ role, statement }))))(
      "for $role: $statement",
      async ({ role, statement }) => {
        await sql.query("begin");
        try {
          if (role !== null) await sql.query(`set local role ${role}`);
          // As a user it would be seen by, so that no row is missed for want of claims.
          await sql.query(
            `select set_config('request.jwt.claims', '{"role":"user","sub":"ada"}', true)`,
          );
          expect(String(await rejection(sql.query(statement)))).toMatch(refused);
        } finally {
          await sql.query("rollback");
        }
      },
    );

    test("and no trigger of it can be left out but by the tables' owner", async () => {
      for (const role of ["mailer_owner", "mailer_service", "mailer_client"]) {
        await sql.query("begin");
        await sql.query(`set local role ${role}`);
        const disable = "alter table mailer.seals disable trigger user";
        expect(String(await rejection(sql.query(disable)))).toMatch(
          /must be owner|permission denied/,
        );
        await sql.query("rollback");
        await sql.query("begin");
        await sql.query(`set local role ${role}`);
        const replica = "set local session_replication_role = replica";
        expect(String(await rejection(sql.query(replica)))).toMatch("permission denied");
        await sql.query("rollback");
      }
    });
  },
);
