import { randomBytes } from "node:crypto";
import pg from "pg";
import { inMs } from "../../src/testing/product/email-requests.ts";
import { sharedPostgres } from "../../src/testing/servers/postgres-server.ts";
import { productSettings } from "./bench-product.ts";
import { naive, ourselves } from "./contenders.ts";
import type { Outcome } from "./figure.ts";
import { httpLoad, type LoadResult } from "./http-load.ts";
import { type Measurement, warmUps } from "./measurement.ts";
import { apiMail, benchMail } from "./messages.ts";
import { cpuMs } from "./process-usage.ts";
import { percentile, ratios } from "./statistics.ts";

const connections = 64;
const pool = 20;
/** Far enough that nothing is sent meanwhile. */
const later = () => inMs(3_600_000);

/** About what we store for a mail of 10 kB; random, since ciphertext does not compress. */
const rowBytes = 11_000;

/** Rows of the size of ours, as fast as PostgreSQL takes them from a pool. */
async function rawRows() {
  const url = await (await sharedPostgres()).createDatabase(
    `rows_${crypto.randomUUID().slice(0, 8)}`,
  );
  const clients = new pg.Pool({ connectionString: url, max: pool });
  await clients.query(`create table rows (id uuid primary key default gen_random_uuid(),
    owner_id text not null, due_at timestamptz not null, message bytea not null)`);
  const message = randomBytes(rowBytes);
  const row = "insert into rows (owner_id, due_at, message) values ('bench', now(), $1)";
  const rows = `insert into rows (owner_id, due_at, message)
    select 'bench', now(), m from unnest($1::bytea[]) m`;
  return {
    /** Rows a second, one a statement and transaction. */
    async singles(count: number): Promise<number> {
      let next = 0;
      const startedAt = performance.now();
      const insert = async () => {
        while (next++ < count) await clients.query(row, [message]);
      };
      await Promise.all(Array.from({ length: connections }, insert));
      return (count * 1_000) / (performance.now() - startedAt);
    },
    /** Rows a second, 1,000 a statement. */
    async thousands(count: number): Promise<number> {
      const messages = Array.from({ length: 1_000 }, () => message);
      const startedAt = performance.now();
      for (let done = 0; done < count; done += 1_000) await clients.query(rows, [messages]);
      return (Math.ceil(count / 1_000) * 1_000_000) / (performance.now() - startedAt);
    },
    close: () => clients.end(),
  };
}

/** One POST a mail, at 64 connections. */
export const accept: Measurement = {
  name: "accept",
  what: "One POST for each mail of 10 kB at 64 connections, beside single inserts of the same size.",
  async run(bench) {
    const [us, tutorial, raw] = [
      await ourselves(bench.tools),
      await naive(bench.tools),
      await rawRows(),
    ];
    const count = bench.count(200, 5_000);
    const ours: LoadResult[] = [];
    const theirs: LoadResult[] = [];
    const singles: number[] = [];
    const cpuUs: number[] = [];
    try {
      for (let round = 1 - warmUps; round <= bench.rounds; round++) {
        bench.say(round < 1 ? "warming up" : `round ${round}`);
        const rowsPerSecond = await raw.singles(count);
        const { url, pid } = us.bench.product;
        const before = cpuMs(pid);
        const result = await httpLoad(`${url}/api/v1/schedule-mail`, {
          bodies: bodies(count, (index) => apiMail(`a${round}-`, index, later())),
          connections,
          token: us.bench.token,
        });
        const cpu = ((cpuMs(pid) - before) * 1_000) / count;
        const perRequest = await httpLoad(`${tutorial.url}/insert`, {
          bodies: bodies(count, (index) => benchMail(`a${round}-`, index)),
          connections,
        });
        if (round < 1) continue;
        ours.push(result);
        theirs.push(perRequest);
        singles.push(rowsPerSecond);
        cpuUs.push(cpu);
      }
      const expected = count * (bench.rounds + warmUps);
      const { pending = 0 } = await us.bench.states();
      const broken = pending === expected ? [] : [`${pending} of ${expected} accepted are stored`];
      return {
        ...acceptOutcome({ ours, theirs, singles, cpuUs }),
        settings: settings(count),
        broken,
      };
    } finally {
      await us.close();
      await tutorial.close();
      await raw.close();
    }
  },
};

