import pg from "pg";
import { inMs } from "../../src/testing/product/email-requests.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import { defineFault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import type { World } from "./world.ts";

/** How long a straggler keeps its entry from the sealer, which waits for nobody longer than 300 ms. */
const lateMs = 5_000;
/** From its commit to its seal. */
const sealedWithinMs = 60_000;
/** Sealed entries before the first straggler: to read them even once would show in the statistics. */
const fillers = { small: 20_000, full: 100_000 };
const rounds = { small: 1, full: 8 };
/** Stragglers of one round, each beginning half a second after the one before. */
const together = 3;

/** An entry whose transaction is open. */
interface Straggler {
  entryId: string;
  commit(): Promise<void>;
}

/** A hold as the product writes it, which email_counts counts, in a transaction that stays open. */
async function beginStraggler(world: World, emailId: string): Promise<Straggler> {
  const client = new pg.Client({ connectionString: world.directUrl });
  await client.connect();
  await client.query("begin");
  await client.query("select mailer_api.call_as($1, 'hold_email', $2)", [
    JSON.stringify({ role: "user", sub: "ada" }),
    JSON.stringify({ id: emailId, origin: null }),
  ]);
  const { rows } = await client.query<{ id: string }>(
    "select max(id) as id from mailer.journal where email_id = $1 and action = 'email.held'",
    [emailId],
  );
  return {
    entryId: rows[0]?.id ?? "",
    async commit() {
      await client.query("commit");
      await client.end();
    },
  };
}

/** Passed over is an entry whose id the sealer remembers as a gap. */
async function isPassed(world: World, { entryId }: Straggler): Promise<boolean> {
  const [row] = await world.sql<{ passed: boolean }>(
    `select exists (select from mailer.journal_gaps where $1 between from_id and to_id) as passed`,
    [entryId],
  );
  return row?.passed ?? false;
}

async function isSealed(world: World, { entryId }: Straggler): Promise<boolean> {
  const [row] = await world.sql<{ sealed: boolean }>(
    "select exists (select from mailer.seals where entry_id = $1) as sealed",
    [entryId],
  );
  return row?.sealed ?? false;
}

/** Rows of the journal that were read so far, by whomever; told up to a second late. */
async function journalReads(world: World): Promise<number> {
  await Bun.sleep(1_500);
  const [row] = await world.sql<{ reads: number }>(
    `select (seq_tup_read + idx_tup_fetch)::int as reads from pg_stat_user_tables
     where schemaname = 'mailer' and relname = 'journal'`,
  );
  return row?.reads ?? 0;
}

async function fillJournal(world: World): Promise<void> {
  await world.sql(
    `insert into mailer.journal (owner_id, actor, action)
     select 'filler', 'filler', 'test.filler' from generate_series(1, $1::int)`,
    [fillers[world.scale]],
  );
  await until(
    "the journal is sealed",
    async () => {
      const [row] = await world.sql<{ count: number }>(
        "select unsealed::int as count from mailer.count_unsealed(1)",
      );
      return row?.count === 0;
    },
    120_000,
  );
  // Else autovacuum does it during a round, and reads every row once for the summaries by time.
  await world.sql("vacuum analyze mailer.journal");
}

async function straggle(world: World, emailId: string): Promise<void> {
  const straggler = await beginStraggler(world, emailId);
  world.count();
  await Bun.sleep(lateMs);
  if (!(await isPassed(world, straggler))) world.miss("a straggler the sealer had not passed");
  await straggler.commit();
  await until("it is sealed", () => isSealed(world, straggler), sealedWithinMs).catch(() =>
    world.miss(`an entry not sealed ${sealedWithinMs / 1_000} s after its commit`),
  );
}

export const straggler = defineFault({
  name: "straggler",
  what: "Transactions that hold an email, three at a time, commit 5 s after the sealer has passed their entries, behind 100,000 sealed ones, while mail flows. Each entry is sealed within a minute, and nobody reads the journal for it.",
  mails: { small: 200, full: 5_000 },
  limits: { latenessP99Ms: 5_000, acceptP99Ms: 5_000 },
  async run(world) {
    await world.start();
    await world.start({ role: "worker" });
    await fillJournal(world);
    const count = rounds[world.scale];
    const far = inMs(3_600_000);
    const ids = await world.load.burst(count * together, () => ({ scheduled_at: far }));
    const seconds = count * 10;
    const load = world.load.steady({
      count: world.mails - ids.length,
      perSecond: world.mails / seconds,
      fields: nowAndSoon,
    });
    for (let round = 0; round < count; round++) {
      const before = await journalReads(world);
      const those = ids.slice(round * together, (round + 1) * together);
      await Promise.all(
        those.map((id, index) => Bun.sleep(index * 500).then(() => straggle(world, id))),
      );
      const reads = (await journalReads(world)) - before;
      world.say(`${reads} rows of the journal read`);
      if (reads >= fillers[world.scale]) {
        world.miss(`${reads} rows of the journal read while stragglers were sealed`);
      }
    }
    await load;
  },
});
