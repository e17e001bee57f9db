import fc from "fast-check";
import type { Verdict } from "../mail/classify.ts";
import type { ClaimedEmail } from "../store/attempts.ts";
import type { Database } from "../store/database.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { directSql } from "./direct-sql.ts";
import {
  type BenchWorker,
  createBenchWorker,
  createEmailBench,
  type EmailBench,
  type EmailRow,
} from "./email-bench.ts";
import { unitMs } from "./email-model.ts";
import { freshDatabase } from "./fresh-database.ts";
import { newEmail, recipientsOf, store, userClaims } from "./new-email.ts";

export interface EmailRaceOptions {
  runs: number;
  seed: number;
  path?: string;
  /** After it no new run is begun, and a failure is not shortened further. Default 25 s. */
  timeLimitMs?: number;
}

/** What one client does next; each runs its own list while the others run theirs. */
type Step =
  | { do: "deliver"; email: number; ending: "sent" | "deferred" | "uncertain" | "release" }
  /** Claims, fences and hands the body over, then is never heard of again. */
  | { do: "die"; email: number; isFenced: boolean }
  /** Falls silent between claim and fence, for as long as its pause lasts, and goes on. */
  | { do: "freeze"; email: number; pauseMs: number }
  | { do: "cancel"; email: number }
  | { do: "take_over" };

const ending = fc.constantFrom(
  "sent" as const,
  "deferred" as const,
  "uncertain" as const,
  "release" as const,
);
const emailCount = 3;
const email = fc.nat({ max: emailCount - 1 });
const deliver = fc.record({ do: fc.constant("deliver" as const), email, ending });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: deliver },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("die" as const), email, isFenced: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("freeze" as const),
      email,
      pauseMs: fc.integer({ min: 1, max: 30 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cancel" as const), email }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("take_over" as const) }) },
);

/** What the clients of one run saw; the next hop's part is played by `taken`. */
interface Seen {
  readonly ids: string[];
  readonly grants: Map<string, number[]>;
  readonly fences: Map<string, number[]>;
  /** One for each body handed over. */
  readonly taken: Map<string, number>;
  readonly cancelled: Set<string>;
}

type Raced = Seen & { rows: Map<string, EmailRow> };

const ada = userClaims("ada");
const date = new Date("2026-11-24T03:00:00Z");

/**
 * Several clients, each with connections of its own, race for the same few emails: they
 * deliver, die, freeze and come back, cancel, and take over from each other, all at once. At
 * the end no token was granted twice, nothing was handed over twice but after an uncertain
 * attempt, and nothing at all of what was cancelled.
 */
export async function runEmailRace(options: EmailRaceOptions): Promise<{ bodies: number }> {
  const { url } = await freshDatabase();
  const places = await Promise.all([1, 2, 3, 4].map(() => openPlace(url)));
  let bodies = 0;
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 2, maxLength: 12 }), { minLength: 2, maxLength: 4 }),
        async (lists) => {
          const seen = await race(places, lists);
          bodies += [...seen.taken.values()].reduce((total, count) => total + count, 0);
          judge(seen);
        },
      ),
      {
        numRuns: options.runs,
        // A failure is reported with the shortest commands found by then.
        interruptAfterTimeLimit: options.timeLimitMs ?? 25_000,
        seed: options.seed,
        ...(options.path === undefined ? {} : { path: options.path }),
      },
    );
  } finally {
    for (const place of places) await place.close();
  }
  return { bodies };
}

/** Where one client works from: connections of its own. */
interface Place {
  database: Database;
  bench: EmailBench;
  close(): Promise<void>;
}

async function openPlace(url: string): Promise<Place> {
  const database = createPostgresDatabase({ url, deadlineMs: 20_000 });
  const sql = await directSql(database);
  return {
    database,
    bench: createEmailBench(database, sql),
    async close() {
      await sql.close();
      await database.close();
    },
  };
}

async function race(places: Place[], lists: Step[][]): Promise<Raced> {
  const [first] = places;
  if (!first) throw new Error("a race needs a place");
  const drafts = Array.from({ length: emailCount }, (_, index) =>
    newEmail({ recipients: recipientsOf(index + 1), maxRetries: 20, maxAgeSeconds: 1e9 }),
  );
  await store(first.bench.emails, drafts);
  const ids = drafts.map(({ id }) => id);
  const seen: Seen = {
    ids,
    grants: new Map(ids.map((id) => [id, []])),
    fences: new Map(ids.map((id) => [id, []])),
    taken: new Map(),
    cancelled: new Set(),
  };
  await Promise.all(
    lists.map((steps, index) =>
      createClient(places[index % places.length] ?? first, seen).run(steps),
    ),
  );
  // What dead and frozen ones still hold is found by whoever comes next.
  await createClient(first, seen).run([{ do: "take_over" }]);
  const rows = await first.bench.rows(ids);
  await first.bench.forget(ids, []);
  return { ...seen, rows };
}

