import fc from "fast-check";
import type { Verdict } from "../../mail/classify.ts";
import type { ClaimedEmail } from "../../store/attempts.ts";
import { createChanges } from "../../store/changes.ts";
import type { Database } from "../../store/database.ts";
import { createPostgresDatabase } from "../../store/postgres-database.ts";
import { newEmail, recipientsOf, store, userClaims } from "../fixtures/new-email.ts";
import { directSql } from "../servers/direct-sql.ts";
import { freshDatabase } from "../servers/fresh-database.ts";
import {
  type BenchWorker,
  createBenchWorker,
  createEmailBench,
  type EmailBench,
  type EmailRow,
} from "./email-bench.ts";
import { unitMs } from "./email-model.ts";

export interface EmailRaceOptions {
  runs: number;
  seed: number;
  path?: string;
  /** After it no new run is begun, and a failure is not shortened further. Default 25 s. */
  timeLimitMs?: number;
}

/** What one client does next; each runs its own list while the others run theirs. */
type Step = WorkerStep | CallerStep;
type WorkerStep =
  | { do: "deliver"; email: number; ending: "sent" | "deferred" | "uncertain" | "release" }
  /** Claims, fences and hands the body over, then is never heard of again. */
  | { do: "die"; email: number; isFenced: boolean }
  /** Falls silent between claim and fence, for as long as its pause lasts, and goes on. */
  | { do: "freeze"; email: number; pauseMs: number }
  | { do: "take_over" };
/** An edit changes the content, if nobody has changed it meanwhile; a hold is released again. */
type CallerStep = { do: "cancel" | "edit" | "hold"; email: number };

const ending = fc.constantFrom(
  "sent" as const,
  "deferred" as const,
  "uncertain" as const,
  "release" as const,
);
const emailCount = 3;
const email = fc.nat({ max: emailCount - 1 });
const callers = fc.constantFrom("cancel" as const, "edit", "edit", "edit", "hold");
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
  { weight: 4, arbitrary: fc.record({ do: callers, email }) },
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
  /** The number of the last edit of each that was answered as done. */
  readonly edited: Map<string, number>;
  edits: number;
}

type Raced = Seen & { rows: Map<string, EmailRow> };

const ada = userClaims("ada");
const date = new Date("2026-11-24T03:00:00Z");

/**
 * Several clients, each with connections of its own, race for the same few emails: they
 * deliver, die, freeze and come back, cancel, and take over from each other, all at once. At
 * the end no token was granted twice, nothing was handed over twice but after an uncertain
 * attempt, nothing at all of what was cancelled, and nothing as it was before an edit was answered.
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
    edited: new Map(),
    edits: 0,
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
  const changes = createChanges(database);
  let worker: BenchWorker = createBenchWorker(database);

  /** Claims the email due longest, which is this one unless another client has it. */
  async function claim(index: number): Promise<ClaimedEmail[]> {
    // Whatever wait the last outcome left is over, for all the clients at once.
    await bench.shift([seen.ids[index] ?? ""], 1_000);
    const asked = { region: "local", limit: 1, aheadMs: 0, perOwner: emailCount, holds: {} };
    // Those whose workers died are suspects, and come beside it.
    const batch = await worker.attempts.claimDue({ ...asked, after: "", suspects: true });
    for (const { id, token } of batch.emails) seen.grants.get(id)?.push(token);
    return batch.emails;
  }

  /** True when the body was handed over: the fence allowed it. */
  async function handOver({ id, token, sender }: ClaimedEmail): Promise<boolean> {
    const edited = seen.edited.get(id) ?? 0;
    const { granted } = await worker.attempts.fence(id, token, date);
    if (!granted) return false;
    if (editOf(sender) < edited) throw new Error(`${id}: sent as ${sender} after edit ${edited}`);
    seen.fences.get(id)?.push(token);
    seen.taken.set(id, (seen.taken.get(id) ?? 0) + 1);
    return true;
  }

  /** Heard of no more, and what it holds is as old as the others wait for. */
  async function fallSilent(held: ClaimedEmail[]): Promise<void> {
    await bench.silence(worker.id);
    await bench.shift(
      held.map(({ id }) => id),
      2,
    );
  }

  async function edit(id: string): Promise<void> {
    const email = await bench.emails.get(id, ada);
    if (!email) throw new Error(`${id} is lost`);
    seen.edits += 1;
    const number = seen.edits;
    const content = { sender: `sender-${number}`, subject: "subject", details: "details" };
    const message = Buffer.from(`edit ${number}`);
    const { kind } = await changes.edit({
      ...{ id, as: ada, origin: null, wrappedKey: "wrapped", fields: ["subject"] },
      ...{ version: email.version, attempts: email.attemptsSpent },
      change: { content: { ...content, message, messageBytes: message.length } },
    });
    // Of two edits of one version a single one is done, so that their numbers rise.
    if (kind === "changed") seen.edited.set(id, number);
  }

  async function doCallersStep({ do: what, email: index }: CallerStep): Promise<void> {
    const id = seen.ids[index] ?? "";
    if (what === "edit") return await edit(id);
    if (what === "cancel") {
      if ((await bench.emails.cancel(id, ada, null)) === "cancelled") seen.cancelled.add(id);
      return;
    }
    await changes.hold({ id, as: ada, origin: null });
    await changes.release({ id, as: ada, origin: null });
  }

  async function doStep(next: Step): Promise<void> {
    if (isCallers(next)) return await doCallersStep(next);
    if (next.do === "take_over") {
      await worker.takeOver();
      return;
    }
    const held = await claim(next.email);
    if (held.length === 0) return;
    if (next.do === "die") {
      if (next.isFenced) for (const email of held) await handOver(email);
      await fallSilent(held);
      worker = createBenchWorker(database);
      await worker.presence.beat();
      return;
    }
    if (next.do === "freeze") {
      await fallSilent(held);
      await Bun.sleep(next.pauseMs);
      for (const email of held) {
        if (await handOver(email)) await worker.settle(email, verdictOf("sent", email));
      }
      await worker.presence.beat();
      return;
    }
    for (const email of held) await end(email, next.ending);
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

function isCallers(next: Step): next is CallerStep {
  return ["cancel", "edit", "hold"].includes(next.do);
}

/** 0: as it was accepted. */
function editOf(sender: string): number {
  return Number(/^sender-(\d+)$/.exec(sender)?.[1] ?? 0);
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
