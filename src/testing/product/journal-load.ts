import { createSealer } from "../../journal/seal.ts";
import { createLogger } from "../../log.ts";
import { type Attempts, createAttempts } from "../../store/attempts.ts";
import type { Claims, Database } from "../../store/database.ts";
import { createEmails, type Emails } from "../../store/emails.ts";
import { createJournal, type Journal, type JournalEntry } from "../../store/journal.ts";
import { createPostgresDatabase } from "../../store/postgres-database.ts";
import { claimedOne } from "../fixtures/claim-one.ts";
import { adminClaims, newEmail, store, userClaims } from "../fixtures/new-email.ts";
import { sealedEntries } from "../fixtures/sealed-entries.ts";
import { until } from "../servers/child-server.ts";
import { type DirectSql, directSql } from "../servers/direct-sql.ts";

export interface JournalLoadOptions {
  url: string;
  /** Emails that live their life through the real functions; a third is cancelled. */
  emails: number;
  /** How many of them at a time. */
  writers: number;
  /** Connections that keep the journal's lock for a while, and how often each does. */
  dawdlers: number;
  dawdles: number;
  dawdleMsMax: number;
}

export interface JournalLoadResult {
  database: Database;
  /** What each email must have left behind, in order. */
  acked: Map<string, string[]>;
  /** Actions of entries by hand that were committed. */
  dawdled: Set<string>;
  /** What a reader of everything saw, as it came, and one who follows ada's alone. */
  seen: JournalEntry[];
  seenOfAda: JournalEntry[];
  /** Samples of how far behind the sealers were. */
  lagsMs: number[];
  close(): Promise<void>;
}

/** Writers, slow and aborted transactions, two processes' sealers and two readers, all at once. */
export async function runJournalLoad(options: JournalLoadOptions): Promise<JournalLoadResult> {
  const here = createPostgresDatabase({ url: options.url });
  const there = createPostgresDatabase({ url: options.url });
  const journal = createJournal(here);
  const log = createLogger({ level: "silent" });
  const sealers = [here, there].map((one) => createSealer({ store: createJournal(one), log }));
  const reading = new AbortController();
  const follow = async (as: Claims, into: JournalEntry[], limit: number) => {
    while (!reading.signal.aborted) {
      const page = await sealedEntries(there, { after: into.at(-1)?.position ?? 0, limit }, as);
      into.push(...page);
      if (page.length < limit) await Bun.sleep(20);
    }
  };
  const seen: JournalEntry[] = [];
  const seenOfAda: JournalEntry[] = [];
  const readers = [follow(adminClaims, seen, 50), follow(userClaims("ada"), seenOfAda, 3)];
  for (const sealer of sealers) sealer.start();

  const writers = { database: here, emails: createEmails(here), attempts: attemptsOf(here) };
  const nudge = () => sealers[0]?.nudge();
  const sampling = sampleLag(createJournal(there), reading.signal);
  const [acked, dawdled] = await Promise.all([
    liveEmails(writers, options, nudge),
    dawdleAll(here, options),
  ]);
  await until("all is sealed", async () => (await journal.lag()).unsealed === 0);
  const last = (await sealedEntries(here, { limit: 1_000_000 })).length;
  await until("the readers are there", () => seen.length >= last);
  await until("ada's too", () => seenOfAda.length >= ofAda(seen).length);
  reading.abort();
  await Promise.all(readers);
  await Promise.all(sealers.map((sealer) => sealer.stop(5_000)));
  const lagsMs = await sampling;
  const close = async () => void (await Promise.all([here.close(), there.close()]));
  return { database: here, acked, dawdled, seen, seenOfAda, lagsMs, close };
}

export function ofAda(entries: JournalEntry[]): JournalEntry[] {
  return entries.filter(({ ownerId }) => ownerId === "ada");
}

export function attemptsOf(database: Parameters<typeof createAttempts>[0]): Attempts {
  const workerId = Bun.randomUUIDv7();
  return createAttempts(database, {
    workerId,
    region: "local",
    transport: "capture",
  });
}

/** One email from accept to sent, or to its cancel. */
export async function liveOneEmail(
  { database, emails, attempts }: { database: Database; emails: Emails; attempts: Attempts },
  ownerId: string,
  isCancelled: boolean,
): Promise<{ id: string; actions: string[]; fenceMs: number }> {
  const draft = newEmail();
  await store(emails, [draft], { ownerId, actor: ownerId });
  if (isCancelled) {
    await emails.cancel(draft.id, userClaims(ownerId), null);
    return { id: draft.id, actions: ["email.scheduled", "email.cancelled"], fenceMs: 0 };
  }
  const { id, token } = await claimedOne(database, attempts, draft.id);
  const startedAt = performance.now();
  await attempts.fence(id, token, new Date());
  const fenceMs = performance.now() - startedAt;
  const reply = { smtpCode: 250, enhancedCode: null, reply: null };
  await attempts.settle({
    id,
    token,
    transport: "capture",
    outcome: "sent",
    nextState: "sent",
    retryInMs: null,
    ...reply,
    recipients: [{ position: 0, status: "sent", ...reply }],
  });
  return { id, actions: ["email.scheduled", "email.sending", "email.sent"], fenceMs };
}

async function liveEmails(
  parts: { database: Database; emails: Emails; attempts: Attempts },
  { emails, writers }: JournalLoadOptions,
  nudge: () => void,
): Promise<Map<string, string[]>> {
  const acked = new Map<string, string[]>();
  const owners = ["ada", "bob", "cyd", "dan", "eve"];
  let next = 0;
  const write = async () => {
    for (let number = next; number < emails; number = next) {
      next += 1;
      const owner = owners[number % owners.length] ?? "ada";
      const { id, actions } = await liveOneEmail(parts, owner, number % 3 === 0);
      acked.set(id, actions);
      nudge();
    }
  };
  await Promise.all(Array.from({ length: writers }, write));
  return acked;
}

async function dawdleAll(
  database: Parameters<typeof directSql>[0],
  { dawdlers, dawdles, dawdleMsMax }: JournalLoadOptions,
): Promise<Set<string>> {
  const committed = new Set<string>();
  const dawdle = async (_: unknown, who: number) => {
    const sql = await directSql(database);
    for (let count = 0; count < dawdles; count += 1) {
      const action = `test.${who}.${count}`;
      const isAborted = count % 3 === 1;
      await writeSlowly(sql, action, Math.random() * dawdleMsMax, isAborted);
      if (!isAborted) committed.add(action);
    }
    await sql.close();
  };
  await Promise.all(Array.from({ length: dawdlers }, dawdle));
  return committed;
}

/** As the functions do it: the lock, then the insert; only the commit takes its time. */
async function writeSlowly(
  sql: DirectSql,
  action: string,
  ms: number,
  isAborted: boolean,
): Promise<void> {
  await sql.query("begin");
  await sql.query("select mailer.lock_journal()");
  await sql.query(
    "insert into mailer.journal (owner_id, actor, action) values ('slow', 'slow', $1)",
    [action],
  );
  await sql.query("select pg_sleep($1)", [ms / 1_000]);
  await sql.query(isAborted ? "rollback" : "commit");
}

async function sampleLag(journal: Journal, signal: AbortSignal): Promise<number[]> {
  const samples: number[] = [];
  while (!signal.aborted) {
    samples.push((await journal.lag()).oldestMs);
    await Bun.sleep(20);
  }
  return samples;
}
