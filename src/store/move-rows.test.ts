import { expect, test } from "bun:test";
import { createShortJournal } from "../testing/product/short-journal.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import { LEFT_TABLES, MOVED_TABLES, moveRows } from "./move-rows.ts";
import { createPostgresDatabase } from "./postgres-database.ts";
import { openPostgresSession } from "./postgres-session.ts";

test("each table of the schema is moved or left, on purpose", async () => {
  const { url } = await freshDatabase();
  const rows = await runOnce(
    url,
    `select c.relname::text as name from pg_class c
     where c.relnamespace = 'mailer'::regnamespace and c.relkind in ('r', 'p') order by 1`,
  );
  expect<string[]>([...MOVED_TABLES, ...LEFT_TABLES].sort()).toEqual(
    rows.map(({ name }) => String(name)),
  );
});

test("a journal whose oldest entries were dropped goes along with its anchors, and goes on", async () => {
  const [from, to] = [await freshDatabase(), await freshDatabase()];
  const database = createPostgresDatabase({ url: from.url });
  const sql = await directSql(database);
  const journal = createShortJournal(database, sql);
  await journal.write(["once", "ada", "bob", "ada"]);
  const position = await journal.keep();
  await journal.age(100);
  await journal.write(["ada"]);
  expect(await journal.drop(30)).toMatchObject({ position });
  const exported = await journal.export();
  await sql.close();
  await database.close();

  const [source, target] = [await openPostgresSession(from.url), await openPostgresSession(to.url)];
  const move = { moveId: "a move", region: "local", onProgress: () => {} };
  const moved = await moveRows(source, target, move);
  await source.close();
  await target.close();
  expect(moved?.tables).toMatchObject({ journal: 2, journal_anchors: 3, journal_start: 1 });

  const there = createPostgresDatabase({ url: to.url });
  const sqlThere = await directSql(there);
  const journalThere = createShortJournal(there, sqlThere);
  expect(await journalThere.export()).toBe(exported);
  expect(await journalThere.check()).toMatchObject({ ok: true, start: { position: position + 1 } });
  await journalThere.write(["ada", "bob"]);
  const next = await journalThere.keep();
  await journalThere.age(100);
  expect(await journalThere.drop(30)).toMatchObject({ position: next });
  expect(await journalThere.check()).toMatchObject({ ok: true, checked: 1 });
  await sqlThere.close();
  await there.close();
}, 60_000);
