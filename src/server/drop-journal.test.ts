import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createEmails } from "../store/emails.ts";
import { adminClaims, newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { sealedEntries } from "../testing/fixtures/sealed-entries.ts";
import {
  createShortJournal,
  type ShortJournal,
  verifyText,
} from "../testing/product/short-journal.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";

setDefaultTimeout(120_000);

const names = ["ada", "bob", 'Zoë "the owner" \\ 漢字', "eve", "mallory", "once"];

/** The same numbers each time: a failure can be looked at again. */
function randomOf(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state % below;
  };
}

describe.each(drivers)("a journal on $driver that is shortened", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  let journal: ShortJournal;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    journal = createShortJournal(opened.database, sql);
  });
  afterAll(async () => {
    await sql?.close();
    await opened?.close();
  });

  const counts = async () => {
    const [row] = await sql.query(
      `select (select count(*)::integer from mailer.journal) as entries,
         (select count(*)::integer from mailer.seals) as seals,
         (select position::integer from mailer.sealer) as newest`,
    );
    return row as { entries: number; seals: number; newest: number };
  };

  /** By every way that there is, from whatever is left of it. */
  async function expectSound(dropped: number): Promise<void> {
    const { seals, newest } = await counts();
    expect(seals).toBe(newest - dropped);
    const start = { position: dropped + 1, droppedAt: expect.stringMatching(/Z$/) };
    const verdict = await journal.check();
    expect(verdict).toMatchObject({ ok: true, checked: seals, ...(dropped > 0 && { start }) });
    expect(await journal.verifySteadily()).toMatchObject({ entries: seals, broken: 0 });
    expect(await verifyText(await journal.export())).toMatchObject({ ok: true, checked: seals });
    for (const owner of ["ada", "once", "nobody"]) {
      const own = await journal.check(owner);
      expect(own).toMatchObject({ ok: true });
      expect(await journal.check(owner, userClaims(owner))).toEqual(own);
      const text = await journal.export(null, userClaims(owner));
      expect(await verifyText(text)).toMatchObject({ ok: true, checked: own.checked });
      expect(text).toBe(await journal.export(owner));
    }
  }

  test("verifies after each of many drops, and so does every export that was made on the way", async () => {
    const random = randomOf(4);
    const exports: string[] = [];
    const kept: number[] = [];
    for (let round = 0; round < 7; round++) {
      const owners = Array.from({ length: 1 + random(40) }, () => names[random(5)] ?? "ada");
      await journal.write(round === 0 ? ["once", ...owners] : owners);
      kept.push(await journal.keep());
      exports.push(await journal.export());
      // The checkpoint of two rounds ago is 20 days old.
      const position = kept.at(-3) ?? 0;
      expect(await journal.drop(15)).toMatchObject({ position, refused: 0 });
      await expectSound(position);
      await journal.age(10);
    }
    expect(kept.at(-3)).toBeGreaterThan(30);
    for (const text of exports) expect(await verifyText(text)).toMatchObject({ ok: true });
  });
  test("keeps no entry up to there, one anchor for each owner, and tells of the drop", async () => {
    const [row] = await sql.query(
      `select (select min(position)::integer from mailer.seals) as oldest,
         (select position::integer from mailer.journal_start) as dropped,
         (select count(*)::integer from mailer.journal_anchors) as anchors,
         (select count(*)::integer from mailer.journal j left join mailer.seals s on s.entry_id = j.id
           where s.entry_id is null) as loose`,
    );
    const { oldest, dropped, anchors, loose } = row as Record<string, number>;
    expect({ oldest, loose }).toEqual({ oldest: Number(dropped) + 1, loose: 0 });
    expect(anchors).toBe(7);
    const drops = await sql.query(
      "select owner_id, detail from mailer.journal where action = 'retention.journal_dropped' order by id",
    );
    expect(drops.at(-1)).toMatchObject({
      owner_id: "taskforce-mailer:system",
      detail: { position: dropped, checkpoint: { position: dropped, owner_id: null } },
    });
  });

  const limit = 19;
  test("is announced first: nothing goes before that entry is sealed, and each step leaves it sound", async () => {
    await journal.write(["ada", "bob", "once", "ada", "eve", "bob", "ada"]);
    const to = await journal.keep();
    await journal.age(100);
    const { position: from } = await journal.step({ days: null, to: null, limit });
    expect(await journal.step({ days: 30, to: null, limit })).toMatchObject({
      ...{ dropped: 0, candidate: { position: to }, is_waiting: false },
    });
    const waiting = { dropped: 0, position: from, candidate: null, is_waiting: true };
    expect(await journal.step({ days: 30, to, limit })).toMatchObject(waiting);
    expect(await journal.step({ days: 30, to: null, limit })).toMatchObject(waiting);
    await expectSound(from);
    await journal.seal();
    for (let at = from; at < to; at = Math.min(at + limit, to)) await stepped(at, to);
    expect(await journal.step({ days: 30, to: null, limit })).toMatchObject({
      ...{ dropped: 0, position: to, candidate: null },
    });
  });

  async function stepped(at: number, to: number): Promise<void> {
    const position = Math.min(at + limit, to);
    const step = await journal.step({ days: 30, to: null, limit });
    expect(step).toMatchObject({ dropped: position - at, position, drop_to: to });
    await expectSound(position);
  }

  test("goes on where a drop was cut off, also once the setting is gone", async () => {
    await journal.write(["ada", "bob", "once", "ada"]);
    const to = await journal.keep();
    await journal.age(100);
    await journal.step({ days: 30, to, limit: 1 });
    await journal.seal();
    await journal.step({ days: 30, to: null, limit: 1 });
    await journal.write(["ada"]);
    await journal.keep();
    await journal.age(100);
    expect(await journal.drop(null)).toMatchObject({ position: to });
    await expectSound(to);
    expect(await journal.drop(null)).toMatchObject({ position: to, dropped: 0, held_by_email: 0 });
  });

  test("keeps what is younger than the setting", async () => {
    await journal.drop(15);
    await journal.write(["bob", "bob"]);
    await journal.keep();
    await journal.age(14);
    expect(await journal.drop(15)).toMatchObject({ dropped: 0, held_by_email: 0 });
    await journal.age(2);
    expect((await journal.drop(15)).dropped).toBeGreaterThan(1);
  });

  test("keeps what is older than an email with a record, and a day more; the result says so", async () => {
    await journal.write(["bob"]);
    await journal.keep();
    await journal.age(50);
    const ofDaysAgo = (days: number) =>
      newEmail({ id: Bun.randomUUIDv7("hex", Date.now() - days * 86_400_000) });
    const [old, older] = [ofDaysAgo(50.5), ofDaysAgo(49.5)];
    await store(createEmails(opened.database), [old, older], { ownerId: "ada", actor: "ada" });
    const forget = async (id: string) => {
      await sql.query("delete from mailer.contents where email_id = $1", [id]);
      await sql.query("delete from mailer.recipients where email_id = $1", [id]);
      await sql.query("delete from mailer.emails where id = $1", [id]);
    };
    const held = { dropped: 0, held_by_email: 1, refused: 0 };
    expect(await journal.drop(30)).toMatchObject(held);
    await forget(old.id);
    expect(await journal.drop(30)).toMatchObject(held);
    await forget(older.id);
    await store(createEmails(opened.database), [ofDaysAgo(48.5)], { ownerId: "a", actor: "a" });
    const done = await journal.drop(30);
    expect(done).toMatchObject({ held_by_email: 0, refused: 0 });
    expect(done.dropped).toBeGreaterThan(0);
  });

  test("is left alone where it is known to be broken, or the checkpoint was tampered with", async () => {
    await sql.query("delete from mailer.recipients");
    await sql.query("delete from mailer.contents");
    await sql.query("delete from mailer.emails");
    await journal.write(["ada", "eve"]);
    const to = await journal.keep();
    await journal.age(50);
    const incident =
      "insert into mailer.incidents (kind, name, since) values ('journal', 'chain', now())";
    await sql.query(incident);
    const refused = { dropped: 0, refused: 1 };
    const told = (reason: string) => ({
      ...refused,
      lines: [{ level: "error", reason: `${reason} (position ${to})` }],
    });
    expect(await journal.drop(30)).toMatchObject(told("it does not verify"));
    await sql.query("delete from mailer.incidents");
    expect(await journal.drop(null)).toMatchObject({ dropped: 0, refused: 0 });

    const change = async (from: string, into: string) => {
      await sql.query("alter table mailer.checkpoints disable trigger user");
      await sql.query(
        "update mailer.checkpoints set checkpoint = replace(checkpoint, $1, $2) where position = $3",
        [from, into, to],
      );
      await sql.query("alter table mailer.checkpoints enable trigger user");
    };
    const key = '"key":"';
    await change(key, `${key}x`);
    const unsigned = "the checkpoint was changed after it was signed";
    expect(await journal.drop(30)).toMatchObject(told(unsigned));
    await change(`${key}x`, key);

    const heads = "alter table mailer.journal_anchors";
    await sql.query(`${heads} disable trigger user`);
    const flip = (owner: string) =>
      sql.query("update mailer.journal_anchors set number = -number where owner_id = $1", [owner]);
    await flip("mallory");
    expect(await journal.drop(30)).toMatchObject(
      told("it is not what the checkpoint says that it was"),
    );
    await flip("mallory");
    await sql.query(`${heads} enable trigger user`);
    // One that is under way stops, and goes on once the journal is sound again.
    await journal.step({ days: 30, to, limit: 1 });
    await journal.seal();
    expect(await journal.step({ days: null, to: null, limit: 1 })).toMatchObject({ dropped: 1 });
    await sql.query(incident);
    const stopped = { ...refused, lines: [{ reason: `it does not verify (position ${to})` }] };
    expect(await journal.drop(null)).toMatchObject(stopped);
    await sql.query("delete from mailer.incidents");
    expect((await journal.drop(null)).dropped).toBeGreaterThan(0);
    await expectSound(to);
  });

  test("in which an entry is missing is not deleted any further", async () => {
    await journal.write(["ada", "eve", "ada"]);
    const to = await journal.keep();
    await journal.age(50);
    const kept = "create table public.kept as select * from mailer.journal where id = $1";
    const [lost] = await sql.query("select entry_id as id from mailer.seals where position = $1", [
      to - 1,
    ]);
    await sql.query(kept.replace("$1", String(lost?.id)));
    await sql.query("alter table mailer.journal disable trigger user");
    await sql.query("delete from mailer.journal where id = $1", [lost?.id]);
    expect(String(await rejection(journal.drop(30)))).toMatch("database");
    await sql.query("insert into mailer.journal overriding system value select * from public.kept");
    await sql.query("alter table mailer.journal enable trigger user");
    await sql.query("drop table public.kept");
    await journal.drop(30);
    await expectSound(to);
  });

  test("is read on from any position of before, at the oldest entry that is kept", async () => {
    await journal.write(["ada", "bob"]);
    const { seals, newest } = await counts();
    const oldest = newest - seals + 1;
    for (const after of [0, 1, oldest - 2, oldest - 1]) {
      const entries = await sealedEntries(opened.database, { after, limit: 2 });
      expect(entries.map(({ position }) => position)).toEqual([oldest, oldest + 1]);
    }
    const query = { after: 1, limit: 5, isNewestFirst: false };
    expect((await journal.audit.read(query, adminClaims))[0]?.position).toBe(oldest);
    expect(await journal.audit.state("once", adminClaims)).toMatchObject({ chains: 1 });
  });
});
