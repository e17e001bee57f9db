import { inMs } from "../../src/testing/product/email-requests.ts";
import { productSettings } from "./bench-product.ts";
import { ourselves } from "./contenders.ts";
import type { Figure } from "./figure.ts";
import type { Measurement } from "./measurement.ts";
import { apiMail } from "./messages.ts";

type Us = Awaited<ReturnType<typeof ourselves>>;

const patienceMs = 300_000;
const batch = 100;

/** What an email costs the database for good: journal of changes (WAL) and room on the disk. */
export const growth: Measurement = {
  name: "growth",
  what: "WAL and disk of an email, accepted in batches, sent, and at rest.",
  async run(bench) {
    const us = await ourselves(bench.tools);
    const count = bench.count(100, 5_000);
    const large: Cost[] = [];
    const small: Cost[] = [];
    try {
      bench.say("warming up");
      await costOf(us, "warm-", { count, isSmall: false });
      for (let round = 1; round <= bench.rounds; round++) {
        bench.say(`round ${round}`);
        large.push(await costOf(us, `large${round}-`, { count, isSmall: false }));
        small.push(await costOf(us, `small${round}-`, { count, isSmall: true }));
      }
      const figures: Figure[] = [
        {
          name: "growth: WAL of an email of 10 kB",
          unit: "kB",
          values: large.map(({ walKb }) => walKb),
          target: { gate: 11, aim: 9, better: "lower" },
        },
        {
          name: "growth: disk of an email of 10 kB, vacuumed",
          unit: "kB",
          values: large.map(({ diskKb }) => diskKb),
        },
        {
          name: "growth: WAL of an email of a few words",
          unit: "kB",
          values: small.map(({ walKb }) => walKb),
        },
        {
          name: "growth: disk of an email of a few words, vacuumed",
          unit: "kB",
          values: small.map(({ diskKb }) => diskKb),
        },
      ];
      const settings = { mails: count, "mails a request": batch, ...productSettings() };
      return { figures, settings, broken: await unsent(us) };
    } finally {
      await us.close();
    }
  },
};

interface Cost {
  walKb: number;
  diskKb: number;
}

async function costOf(
  us: Us,
  prefix: string,
  { count, isSmall }: { count: number; isSmall: boolean },
): Promise<Cost> {
  // Pages that are first changed after a checkpoint go into the WAL whole, whatever changed there.
  await us.bench.sql.query("vacuum");
  await us.bench.sql.query("checkpoint");
  const before = await sizes(us);
  for (let from = 0; from < count; from += batch) {
    const emails = Array.from({ length: Math.min(batch, count - from) }, (_, index) =>
      mailOf(prefix, from + index, isSmall),
    );
    const body = { emails, mode: "strict" };
    const path = "/api/v1/schedule-mail/batch";
    const answer = await us.bench.product.api("POST", path, body, us.bench.token);
    if (answer.status !== 201) throw new Error(`batch: ${answer.status} ${answer.text}`);
  }
  await us.bench.untilAtRest(patienceMs);
  await sealed(us);
  const { wal } = await sizes(us);
  await us.bench.sql.query("vacuum");
  const { disk } = await sizes(us);
  return {
    walKb: (wal - before.wal) / count / 1_000,
    diskKb: (disk - before.disk) / count / 1_000,
  };
}

/** Due a little later, so that no email is accepted and claimed in one transaction. */
function mailOf(prefix: string, index: number, isSmall: boolean) {
  const scheduledAt = inMs(5_000);
  if (!isSmall) return apiMail(prefix, index, scheduledAt);
  return {
    recipients: [`${prefix}${index}@example.test`],
    subject: `Number ${index}`,
    body: "A few words.",
    scheduled_at: scheduledAt,
  };
}

async function sizes({ bench }: Us): Promise<{ wal: number; disk: number }> {
  const { rows } = await bench.sql.query<{ wal: string; disk: string }>(
    `select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text as wal,
       pg_database_size(current_database())::text as disk`,
  );
  return { wal: Number(rows[0]?.wal), disk: Number(rows[0]?.disk) };
}

/** The seals of an email belong to its cost. */
async function sealed({ bench }: Us): Promise<void> {
  const endsAt = performance.now() + patienceMs;
  for (;;) {
    const { rows } = await bench.sql.query<{ open: boolean }>(
      `select exists (select from mailer.journal j
         where j.id > (select sealed_to from mailer.sealer)) as open`,
    );
    if (rows[0]?.open === false) return;
    if (performance.now() > endsAt) throw new Error("the journal was not sealed");
    await Bun.sleep(50);
  }
}

async function unsent({ bench }: Us): Promise<string[]> {
  const { sent: _, ...others } = await bench.states();
  return Object.entries(others).map(([state, count]) => `${count} emails are ${state}`);
}
