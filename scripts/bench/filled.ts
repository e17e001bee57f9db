import { createAttempts } from "../../src/store/attempts.ts";
import type { Claims, Database } from "../../src/store/database.ts";
import { createEmails } from "../../src/store/emails.ts";
import { createFigureReader } from "../../src/store/figures.ts";
import { createMaintenance } from "../../src/store/maintenance.ts";
import { createPostgresDatabase } from "../../src/store/postgres-database.ts";
import { createPresence } from "../../src/store/presence.ts";
import { freshDatabase } from "../../src/testing/servers/fresh-database.ts";
import { runOnce } from "../../src/testing/servers/postgres-server.ts";
import type { Figure } from "./figure.ts";
import type { Measurement } from "./measurement.ts";
import { middle } from "./statistics.ts";

const admin: Claims = { role: "admin", sub: "bench" };
const owner: Claims = { role: "user", sub: "owner-1" };
const region = "local";
const repeats = 15;

/** Lists, counts, claims and periodic work are asked for again and again, whoever sends. */
interface Question {
  name: string;
  /** Not measured. */
  prepare?: () => Promise<unknown>;
  ask(): Promise<unknown>;
}

/** Emails by the million, without content: what a table costs must not grow with it. */
export const filled: Measurement = {
  name: "filled",
  what: "Lists, counts, claims and periodic work on a table of many emails without content.",
  async run(bench) {
    const sizes = bench.isQuick ? [1_000, 2_000] : [10_000, bench.isLong ? 10_000_000 : 1_000_000];
    const places: { size: number; database: Database; questions: Question[] }[] = [];
    try {
      for (const size of sizes) {
        const { url } = await freshDatabase();
        await fill(url, size, (done) => bench.say(`${size} emails: ${done} filled in`));
        const database = createPostgresDatabase({ url, poolSize: 2, deadlineMs: 60_000 });
        places.push({ size, database, questions: questionsOf(database, url) });
      }
      const names = places[0]?.questions.map(({ name }) => name) ?? [];
      const ms = new Map(names.map((name) => [name, places.map((): number[] => [])]));
      // In turns, so that what else the machine does falls on both.
      for (let round = -2; round < repeats; round++) {
        bench.say(round < 0 ? "warming up" : `round ${round + 1} of ${repeats}`);
        for (const [place, { questions }] of places.entries()) {
          for (const { name, prepare, ask } of questions) {
            await prepare?.();
            const startedAt = performance.now();
            await ask();
            if (round >= 0) ms.get(name)?.[place]?.push(performance.now() - startedAt);
          }
        }
      }
      return { figures: figuresOf(sizes, ms), settings: settingsOf(sizes), broken: [] };
    } finally {
      for (const { database } of places) await database.close();
    }
  },
};

function settingsOf(sizes: number[]) {
  const states = "nine of ten sent, one pending in days, one in 10,000 failed";
  return { sizes: sizes.join(", "), owners: 1_000, states, repeats, content: "none" };
}

function figuresOf(sizes: number[], ms: Map<string, number[][]>): Figure[] {
  const largest = sizes.at(-1)?.toLocaleString("en");
  return [...ms].flatMap(([name, [small = [], large = []]]): Figure[] => {
    const ratio = middle(large).median / middle(small).median;
    return [
      {
        name: `${name}: ${largest} emails ÷ ${sizes[0]?.toLocaleString("en")}`,
        unit: "×",
        values: [ratio],
        target: { gate: 1.3, aim: 1.1, better: "lower" },
      },
      { name: `${name}, ${largest} emails`, unit: "ms", values: large },
    ];
  });
}

