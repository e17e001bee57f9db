import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createSigningKey } from "../crypto/signing-key.ts";
import { createAudit } from "../store/audit.ts";
import { createCheckpointKeeper } from "../store/checkpoint-keeper.ts";
import { createEmails } from "../store/emails.ts";
import { createJournal } from "../store/journal.ts";
import { adminClaims, newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { checkJournal } from "./check-journal.ts";
import { signCheckpoint } from "./checkpoint.ts";

setDefaultTimeout(60_000);

const key = createSigningKey({ auditSigningKey: null, encryptionKey: "ab".repeat(32) });

describe.each(drivers)("stored checkpoints on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    await accepted("ada", "bob", "ada");
    await keep();
    await accepted("zoë", "ada");
    await keep();
    await accepted("bob");
  });
  afterAll(async () => {
    await sql?.close();
    await opened?.close();
  });

  const keeper = () => createCheckpointKeeper(opened.database, { region: "local" });
  const audit = () => createAudit(opened.database);

  async function accepted(...owners: string[]): Promise<void> {
    const emails = createEmails(opened.database);
    for (const ownerId of owners) await store(emails, [newEmail()], { ownerId, actor: ownerId });
    while ((await createJournal(opened.database).seal(100)).hasMore);
  }

  async function keep(change: { position?: number; root?: string } = {}): Promise<boolean> {
    const state = { ...(await keeper().state()), ...change };
    return await keeper().keep(state.position, JSON.stringify(signCheckpoint(state, null, key)));
  }

  const check = (ownerId: string | null = null) =>
    checkJournal(audit(), { ownerId, as: adminClaims });

  /** A row that only the owner of the tables can write or take away. */
  async function during(statement: string, undo: string, work: () => Promise<void>) {
    const asOwner = async (text: string) => {
      await sql.query("alter table mailer.checkpoints disable trigger user");
      await sql.query(text);
      await sql.query("alter table mailer.checkpoints enable trigger user");
    };
    await asOwner(statement);
    try {
      await work();
    } finally {
      await asOwner(undo);
    }
  }

  test("the journal is held against all of them, and told by which key", async () => {
    const checkpoints = { count: 2, keys: [key.publicKey] };
    expect(await check()).toEqual({ ok: true, checked: 6, chains: 3, position: 6, checkpoints });
    // They say nothing of one owner's chain.
    expect(await check("ada")).toEqual({ ok: true, checked: 3, chains: 1, position: 5 });
  });

  test("there is one of a position, and they are for admins", async () => {
    const page = { before: null, offset: 0, limit: 9 };
    const listed = await audit().checkpoints(page, adminClaims);
    expect(listed.map(({ position }) => position)).toEqual([5, 3]);
    const again = JSON.stringify(signCheckpoint(await keeper().state(), null, key));
    expect(await keeper().keep(5, again)).toBe(false);
    const stolen = audit().checkpoints(page, userClaims("ada"));
    expect(await rejection(stolen)).toMatchObject({ code: "forbidden" });
  });

  test("one that was changed after it was signed is named", async () => {
    const change = (from: string, to: string) =>
      `update mailer.checkpoints set checkpoint = replace(checkpoint, '${from}', '${to}')
       where position = 3`;
    const undo = change('"chains":7', '"chains":2');
    await during(change('"chains":2', '"chains":7'), undo, async () => {
      expect(await check()).toMatchObject({
        ...{ ok: false, broken: { ownerId: null, position: 3, reason: "checkpoint" } },
      });
    });
    const move = (from: number, to: number) =>
      `update mailer.checkpoints set position = ${to} where position = ${from}`;
    await during(move(3, 4), move(4, 3), async () => {
      expect(await check()).toMatchObject({ broken: { position: 4, reason: "checkpoint" } });
    });
  });

  test("a journal that is not what one says is betrayed, and one that was cut off", async () => {
    const without = (position: number) =>
      `delete from mailer.checkpoints where position = ${position}`;
    expect(await keep({ position: 6, root: "ab".repeat(32) })).toBe(true);
    await during("select", without(6), async () => {
      expect(await check()).toMatchObject({ broken: { position: 6, reason: "state" } });
    });
    expect(await keep({ position: 9 })).toBe(true);
    await during("select", without(9), async () => {
      expect(await check()).toMatchObject({ broken: { position: 7, reason: "missing" } });
    });
    expect(await check()).toMatchObject({ ok: true });
  });
});
