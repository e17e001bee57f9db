import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  createShortJournal,
  type ShortJournal,
  verifyText,
} from "../testing/product/short-journal.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";

setDefaultTimeout(60_000);

const tables = [
  ...["journal", "seals", "journal_heads", "journal_anchors", "journal_start", "sealer"],
  ...["checkpoints", "incidents"],
];

/** What somebody can do who owns the tables, and so can switch the triggers off. */
const deletePrefix = (to: number) => [
  `delete from mailer.journal where id in (select entry_id from mailer.seals where position <= ${to})`,
  `delete from mailer.seals where position <= ${to}`,
];
/** As the drop itself does it: every chain goes on soundly. */
const moveAnchors = (to: number) => [
  `insert into mailer.journal_anchors select distinct on (owner_id) owner_id, position, number, hash
   from mailer.seals where position <= ${to} order by owner_id, position desc
   on conflict (owner_id) do update
     set position = excluded.position, number = excluded.number, hash = excluded.hash`,
  ...deletePrefix(to),
  `update mailer.journal_start set position = ${to}`,
];

describe.each(drivers.filter(({ driver }) => driver !== "supabase"))(
  "a prefix of the journal on $driver that somebody else deletes",
  ({ open }) => {
    let opened: OpenDatabase;
    let sql: DirectSql;
    let journal: ShortJournal;
    /** Two checkpoints: the journal was dropped up to the first of them, or not yet. */
    let [first, second] = [0, 0];

    beforeAll(async () => {
      opened = await open();
      sql = await directSql(opened.database);
      journal = createShortJournal(opened.database, sql);
      await journal.write(["once", "ada", "bob", "ada", "bob", "ada"]);
      first = await journal.keep();
      await journal.age(100);
      await journal.write(["ada", "bob", "eve", "ada"]);
      second = await journal.keep();
      await journal.write(["bob", "ada", "eve"]);
    });
    afterAll(async () => {
      await sql?.close();
      await opened?.close();
    });

    async function triggers(how: "disable" | "enable"): Promise<void> {
      for (const table of tables)
        await sql.query(`alter table mailer.${table} ${how} trigger user`);
    }

    /** How often each way of verifying finds it. Undone afterwards. */
    async function found(statements: readonly string[]) {
      for (const table of tables) {
        await sql.query(`create table public.kept_${table} as select * from mailer.${table}`);
      }
      await triggers("disable");
      for (const statement of statements) await sql.query(statement);
      await triggers("enable");
      try {
        const { ok: inDatabase } = await journal.check();
        const steady = [];
        for (const size of [1, 3, 500]) steady.push((await journal.verifySteadily(size)).broken);
        const { ok: inExport } = await verifyText(await journal.export());
        return { inDatabase: !inDatabase, steady, inExport: !inExport };
      } finally {
        await triggers("disable");
        for (const table of tables) {
          await sql.query(`delete from mailer.${table}`);
          await sql.query(
            `insert into mailer.${table} overriding system value select * from public.kept_${table}`,
          );
          await sql.query(`drop table public.kept_${table}`);
        }
        await triggers("enable");
      }
    }

    const everywhere = { inDatabase: true, steady: [1, 1, 1], inExport: true };
    const nowhere = { inDatabase: false, steady: [0, 0, 0], inExport: false };

    test("is missing where nothing was ever dropped", async () => {
      expect(await found(["select"])).toEqual(nowhere);
      // The first entry alone is the only one of its owner, whom an export without a start may lack.
      for (const to of [2, first, second]) {
        expect([to, await found(deletePrefix(to))]).toEqual([to, everywhere]);
        expect([to, await found(moveAnchors(to))]).toEqual([to, everywhere]);
        const claimed = [...moveAnchors(to), `update mailer.journal_start set drop_to = ${to}`];
        expect([to, await found(claimed)]).toEqual([to, everywhere]);
      }
    });

    test("is found behind a drop, whichever of its words are moved with it", async () => {
      expect(await journal.drop(30)).toMatchObject({ position: first, refused: 0 });
      await journal.write(["ada"]);
      expect(await found(["select"])).toEqual(nowhere);
      for (const to of [first + 1, second]) {
        expect([to, await found(deletePrefix(to))]).toEqual([to, everywhere]);
        expect([to, await found(moveAnchors(to))]).toEqual([to, everywhere]);
        const claimed = [...moveAnchors(to), `update mailer.journal_start set drop_to = ${to}`];
        expect([to, await found(claimed)]).toEqual([to, everywhere]);
      }
    });

    test.each([
      ["the position moved on", () => [`update mailer.journal_start set position = ${first + 2}`]],
      [
        "the position moved back",
        () => [`update mailer.journal_start set position = ${first - 1}`],
      ],
      [
        "the position taken back to nothing",
        () => ["update mailer.journal_start set position = 0"],
      ],
      ["the row of its position taken away", () => ["delete from mailer.journal_start"]],
      ["the end moved on", () => [`update mailer.journal_start set drop_to = ${second}`]],
      [
        "an anchor rewritten, of a chain that has ended",
        () => ["update mailer.journal_anchors set hash = sha256('x') where owner_id = 'once'"],
      ],
      [
        "an anchor rewritten, of one that goes on",
        () => ["update mailer.journal_anchors set number = number + 1 where owner_id = 'ada'"],
      ],
      [
        "an anchor taken away",
        () => ["delete from mailer.journal_anchors where owner_id = 'once'"],
      ],
      [
        "an anchor put in",
        () => [
          "insert into mailer.journal_anchors values ('mallory', 1, 1, sha256('x'))",
          "insert into mailer.journal_heads values ('mallory', 1, sha256('x'))",
        ],
      ],
      [
        "the checkpoint taken away",
        () => [`delete from mailer.checkpoints where position = ${first}`],
      ],
      [
        "the checkpoint rewritten",
        () => [
          `update mailer.checkpoints set checkpoint = replace(checkpoint, '"chains":3', '"chains":4')
         where position = ${first}`,
        ],
      ],
      [
        "the entry that announced it rewritten",
        () => [
          `update mailer.journal set detail = jsonb_set(detail, '{position}', '${second}')
         where action = 'retention.journal_dropped'`,
        ],
      ],
      [
        "an entry of before put back",
        () => [
          "insert into mailer.journal (id, owner_id, actor, action) overriding system value values (-1, 'x', 'x', 'x.y')",
          "insert into mailer.seals values (1, -1, 'x', 1, sha256('x'))",
        ],
      ],
    ])("a drop with %s is found", async (_, statements) => {
      expect(await found(statements())).toEqual(everywhere);
      expect(await found(["select"])).toEqual(nowhere);
    });

    test("the journal cut off behind the drop, all else made to agree, lacks the entry that announced it", async () => {
      const cut = [
        `delete from mailer.seals where position > ${second}`,
        "delete from mailer.journal where id not in (select entry_id from mailer.seals)",
        "delete from mailer.journal_heads",
        `insert into mailer.journal_heads select distinct on (owner_id) owner_id, number, hash from (
           select owner_id, number, hash from mailer.seals
           union all select owner_id, number, hash from mailer.journal_anchors) q
         order by owner_id, number desc`,
        `update mailer.sealer set position = ${second}`,
      ];
      expect(await found(cut)).toEqual(everywhere);
    });

    test("and an export without the lines of its start, or with another one's, does not verify", async () => {
      const text = await journal.export();
      const lines = text.split("\n");
      const isStart = (line: string) => line.includes('"type":"taskforce-mailer/journal-');
      expect(lines.filter(isStart).length).toBe(4);
      const broken = {
        ok: false,
        broken: { reason: expect.stringMatching(/missing|start|state/) },
      };
      expect(await verifyText(lines.filter((line) => !isStart(line)).join("\n"))).toMatchObject(
        broken,
      );
      for (const [n] of lines.filter(isStart).entries()) {
        expect(
          await verifyText(lines.toSpliced(n, 1).join("\n")).catch(() => broken),
        ).toMatchObject(broken);
      }
      // One owner's start wants no checkpoint: it must not open a door for everybody's entries.
      const owners = [/"owner_id":null/, '"owner_id":"ada"'] as const;
      const single = text.replace(...owners);
      expect(single).not.toBe(text);
      const others = lines.filter((line) => isStart(line) && line.includes('"bob"'));
      expect(others.length).toBe(1);
      const alone = single.replace(`${others[0]}\n`, "");
      for (const pretended of [single, alone]) {
        expect(await verifyText(pretended)).toMatchObject({
          ok: false,
          broken: { reason: "start" },
        });
      }
      const unsigned = text.replace('"chains":3', '"chains":4');
      expect(await verifyText(unsigned)).toMatchObject({ ok: false, broken: { reason: "start" } });
    });
  },
);
