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
      await sql.query("insert into mailer.journal_anchors values ('ada', 0, 0, sha256('x'))");
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
      "delete from mailer.journal_anchors",
      "truncate mailer.journal_anchors",
      "update mailer.journal_anchors set number = number - 1",
      "update mailer.journal_anchors set hash = sha256('x')",
      "update mailer.journal_anchors set owner_id = 'eve', number = number + 1, position = position + 1",
      "delete from mailer.journal_start",
      "truncate mailer.journal_start",
      "update mailer.journal_start set position = position - 1",
      "update mailer.journal_start set drop_to = drop_to - 1",
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

    /** Statements that the role of delete_dropped has the right to, and what comes of each alone. */
    const ofDropper = new Map<string, number>([
      // Nothing was announced, so row-level security shows it nothing to delete.
      ["delete from mailer.journal", 0],
      ["delete from mailer.seals", 0],
    ]);
    test.each(tries)(
      "for mailer_dropper, which nobody but delete_dropped acts as: %s",
      async (statement) => {
        await sql.query("begin");
        try {
          await sql.query("set local role mailer_dropper");
          const deleted = ofDropper.get(statement);
          if (deleted === undefined) {
            expect(String(await rejection(sql.query(statement)))).toMatch(refused);
          } else {
            expect(await sql.query(`${statement} returning *`)).toHaveLength(deleted);
          }
        } finally {
          await sql.query("rollback");
        }
      },
    );

    test("and mailer_dropper deletes what was announced, and nothing beyond", async () => {
      await sql.query("begin");
      try {
        await sql.query("update mailer.journal_start set drop_to = 1");
        await sql.query("set local role mailer_dropper");
        expect(await sql.query("delete from mailer.journal returning id")).toHaveLength(1);
        const seals = await sql.query("delete from mailer.seals returning position::integer");
        expect(seals).toEqual([{ position: 1 }]);
      } finally {
        await sql.query("rollback");
      }
    });

    test("and delete_dropped deletes nothing for an end that no sealed entry announces", async () => {
      const action = "'retention.journal_dropped'";
      const announce = `insert into mailer.journal (owner_id, actor, action, detail)
        values ('taskforce-mailer:system', 'x', ${action}, '{"position":1}') returning id`;
      const step = async () => await sql.query("select * from mailer.delete_dropped(9)");
      await sql.query("begin");
      try {
        await sql.query(
          "update mailer.journal_start set next_to = 1, next_entry_id = (select min(id) from mailer.journal)",
        );
        expect(await step()).toEqual([{ dropped: 0, is_waiting: true }]);
        const [entry] = await sql.query(announce);
        await sql.query("update mailer.journal_start set next_entry_id = $1", [entry?.id]);
        expect(await step()).toEqual([{ dropped: 0, is_waiting: true }]);
        await sql.query("select mailer.seal_batch(null, 9)");
        await sql.query("update mailer.journal_start set next_to = 2");
        expect(await step()).toEqual([{ dropped: 0, is_waiting: true }]);
        await sql.query("update mailer.journal_start set next_to = 1");
        expect(await step()).toEqual([{ dropped: 1, is_waiting: false }]);
      } finally {
        await sql.query("rollback");
      }
    });

    test("and no trigger of it can be left out but by the tables' owner", async () => {
      for (const role of ["mailer_owner", "mailer_service", "mailer_dropper", "mailer_client"]) {
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
