import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createSigningKey } from "../crypto/signing-key.ts";
import { type Audit, createAudit } from "../store/audit.ts";
import { createEmails } from "../store/emails.ts";
import { createJournal } from "../store/journal.ts";
import { adminClaims, newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { checkJournal } from "./check-journal.ts";
import { type Checkpoint, rootOf, signCheckpoint } from "./checkpoint.ts";
import { readHeads } from "./read-journal.ts";

const zoe = 'Zoë "the owner" \\ 漢字';

describe.each(drivers)("the audit trail on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  let audit: Audit;
  let checkpoint: Checkpoint;

  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    audit = createAudit(opened.database);
    const key = createSigningKey({ auditSigningKey: null, encryptionKey: "ab".repeat(32) });
    await schedule("ada", zoe, "ada", "bob", "ada");
    checkpoint = signCheckpoint(await audit.state(null, adminClaims), null, key);
    await schedule(zoe, "ada", "eve");
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });

  async function schedule(...owners: string[]): Promise<void> {
    const emails = createEmails(opened.database);
    for (const ownerId of owners) {
      await store(emails, [newEmail()], { ownerId, actor: ownerId, origin: "192.0.2.7" });
    }
    while ((await createJournal(opened.database).seal(2)).hasMore);
  }

  function check(ownerId: string | null = null, kept: Checkpoint | null = null) {
    return checkJournal(audit, { ownerId, as: adminClaims, checkpoint: kept });
  }

  test("verifies, for everybody and for one, against a checkpoint of before", async () => {
    const whole = { ok: true as const, checked: 8, chains: 4, position: 8 };
    const checkpoints = { count: 0, keys: [] };
    expect(await check(null, checkpoint)).toEqual({ ...whole, checkpoints });
    expect(await check(zoe)).toMatchObject({ ok: true, checked: 2, chains: 1 });
    expect(await check("nobody")).toMatchObject({ ok: true, checked: 0 });
    expect(checkpoint).toMatchObject({ position: 5, chains: 3 });
  });

  test("its state is what follows from the heads, computed by another program", async () => {
    for (const ownerId of [null, "ada", zoe, "nobody"]) {
      const heads = await readHeads(audit, ownerId, adminClaims);
      const state = await audit.state(ownerId, adminClaims);
      expect(state).toMatchObject({ chains: heads.size, root: rootOf(heads) });
    }
  });

  test("a user sees the entries, state and heads of its own, whatever is asked for", async () => {
    const ada = userClaims("ada");
    const query = { limit: 100, isNewestFirst: false };
    const own = await audit.read(query, ada);
    expect(own).toHaveLength(4);
    for (const ownerId of ["bob", zoe]) {
      expect(await audit.read({ ...query, ownerId }, ada)).toEqual(own);
      const { at: _, ...state } = await audit.state(ownerId, ada);
      expect(await audit.state("ada", adminClaims)).toMatchObject(state);
      expect([...(await readHeads(audit, ownerId, ada)).keys()]).toEqual(["ada"]);
    }
    expect(await checkJournal(audit, { ownerId: "ada", as: ada })).toMatchObject({
      ok: true,
      checked: 4,
    });
  });

  const kept = ["journal", "seals", "journal_heads", "sealer"];

  /** Does what only the tables' owner can, past the triggers. Undone afterwards. */
  async function tampered(statements: string[]) {
    for (const table of kept) {
      await sql.query(`create table mailer.kept_${table} as select * from mailer.${table}`);
      await sql.query(`alter table mailer.${table} disable trigger user`);
    }
    try {
      for (const statement of statements) await sql.query(statement);
      return [await check(), await check(null, checkpoint)];
    } finally {
      for (const table of kept) {
        await sql.query(`delete from mailer.${table}`);
        await sql.query(
          `insert into mailer.${table} overriding system value select * from mailer.kept_${table}`,
        );
        await sql.query(`alter table mailer.${table} enable trigger user`);
        await sql.query(`drop table mailer.kept_${table}`);
      }
    }
  }

  /** Makes the database's own word agree with what is left of the seals. */
  const patchHeads = [
    `delete from mailer.journal_heads`,
    `insert into mailer.journal_heads select distinct on (owner_id) owner_id, number, hash
     from mailer.seals order by owner_id, number desc`,
    `update mailer.sealer set position = (select coalesce(max(position), 0) from mailer.seals)`,
  ];
  /** Seals everything from a position on anew, as the sealer would have done. */
  const reseal = (from: number) => [
    `update mailer.sealer set position = ${from} - 1, sealed_to = (select coalesce(max(entry_id), 0)
      from mailer.seals where position < ${from})`,
    `delete from mailer.seals where position >= ${from}`,
    `delete from mailer.journal_heads`,
    `insert into mailer.journal_heads select distinct on (owner_id) owner_id, number, hash
     from mailer.seals order by owner_id, number desc`,
    `select mailer.seal_batch(null, 1000)`,
  ];
  const entry = (position: number) =>
    `id = (select entry_id from mailer.seals where position = ${position})`;

  const ada = { ownerId: "ada" };
  test.each([
    ["an edit", [`update mailer.journal set actor = 'x' where ${entry(3)}`], { ...ada, number: 2 }],
    ["a removal", [`delete from mailer.journal where ${entry(3)}`], { ...ada, number: 2 }],
    ["a seal's removal", ["delete from mailer.seals where position = 3"], { ...ada, number: 2 }],
    ["a removal of a whole owner", ["delete from mailer.journal where owner_id = 'bob'"], {}],
    [
      "two entries that change places",
      [
        "update mailer.seals set position = -position where position in (1, 3)",
        "update mailer.seals set position = 4 + position where position < 0",
      ],
      { ...ada, number: 1 },
    ],
    [
      "an entry put in",
      [
        `insert into mailer.journal (owner_id, actor, action) values ('ada', 'x', 'email.sent')`,
        `insert into mailer.seals (position, entry_id, owner_id, number, hash)
         select 9, max(id), 'ada', 5, sha256('x') from mailer.journal`,
      ],
      { ...ada, number: 5 },
    ],
    ["truncation", ["truncate mailer.journal"], { number: 1 }],
    ["its tail cut off", ["delete from mailer.seals where position > 6"], {}],
  ] as [string, string[], object][])("%s shows without a checkpoint", async (_, how, where) => {
    const [verdict] = await tampered(how);
    expect(verdict).toMatchObject({ ok: false, broken: where });
    expect(await check()).toMatchObject({ ok: true });
  });

  test.each([
    ["its tail cut off", ["delete from mailer.seals where position > 3", ...patchHeads]],
    ["truncation", ["truncate mailer.journal, mailer.seals", ...patchHeads]],
    [
      "an edit sealed anew",
      [`update mailer.journal set actor = 'x' where ${entry(2)}`, ...reseal(2)],
    ],
    ["a removal sealed anew", [`delete from mailer.journal where ${entry(3)}`, ...reseal(3)]],
  ])("%s, all else made to agree, shows by a checkpoint alone", async (_, how) => {
    const [alone, withCheckpoint] = await tampered(how);
    expect(alone).toMatchObject({ ok: true });
    expect(withCheckpoint).toMatchObject({ ok: false });
    expect(await check(null, checkpoint)).toMatchObject({ ok: true });
  });
});