function bodies(count: number, mail: (index: number) => unknown): string[] {
  return Array.from({ length: count }, (_, index) => JSON.stringify(mail(index)));
}

function settings(count: number): Outcome["settings"] {
  return {
    mails: count,
    connections,
    "insert pool": pool,
    "row bytes": rowBytes,
    ...productSettings(),
  };
}

function acceptOutcome(runs: {
  ours: LoadResult[];
  theirs: LoadResult[];
  singles: number[];
  cpuUs: number[];
}): Pick<Outcome, "figures"> {
  const { ours, theirs, singles, cpuUs } = runs;
  const rate = (list: LoadResult[]) => list.map(({ perSecond }) => perSecond);
  const p99 = (list: LoadResult[]) => list.map(({ latenciesMs }) => percentile(latenciesMs, 0.99));
  return {
    figures: [
      {
        name: "single POST: accepted/s ÷ raw single inserts",
        unit: "×",
        values: ratios(rate(ours), singles),
        target: { gate: 0.5, aim: 1, better: "higher" },
      },
      {
        name: "single POST: p99 ÷ that of insert-per-request",
        unit: "×",
        values: ratios(p99(ours), p99(theirs)),
        target: { gate: 0.8, aim: 0.4, better: "lower" },
      },
      {
        name: "single POST: CPU per mail in our process",
        unit: "ms",
        values: cpuUs.map((us) => us / 1_000),
        target: { gate: 1.6, aim: 0.8, better: "lower" },
      },
      { name: "accepted", unit: "/s", values: rate(ours) },
      { name: "accepted, p99", unit: "ms", values: p99(ours) },
      { name: "raw single inserts", unit: "/s", values: singles },
      { name: "insert-per-request (Express, pg)", unit: "/s", values: rate(theirs) },
      { name: "insert-per-request, p99", unit: "ms", values: p99(theirs) },
    ],
  };
}

/** The batch endpoint, 500 mails a request. */
export const batch: Measurement = {
  name: "batch",
  what: "The batch endpoint, 500 mails of 10 kB a request, beside 1,000-row inserts.",
  async run(bench) {
    const us = await ourselves(bench.tools);
    const raw = await rawRows();
    const size = 500;
    const requests = bench.count(1, 10);
    const inFlight = 4;
    const ours: number[] = [];
    const rows: number[] = [];
    const cpuUs: number[] = [];
    try {
      for (let round = 1 - warmUps; round <= bench.rounds; round++) {
        bench.say(round < 1 ? "warming up" : `round ${round}`);
        const rowsPerSecond = await raw.thousands(requests * size);
        const { url, pid } = us.bench.product;
        const before = cpuMs(pid);
        const { perSecond } = await httpLoad(`${url}/api/v1/schedule-mail/batch`, {
          bodies: bodies(requests, (request) => ({
            mode: "strict",
            emails: Array.from({ length: size }, (_, index) =>
              apiMail(`b${round}-${request}-`, index, later()),
            ),
          })),
          connections: inFlight,
          token: us.bench.token,
        });
        if (round < 1) continue;
        cpuUs.push(((cpuMs(pid) - before) * 1_000) / (requests * size));
        ours.push(perSecond * size);
        rows.push(rowsPerSecond);
      }
      const expected = size * requests * (bench.rounds + warmUps);
      const { pending = 0 } = await us.bench.states();
      return {
        figures: [
          {
            name: "batch: emails/s ÷ raw 1,000-row inserts",
            unit: "×",
            values: ratios(ours, rows),
            target: { gate: 0.2, aim: 0.5, better: "higher" },
          },
          { name: "batch", unit: "/s", values: ours },
          { name: "batch: CPU per mail in our process", unit: "µs", values: cpuUs },
          { name: "raw 1,000-row inserts", unit: "/s", values: rows },
        ],
        settings: {
          requests,
          "mails a request": size,
          "in flight": inFlight,
          ...productSettings(),
        },
        broken: pending === expected ? [] : [`${pending} of ${expected} accepted are stored`],
      };
    } finally {
      await us.close();
      await raw.close();
    }
  },
};
