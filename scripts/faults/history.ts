import { existsSync, readFileSync } from "node:fs";
import { checkJournal } from "../../src/journal/check-journal.ts";
import type { JournalVerdict } from "../../src/journal/verify-journal.ts";
import { createAudit } from "../../src/store/audit.ts";
import { until } from "../../src/testing/servers/child-server.ts";
import type { Change, Content } from "./load-changes.ts";
import { contentLeftOf } from "./shredded-content.ts";
import type { World } from "./world.ts";

/** Everything that is known of a run once it has come to rest; times in ms since the epoch. */
export interface History {
  emails: Map<string, EmailHistory>;
  /** Acceptances under a Message-ID that belongs to no email of the database. */
  strays: AcceptanceRecord[];
  /** The journal as a whole, as far as it is known. */
  chain: Chain;
}

export interface Chain {
  /** What the verifier says of the chains of all owners. */
  verdict: JournalVerdict;
  /** How many entries nobody sealed. */
  unsealed: number;
  /** How many positions below the newest, and above what was dropped, are no entry's. */
  missing: number;
  /** What email_counts says against the emails and the journal, in words. */
  miscounted: string[];
}

export interface EmailHistory {
  id: string;
  /** Null: no promise reached the caller. */
  ackedAt: number | null;
  /** When the 200 of a cancel had arrived. */
  cancelledAt: number | null;
  /** Holds, releases, PATCHes, replays and shreds, in the order of asking. */
  changes: Change[];
  /** As it was asked for first; null: no promise reached the caller. */
  content: Content | null;
  /** It belongs to a second owner. */
  isOthers: boolean;
  /** How many workers it has killed on purpose; null: it is no poison. */
  deathsCaused: number | null;
  /** Where content of a shredded email was found. */
  contentLeft: string[];
  /** Null: it was promised, and the database does not know it. */
  row: EmailRow | null;
  recipients: RecipientRow[];
  attempts: AttemptRow[];
  acceptances: AcceptanceRecord[];
  journal: JournalEntry[];
}

export interface AcceptanceRecord {
  messageId: string;
  at: number;
  recipients: string[];
  sha256: string;
  isAnswered: boolean;
  /** Null unless the world's sink has `isLoggingMessages`. */
  content: Content | null;
}

export interface EmailRow {
  state: string;
  scheduledAt: number;
  createdAt: number;
  /** null: the caller did not say. */
  maxRetries: number | null;
  attempts: number;
  attemptsBefore: number;
  onUncertain: string;
  region: string;
  crashes: number;
  /** Of the attempt that is under way. */
  workerId: string | null;
  isFenced: boolean;
  claims: number;
  /** Place of its newest journal entry. */
  sequence: number;
}

interface RecipientRow {
  status: string;
  smtpCode: number | null;
}

export interface AttemptRow {
  number: number;
  startedAt: number;
  endedAt: number;
  outcome: string;
  smtpCode: number | null;
  enhancedCode: string | null;
  hasReply: boolean;
  /** Whether it counts against max_retries. */
  isCounted: boolean;
}

export interface JournalEntry {
  at: number;
  action: string;
  actor: string;
  /** Null: it tells of the email, and is none of its steps. */
  sequence: number | null;
  detail: Record<string, unknown>;
}

type Rows<T> = (T & { email_id: string })[];

export async function readHistory(world: World): Promise<History> {
  const emails = new Map<string, EmailHistory>();
  const of = (id: string): EmailHistory => {
    const known = emails.get(id) ?? emptyHistory(id);
    emails.set(id, known);
    return known;
  };
  for (const load of [world.load, world.others]) {
    const isOthers = load === world.others;
    for (const { id, ackedAt, content } of load.acks.values()) {
      Object.assign(of(id), { ackedAt, content, isOthers });
    }
    for (const [id, at] of load.cancelled) of(id).cancelledAt = at;
    for (const change of load.changes) of(change.emailId).changes.push(change);
  }
  for (const { email_id, ...row } of await emailRows(world)) of(email_id).row = row;
  for (const { email_id, ...row } of await recipientRows(world)) of(email_id).recipients.push(row);
  for (const { email_id, ...row } of await attemptRows(world)) of(email_id).attempts.push(row);
  for (const { email_id, ...row } of await journalRows(world)) of(email_id).journal.push(row);
  const strays: AcceptanceRecord[] = [];
  for (const acceptance of readAcceptances(world.acceptanceFile)) {
    // The Message-ID is made of the email's id: no other witness is needed.
    const id = /^<([0-9a-f-]{36})@/.exec(acceptance.messageId)?.[1] ?? "";
    const email = emails.get(id);
    const dueAt = email?.row?.scheduledAt ?? 0;
    const at = world.databaseClock?.shown(acceptance.at, dueAt) ?? acceptance.at;
    if (email) email.acceptances.push({ ...acceptance, at });
    else strays.push(acceptance);
  }
  for (const [id, deaths] of world.poison) of(id).deathsCaused = deaths;
  for (const email of emails.values()) email.changes.sort((a, b) => a.askedAt - b.askedAt);
  for (const [id, places] of await contentLeftOf(world, emails)) of(id).contentLeft = places;
  return { emails, strays, chain: await readChain(world) };
}