/** In steps that each are a transaction, and vacuumed at the end, as a table is that grew for months. */
async function fill(url: string, size: number, say: (done: number) => void): Promise<void> {
  const step = 100_000;
  for (let from = 0; from < size; from += step) {
    const to = Math.min(from + step, size);
    await runOnce(url, insertSql(`generate_series(${from + 1}, ${to})`, mixed));
    say(to);
  }
  await runOnce(
    url,
    `insert into mailer.email_counts (owner_id, counted, day, n)
     select owner_id, state, '-infinity', count(*) from mailer.emails group by 1, 2`,
  );
  await runOnce(url, "vacuum (analyze)");
}

/** Ids rise with n, as those of version 7 do with the time; `state` and `at` are SQL of n. */
function insertSql(numbers: string, { state, at }: { state: string; at: string }): string {
  return `set session_replication_role = replica;
    insert into mailer.emails (id, owner_id, region, created_at, scheduled_at, next_attempt_at,
      age_from, on_late, on_uncertain, max_age_seconds, message_bytes, wrapped_key, sender, state,
      attempts, sent_at, dead_at, sequence)
    select (lpad(to_hex(n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid,
      'owner-' || n % 1000, '${region}', at, at, at, at, 'send', 'retry', 3600, 5, 'wrapped', 'sender',
      state, (state <> 'pending')::int, case state when 'sent' then at end,
      case state when 'failed' then at end, 2
    from (select n, ${state} as state, ${at} as at from ${numbers} n) made`;
}

/** Nine of ten were sent within the last day, the others wait for days; a few have failed. */
const mixed = {
  state: "case when n % 10000 = 0 then 'failed' when n % 10 = 0 then 'pending' else 'sent' end",
  at: `now() + case when n % 10 = 0 and n % 10000 <> 0 then interval '3 days' + n % 86400 * interval '1 s'
    else - (n % 86400) * interval '1 s' end`,
};
const due = { state: "'pending'", at: "now() - interval '1 s'" };

function questionsOf(database: Database, url: string): Question[] {
  const claimant = { workerId: Bun.randomUUIDv7(), region, transport: "smtp.example:25" };
  const emails = createEmails(database, claimant);
  const attempts = createAttempts(database, claimant);
  const maintenance = createMaintenance(database, claimant);
  const figures = createFigureReader(database);
  const none = { statuses: null, isDeferred: false, tag: null, metadata: null };
  const filter = { ...none, addressIndex: null, scheduledAfter: null, scheduledBefore: null };
  // No more than the smallest table has of an owner.
  const page = { limit: 10, offset: null, cursor: null };
  const asked = {
    limit: 250,
    aheadMs: 1_500,
    perOwner: 4_000,
    holds: {},
    after: "",
    suspects: true,
  };
  const presence = createPresence(database, {
    ...{ workerId: claimant.workerId, region, role: "all" as const },
    ...{ replyTimeoutMs: 600_000, deadAfterMs: 5_000 },
  });
  let nextId = 2 ** 40;
  const makeDue = async () => {
    const from = nextId;
    nextId += 250;
    await runOnce(url, insertSql(`generate_series(${from + 1}, ${from + 250})`, due));
  };
  return [
    { name: "queue-stats of all", ask: () => database.rpc("queue_stats", {}, admin) },
    { name: "queue-stats of an owner", ask: () => database.rpc("queue_stats", {}, owner) },
    { name: "list of all, page 1", ask: () => emails.list(filter, page, admin) },
    { name: "list of an owner, page 1", ask: () => emails.list(filter, page, owner) },
    {
      name: "list of an owner by due time",
      ask: () => emails.list(filter, { ...page, sort: "scheduled_at" }, owner),
    },
    { name: "claim, nothing due", ask: () => attempts.claimDue({ ...asked, region }) },
    {
      name: "claim of 250",
      prepare: makeDue,
      ask: () => attempts.claimDue({ ...asked, region }),
    },
    { name: "figures for metrics", ask: () => figures.read() },
    { name: "region status", ask: () => presence.regionStatus(1_000) },
    { name: "retention of content, a step", ask: () => maintenance.shredOld(30, null) },
    { name: "retention of records, a step", ask: () => maintenance.dropOld(30, null) },
  ];
}
