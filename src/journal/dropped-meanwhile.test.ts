import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Audit } from "../store/audit.ts";
import type { Database } from "../store/database.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { adminClaims, userClaims } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import {
  createShortJournal,
  type ShortJournal,
  verifyText,
} from "../testing/product/short-journal.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { checkJournal } from "./check-journal.ts";
import { exportJournal } from "./export-journal.ts";
import { readStart } from "./journal-start.ts";

setDefaultTimeout(60_000);

let database: Database;
let sql: DirectSql;
let journal: ShortJournal;
beforeAll(async () => {
  database = createPostgresDatabase({ url: (await freshDatabase()).url });
  sql = await directSql(database);
  journal = createShortJournal(database, sql);
});
afterAll(async () => {
  await sql?.close();
  await database?.close();
});

/** More than a page of a reader, of which the first checkpoint covers all but a few. */
async function grown(): Promise<number> {
  await journal.write(Array.from({ length: 1_300 }, (_, n) => (n % 3 === 0 ? "bob" : "ada")));
  const to = await journal.keep();
  await journal.age(100);
  await journal.write(["ada", "bob"]);
  return to;
}

/** A drop goes by between the first page of entries and the second. */
function overtaken(how: () => Promise<unknown>): Audit {
  let pages = 0;
  return {
    ...journal.audit,
    async read(query, as) {
      pages += 1;
      if (pages === 2) await how();
      return await journal.audit.read(query, as);
    },
  };
}

test("a verification that a drop overtakes begins anew behind it", async () => {
  for (const ownerId of [null, "ada"]) {
    const to = await grown();
    const audit = overtaken(() => journal.drop(30));
    const verdict = await checkJournal(audit, { ownerId, as: adminClaims });
    expect(verdict).toMatchObject({ ok: true, start: { position: to + 1 } });
  }
});

test("an export that a drop overtakes breaks off, and the next one verifies", async () => {
  for (const as of [adminClaims, userClaims("ada")]) {
    await grown();
    const broken = Array.fromAsync(
      exportJournal(
        overtaken(() => journal.drop(30)),
        {},
        as,
      ),
    );
    expect(String(await rejection(broken))).toMatch("dropped while they were being exported");
    expect(await verifyText(await journal.export(null, as))).toMatchObject({ ok: true });
  }
});

test("a step reads the entries that it deletes, however many there are", async () => {
  await grown();
  await grown();
  const limit = 100;
  const { candidate } = await journal.step({ days: 30, to: null, limit });
  await journal.step({ days: 30, to: candidate?.position ?? null, limit });
  await journal.seal();
  /** Rows of journal and seals that were read so far, of the whole table and by an index. */
  const read = async () => {
    await sql.query("select pg_stat_force_next_flush()");
    const [row] = await sql.query(
      `select sum(seq_tup_read)::integer as whole, sum(idx_tup_fetch)::integer as indexed
       from pg_stat_user_tables where schemaname = 'mailer' and relname in ('journal', 'seals')`,
    );
    return { whole: Number(row?.whole), indexed: Number(row?.indexed) };
  };
  await sql.query("select mailer.drop_journal($1)", [JSON.stringify({ limit })]);
  const before = await read();
  const [step] = await sql.query("select mailer.drop_journal($1)::jsonb ->> 'dropped' as dropped", [
    JSON.stringify({ limit }),
  ]);
  expect(step).toEqual({ dropped: String(limit) });
  const after = await read();
  expect(after.whole - before.whole).toBe(0);
  // The seal, the entry, and the seal again, which row-level security asks for.
  expect(after.indexed - before.indexed).toBeLessThanOrEqual(4 * limit);
  await journal.drop(30);
});

test("a verification of entries that somebody deletes meanwhile ends with what it found", async () => {
  await grown();
  const tampered = overtaken(async () => {
    await sql.query("alter table mailer.seals disable trigger user");
    await sql.query(
      `delete from mailer.seals where position <
         (select position from mailer.seals order by position desc offset 99 limit 1)`,
    );
    await sql.query("alter table mailer.seals enable trigger user");
  });
  const verdict = await checkJournal(tampered, { ownerId: null, as: adminClaims });
  expect(verdict).toMatchObject({ ok: false, broken: { reason: "missing" } });
});

test("pages of anchors are of one moment", async () => {
  let asked = 0;
  const anchor = { position: 1, number: 1, hash: "ab".repeat(32) };
  const full = Array.from({ length: 5_000 }, (_, n) => ({ ownerId: `o${n}`, ...anchor }));
  const audit: Pick<Audit, "start"> = {
    start: async () => {
      asked += 1;
      // The second page is of a later moment; then all are.
      if (asked === 1) return { position: 5, checkpoint: null, anchors: full };
      return asked === 3
        ? { position: 7, checkpoint: null, anchors: full }
        : { position: 7, checkpoint: null, anchors: [{ ownerId: "p", ...anchor }] };
    },
  };
  const start = await readStart(audit, null, adminClaims);
  expect(start).toMatchObject({ position: 7, checkpoint: null });
  expect([asked, start?.anchors.size]).toEqual([4, 5_001]);
});