function emptyHistory(id: string): EmailHistory {
  return {
    id,
    ackedAt: null,
    cancelledAt: null,
    changes: [],
    content: null,
    isOthers: false,
    deathsCaused: null,
    contentLeft: [],
    row: null,
    recipients: [],
    attempts: [],
    acceptances: [],
    journal: [],
  };
}

export function readAcceptances(file: string): AcceptanceRecord[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  return lines.map((line) => {
    const { message_id, at, recipients, sha256, is_answered, message_base64 } = JSON.parse(line);
    return {
      messageId: message_id,
      at: Date.parse(at),
      recipients,
      sha256,
      isAnswered: is_answered,
      content: message_base64 ? contentOf(message_base64, recipients) : null,
    };
  });
}

/** Of the loads' own messages: one text part, short lines of ASCII. */
function contentOf(base64: string, recipients: string[]): Content {
  const [head = "", ...rest] = Buffer.from(base64, "base64").toString("latin1").split("\r\n\r\n");
  const subject = /^subject: *(.*)$/im.exec(head)?.[1] ?? "";
  return { subject, body: rest.join("\r\n\r\n").trim(), recipients };
}

const ms = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`;

function emailRows(world: World): Promise<Rows<EmailRow>> {
  return world.sql(`select id as email_id, state, region, crashes, attempts,
    worker_id as "workerId", fenced_at is not null as "isFenced", claim_token::int as claims, sequence,
    max_retries as "maxRetries", attempts_before as "attemptsBefore",
    on_uncertain as "onUncertain", ${ms("scheduled_at")} as "scheduledAt",
    ${ms("created_at")} as "createdAt" from mailer.emails`);
}

function recipientRows(world: World): Promise<Rows<RecipientRow>> {
  return world.sql(`select email_id, status, smtp_code as "smtpCode" from mailer.recipients
    order by email_id, position`);
}

function attemptRows(world: World): Promise<Rows<AttemptRow>> {
  return world.sql(`select email_id, number, outcome, smtp_code as "smtpCode",
    enhanced_code as "enhancedCode", is_counted as "isCounted", reply is not null as "hasReply", ${ms("started_at")} as "startedAt",
    ${ms("ended_at")} as "endedAt" from mailer.attempts order by email_id, number`);
}

function journalRows(world: World): Promise<Rows<JournalEntry>> {
  return world.sql(`select email_id, action, actor, sequence, detail, ${ms("at")} as at
    from mailer.journal where email_id is not null order by email_id, sequence, id`);
}

/** Processes that live seal what there is within a second; somebody's last entry is waited for. */
async function readChain(world: World): Promise<Chain> {
  let unsealed = 0;
  await until(
    "the journal is sealed",
    async () => {
      // Not by what the sealer knows: an entry that it lost would be in none of that.
      const [row] = await world.sql<{ count: number }>(
        `select count(*)::int as count from mailer.journal j
         where not exists (select from mailer.seals s where s.entry_id = j.id)`,
      );
      unsealed = row?.count ?? 0;
      return unsealed === 0;
    },
    15_000,
  ).catch(() => undefined);
  const [positions] = await world.sql<{ missing: number }>(
    `select (coalesce(max(s.position), j.position) - j.position - count(s.position))::int as missing
     from mailer.journal_start j left join mailer.seals s on true group by j.position`,
  );
  const database = await world.openDatabase();
  try {
    const as = { role: "admin", sub: "oracle" } as const;
    const verdict = await checkJournal(createAudit(database), { ownerId: null, as });
    const miscounted = await miscountedIn(world);
    return { verdict, unsealed, missing: positions?.missing ?? 0, miscounted };
  } finally {
    await database.close();
  }
}

/** Once all is sealed, email_counts says what a count of the emails and their entries would say. */
async function miscountedIn(world: World): Promise<string[]> {
  const rows = await world.sql<{ owner: string; counted: string; said: number; there: number }>(
    `select owner, counted, sum(said)::int as said, sum(there)::int as there from (
       select owner_id as owner, counted, n as said, 0 as there from mailer.email_counts
       union all
       select owner_id, case state when 'sending' then 'pending' else state end, 0, 1
       from mailer.emails
       union all
       select owner_id, 'accepted', 0, 1 from mailer.journal where action = 'email.scheduled') q
     group by owner, counted having sum(said) <> sum(there)`,
  );
  return rows.map(
    ({ owner, counted, said, there }) =>
      `${said} emails of ${owner} counted as ${counted}, not ${there}`,
  );
}