function createClient({ database, bench }: Place, seen: Seen) {
  let worker: BenchWorker = createBenchWorker(database);

  async function claim(index: number): Promise<ClaimedEmail | null> {
    const id = seen.ids[index] ?? "";
    // Whatever wait the last outcome left is over, for all the clients at once.
    await bench.shift([id], 1_000);
    const wake = (await bench.rows([id])).get(id)?.wake ?? 0;
    // Those whose workers died are suspects, and would wait for a turn of their own otherwise.
    const answer = await worker.attempts.claim(id, wake, { isIsolated: true });
    if (answer.kind !== "claimed") return null;
    seen.grants.get(id)?.push(answer.email.token);
    return answer.email;
  }

  /** True when the body was handed over: the fence allowed it. */
  async function handOver({ id, token }: ClaimedEmail): Promise<boolean> {
    const { granted } = await worker.attempts.fence(id, token, date);
    if (!granted) return false;
    seen.fences.get(id)?.push(token);
    seen.taken.set(id, (seen.taken.get(id) ?? 0) + 1);
    return true;
  }

  /** Heard of no more, and what it holds is as old as the others wait for. */
  async function fallSilent(held: ClaimedEmail): Promise<void> {
    await bench.silence(worker.id);
    await bench.shift([held.id], 2);
  }

  async function doStep(next: Step): Promise<void> {
    if (next.do === "take_over") {
      await worker.takeOver();
      return;
    }
    if (next.do === "cancel") {
      const id = seen.ids[next.email] ?? "";
      const kind = await bench.emails.cancel(id, ada, null);
      if (kind === "cancelled") seen.cancelled.add(id);
      return;
    }
    const held = await claim(next.email);
    if (!held) return;
    if (next.do === "die") {
      if (next.isFenced) await handOver(held);
      await fallSilent(held);
      worker = createBenchWorker(database);
      await worker.presence.beat();
      return;
    }
    if (next.do === "freeze") {
      await fallSilent(held);
      await Bun.sleep(next.pauseMs);
      if (await handOver(held)) await worker.settle(held, verdictOf("sent", held));
      await worker.presence.beat();
      return;
    }
    await end(held, next.ending);
  }

  async function end(held: ClaimedEmail, wanted: "sent" | "deferred" | "uncertain" | "release") {
    if (wanted === "release") {
      await worker.settle(held, verdictOf("release", held));
      return;
    }
    if (!(await handOver(held))) return;
    // A 4xx to the dot: the next hop has thrown the body away, and says so.
    if (wanted === "deferred") seen.taken.set(held.id, (seen.taken.get(held.id) ?? 1) - 1);
    await worker.settle(held, verdictOf(wanted, held));
  }

  return {
    async run(steps: Step[]): Promise<void> {
      await worker.presence.beat();
      for (const next of steps) await doStep(next);
    },
  };
}

function verdictOf(
  ending: "sent" | "deferred" | "uncertain" | "release",
  { recipients }: ClaimedEmail,
): Verdict {
  if (ending === "uncertain") {
    return { kind: "uncertain", recipients: [], reply: null, error: "lost" };
  }
  if (ending === "release") {
    const rest = { fault: null, reply: null, error: null };
    return { kind: "release", reason: "aborted", delayMs: unitMs, ...rest };
  }
  const all = recipients.map(({ position }) => ({ position, status: ending, reply: null }));
  const rest = { isCounted: true, reply: null, error: null };
  return { kind: "settle", outcome: ending, recipients: all, ...rest };
}

function judge({ rows, ...seen }: Raced): void {
  for (const id of seen.ids) {
    const row = rows.get(id);
    if (!row) throw new Error(`${id} is lost`);
    const say = (words: string) => new Error(`${words}: ${JSON.stringify(row)}`);
    const grants = seen.grants.get(id) ?? [];
    if (new Set(grants).size < grants.length) throw say(`a token twice in ${grants}`);
    const fences = seen.fences.get(id) ?? [];
    if (new Set(fences).size < fences.length) throw say(`a fence twice in ${fences}`);
    const uncertain = row.outcomes.filter((outcome) => outcome === "uncertain").length;
    const open = row.state === "sending" && row.is_fenced ? 1 : 0;
    const taken = seen.taken.get(id) ?? 0;
    const announced = uncertain + open + (row.state === "sent" ? 1 : 0);
    if (taken > announced) throw say(`taken ${taken} times, ${announced} known of`);
    if (seen.cancelled.has(id) && taken > 0) throw say("cancelled and taken");
    if (seen.cancelled.has(id) && row.state !== "cancelled") throw say("cancelled and not");
    if (row.sequences.some((sequence, index) => sequence !== index + 1)) throw say("a gap");
    if (row.sequences.length !== row.sequence) throw say("entries and sequence differ");
    if (row.outcomes.length !== row.attempts) throw say("attempts and their rows differ");
  }
}
