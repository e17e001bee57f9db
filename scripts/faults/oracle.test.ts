import { describe, expect, test } from "bun:test";
import type {
  AcceptanceRecord,
  AttemptRow,
  EmailHistory,
  History,
  JournalEntry,
} from "./history.ts";
import type { Change } from "./load-changes.ts";
import { extraCopies, judge, timelineOf } from "./oracle.ts";

const due = Date.parse("2026-11-24T09:00:00Z");

/** One whose journal agrees with its row and attempts, unless a journal is given. */
function email(fields: Partial<EmailHistory> = {}): EmailHistory {
  const merged: EmailHistory = {
    id: "e1",
    ackedAt: due - 1_000,
    cancelledAt: null,
    changes: [],
    content: null,
    isOthers: false,
    deathsCaused: null,
    contentLeft: [],
    row: row(),
    recipients: [{ status: "sent", smtpCode: 250 }],
    attempts: [attempt()],
    acceptances: [acceptance()],
    journal: [],
    ...fields,
  };
  const journal = fields.journal ?? told(merged);
  const counted = merged.row && { ...merged.row, sequence: journal.length };
  return { ...merged, row: counted, journal };
}

function told({ row, attempts }: EmailHistory): JournalEntry[] {
  if (row === null) return [];
  const details: Record<string, unknown>[] = attempts.flatMap(({ number, outcome }) => [
    { status: "sending", attempt: number },
    { status: "pending", attempt: number, outcome },
  ]);
  const all = [{ status: "pending" }, ...details];
  const last = all.pop();
  return [...all, { ...last, status: row.state }].map((detail, index) => ({
    at: due,
    action: "email.step",
    actor: "w",
    sequence: index + 1,
    detail,
  }));
}

const soundChain: History["chain"] = {
  verdict: { ok: true, checked: 3, chains: 1, position: 3 },
  ...{ unsealed: 0, missing: 0, miscounted: [] },
};

function row(fields: Partial<NonNullable<EmailHistory["row"]>> = {}) {
  return {
    state: "sent",
    scheduledAt: due,
    createdAt: due - 1_000,
    maxRetries: 3,
    attempts: 1,
    attemptsBefore: 0,
    onUncertain: "retry",
    region: "local",
    crashes: 0,
    workerId: null,
    isFenced: false,
    claims: 1,
    sequence: 3,
    ...fields,
  };
}

function attempt(fields: Partial<AttemptRow> = {}): AttemptRow {
  return {
    number: 1,
    startedAt: due,
    endedAt: due + 50,
    outcome: "sent",
    smtpCode: 250,
    hasReply: true,
    enhancedCode: null,
    isCounted: true,
    ...fields,
  };
}

function acceptance(fields: Partial<AcceptanceRecord> = {}): AcceptanceRecord {
  return {
    messageId: "<e1@example.test>",
    at: due + 40,
    recipients: ["bob@example.test"],
    sha256: "aa",
    isAnswered: true,
    content: null,
    ...fields,
  };
}

function verdict(subject: EmailHistory, chain: History["chain"] = soundChain): string[] {
  const history = { emails: new Map([[subject.id, subject]]), strays: [], chain };
  return judge(history, { minuteMs: 100 }).map(({ invariant }) => invariant);
}

/** Asked at `ms` after the time and answered 200 a hundred later; null: never answered. */
function change(
  kind: Change["kind"],
  ms: number,
  { ackedMs = ms + 100, version = 0 }: { ackedMs?: number | null; version?: number } = {},
): Change {
  const ackedAt = ackedMs === null ? null : due + ackedMs;
  const content = kind === "patch" ? contentOf(version) : null;
  return { emailId: "e1", kind, askedAt: due + ms, ackedAt, content };
}

function contentOf(version: number) {
  const [subject, body] = [`Version ${version}`, `Words ${version}`];
  return { subject, body, recipients: [`bob-${version}@example.test`] };
}

/** Taken by the next hop at `ms`, with the content of a version. */
function takenAs(version: number, ms: number): AcceptanceRecord {
  const content = contentOf(version);
  return acceptance({ at: due + ms, content, recipients: content.recipients });
}

const uncertainThenSent = [
  attempt({ outcome: "uncertain" }),
  attempt({ number: 2, startedAt: due + 300, endedAt: due + 350 }),
];

describe("the oracle", () => {
  test("is content with an email that was sent once, after its time", () => {
    expect(verdict(email())).toEqual([]);
  });

  test("finds an acknowledged email that the database does not know", () => {
    const lost = email({ row: null, recipients: [], attempts: [], acceptances: [] });
    expect(verdict(lost)).toEqual(["I1"]);
  });

  test("finds an email that is recorded as sent and that nobody took", () => {
    expect(verdict(email({ acceptances: [] }))).toEqual(["I1"]);
  });

  test("finds a failure without a reason", () => {
    const silent = attempt({ outcome: "deferred", smtpCode: null, hasReply: false });
    const failed = email({
      row: row({ state: "failed" }),
      recipients: [{ status: "deferred", smtpCode: null }],
      attempts: [silent],
      acceptances: [],
    });
    expect(verdict(failed)).toEqual(["I1"]);
  });

  test("finds an acceptance of what was cancelled, whenever it came", () => {
    const cancelled = email({
      cancelledAt: due + 9_000,
      row: row({ state: "cancelled" }),
      recipients: [],
    });
    expect(verdict(cancelled)).toEqual(["I2"]);
  });

  test("finds a second copy that no uncertain attempt announced", () => {
    const twice = [acceptance(), acceptance({ at: due + 900 })];
    expect(verdict(email({ acceptances: twice }))).toEqual(["I3"]);
    expect(verdict(email({ acceptances: twice, attempts: uncertainThenSent }))).toEqual([]);
  });

  test("lets a copy with another Date pass that a failover announced, but not under hold", () => {
    const acceptances = [acceptance(), acceptance({ at: due + 900, sha256: "other" })];
    const entry = { at: due, action: "attempt.unvouched", actor: "w", sequence: null, detail: {} };
    const told = (fields: Partial<EmailHistory>) => {
      const subject = email({ acceptances, ...fields });
      return verdict({ ...subject, journal: [...subject.journal, entry] });
    };
    expect([told({}), told({ row: row({ onUncertain: "hold" }) })]).toEqual([[], ["I4"]]);
  });

  test("finds any second copy under hold, and copies that differ", () => {
    const held = email({
      acceptances: [acceptance(), acceptance({ at: due + 900, sha256: "bb" })],
      attempts: uncertainThenSent,
      row: row({ onUncertain: "hold" }),
    });
    expect(verdict(held)).toEqual(["I4", "I3"]);
  });

  test("counts copies by recipient: two halves of a list are no copies", () => {
    const halves = ["bob@example.test", "eve@example.test"].map((address) =>
      acceptance({ recipients: [address] }),
    );
    expect(extraCopies({ acceptances: halves })).toBe(0);
    expect(extraCopies({ acceptances: [...halves, ...halves] })).toBe(1);
  });

  test("finds what came before its time, by a millisecond", () => {
    expect(verdict(email({ acceptances: [acceptance({ at: due - 1 })] }))).toEqual(["I5"]);
    expect(verdict(email({ acceptances: [acceptance({ at: due })] }))).toEqual([]);
  });

  test("finds a row that says something else than the journal", () => {
    const { journal } = email();
    const last = journal.length - 1;
    const changed = (detail: Record<string, unknown>) =>
      journal.map((step, index) => (index === last ? { ...step, detail } : step));
    const stale = { ...journal[0], sequence: null, detail: { status: "cancelled" } };
    expect(verdict({ ...email(), journal: [...journal, stale as JournalEntry] })).toEqual([]);
    const lies = [
      changed({ status: "failed", attempt: 1, outcome: "sent" }),
      changed({ status: "sent", attempt: 1, outcome: "deferred" }),
      changed({ status: "sent" }),
    ];
    for (const lie of lies) expect(verdict({ ...email(), journal: lie })).toEqual(["I7"]);
    for (const index of [0, 1, last]) {
      const gone = journal.filter((_, place) => place !== index);
      expect(verdict({ ...email(), journal: gone })).toContain("I7");
    }
    expect(verdict({ ...email(), row: null, ackedAt: null, acceptances: [] })).toEqual(["I7"]);
  });

  test("finds attempts beyond the budget and sooner than the schedule", () => {
    const soon = [attempt({ outcome: "deferred" }), attempt({ number: 2, startedAt: due + 200 })];
    expect(verdict(email({ attempts: soon }))).toEqual(["I8"]);
    const many = uncertainThenSent;
    expect(verdict(email({ attempts: many, row: row({ maxRetries: 0 }) }))).toEqual(["I8"]);
  });

  test("lets full transactions and greylisting have the attempts that are theirs, and no more", () => {
    const at = (number: number, fields: Partial<AttemptRow>) =>
      attempt({
        number,
        startedAt: due + number * 10_000,
        endedAt: due + number * 10_000,
        ...fields,
      });
    const numbers = [1, 2, 3, 4, 5, 6];
    const grey = numbers.map((number) =>
      at(number, { outcome: "deferred", enhancedCode: "4.7.1" }),
    );
    const other = numbers.map((number) => at(number, { outcome: "deferred" }));
    expect(verdict(email({ attempts: grey, row: row({ maxRetries: null }) }))).not.toContain("I8");
    expect(verdict(email({ attempts: grey, row: row({ maxRetries: 3 }) }))).toContain("I8");
    expect(verdict(email({ attempts: other, row: row({ maxRetries: null }) }))).toContain("I8");
    const full = [at(1, { outcome: "partial", isCounted: false }), attempt({ number: 2 })];
    const filled = { attempts: full, row: row({ attemptsBefore: 1, maxRetries: 0 }) };
    expect(verdict(email(filled))).toContain("I8");
    const two = [1, 2].map(() => ({ status: "sent", smtpCode: 250 }));
    expect(verdict({ ...email(filled), recipients: two })).not.toContain("I8");
  });

  test("finds what never came to rest, and a Message-ID of nobody", () => {
    expect(verdict(email({ row: row({ state: "sending" }) }))).toEqual(["I10"]);
    const strays = [acceptance({ messageId: "<other@example.test>" })];
    expect(judge({ emails: new Map(), strays, chain: soundChain }, { minuteMs: 1 })).toHaveLength(
      1,
    );
  });

  test("finds an acceptance after a hold, while it was answered too, unless it was released", () => {
    const hold = change("hold", -500);
    const sent = (changes: Change[]) => verdict(email({ changes }));
    // Accepted, and recorded as sent.
    expect(sent([hold])).toEqual(["I2", "I2"]);
    expect(sent([change("hold", 20)])).toEqual(["I2", "I2"]);
    expect(sent([hold, change("release", -300)])).toEqual([]);
    expect(sent([hold, change("release", -300, { ackedMs: null })])).toEqual([]);
    // A release that came too late, or before the hold, permits nothing.
    expect(sent([hold, change("release", 60)])).toEqual(["I2"]);
    expect(sent([change("release", -900), hold])).toEqual(["I2", "I2"]);
    expect(sent([change("hold", -500, { ackedMs: null })])).toEqual([]);
  });

  test("finds a hold that did not hold, and a release that did not release", () => {
    const unsent = { acceptances: [], attempts: [], recipients: [] };
    const as = (state: string, changes: Change[]) =>
      verdict(email({ ...unsent, changes, row: row({ state }) }));
    expect(as("held", [change("hold", -500)])).toEqual([]);
    expect(as("expired", [change("hold", -500)])).toEqual(["I2"]);
    expect(as("held", [change("hold", -500), change("release", 0)])).toEqual(["I2"]);
    expect(as("held", [change("release", 0), change("hold", 200)])).toEqual([]);
  });

  test("finds the version before a PATCH, a mixture of two, and what cannot be judged", () => {
    const patches = [change("patch", -500, { version: 1 }), change("patch", -300, { version: 2 })];
    const as = (taken: AcceptanceRecord, changes = patches) =>
      verdict(email({ changes, content: contentOf(0), acceptances: [taken] }));
    expect(as(takenAs(2, 40))).toEqual([]);
    expect(as(takenAs(1, 40))).toEqual(["I2"]);
    expect(as(takenAs(0, 40))).toEqual(["I2"]);
    expect(as(acceptance({ content: { ...contentOf(2), body: "Words 1" } }))).toEqual(["I2"]);
    const mixed = { ...contentOf(2), recipients: contentOf(1).recipients };
    expect(as(acceptance({ content: mixed }))).toEqual(["I2"]);
    expect(as(acceptance())).toEqual(["I2"]);
    // It was accepted while the PATCH was being answered, which then says 200: one of them lies.
    expect(as(takenAs(0, 40), [change("patch", 20, { version: 1 })])).toEqual(["I2"]);
    // Nobody was told whether this one came to be.
    const unanswered = [change("patch", -300, { version: 1, ackedMs: null })];
    expect(as(takenAs(0, 40), unanswered)).toEqual([]);
    expect(as(takenAs(1, 40), unanswered)).toEqual([]);
    // Copies may differ when a person changed it between two attempts.
    const both = [takenAs(0, 40), { ...takenAs(1, 400), sha256: "bb" }];
    const patched = { changes: [change("patch", 100, { version: 1 })], content: contentOf(0) };
    const history = email({ ...patched, acceptances: both, attempts: uncertainThenSent });
    expect(verdict(history)).toEqual([]);
  });

  test("finds two copies after a replay, and none; one is what was asked for", () => {
    const bounced = attempt({ outcome: "bounced", smtpCode: 550, endedAt: due + 10 });
    const resent = attempt({ number: 2, startedAt: due + 300, endedAt: due + 350 });
    const replayed = (...ms: number[]) =>
      verdict(
        email({
          changes: [change("replay", 100)],
          attempts: [bounced, resent],
          acceptances: ms.map((at) => acceptance({ at: due + at })),
          row: row({ attemptsBefore: 1 }),
        }),
      );
    expect(replayed(340)).toEqual([]);
    expect(replayed(340, 400)).toEqual(["I3", "I3"]);
    expect(replayed()).toContain("I1");
    // Under hold one copy more is what the person asked for; a second one is not.
    const held = (...ms: number[]) =>
      verdict(
        email({
          changes: [change("replay", 100)],
          attempts: [attempt({ outcome: "uncertain" }), resent],
          acceptances: ms.map((at) => acceptance({ at: due + at })),
          row: row({ attemptsBefore: 1, onUncertain: "hold" }),
        }),
      );
    expect(held(40, 340)).toEqual([]);
    expect(held(40, 340, 400)).toEqual(["I3", "I3", "I4"]);
  });

  test("finds content left after a shred, and an acceptance after it", () => {
    const shred = change("shred", 500);
    expect(verdict(email({ changes: [shred] }))).toEqual([]);
    const waited = [acceptance({ at: due + 550 })];
    expect(verdict(email({ changes: [shred], acceptances: waited }))).toEqual([]);
    const left = { changes: [shred], contentLeft: ["mailer.contents.message"] };
    expect(verdict(email(left))).toEqual(["I2"]);
    const later = [acceptance({ at: due + 900 })];
    expect(verdict(email({ changes: [shred], acceptances: later }))).toEqual(["I2"]);
  });

  test("finds who was held for deaths of another, and a poison that goes on killing", () => {
    const unsent = { acceptances: [], attempts: [], recipients: [] };
    const as = (deathsCaused: number | null, state: string, reason: string | null) =>
      verdict(
        email({
          ...unsent,
          deathsCaused,
          row: row({ state, crashes: 5 }),
          journal: [
            {
              at: due,
              action: "email.step",
              actor: "w",
              sequence: 1,
              detail: { status: state, reason },
            },
          ],
        }),
      );
    expect(as(null, "held", "poison")).toEqual(["I12"]);
    expect(as(null, "held", null)).toEqual([]);
    expect(as(6, "held", "poison")).toEqual([]);
    expect(as(7, "held", "poison")).toEqual(["I12"]);
    expect(as(3, "failed", null)).toEqual(["I12"]);
  });

  test("tells an email's story in order", () => {
    const story = timelineOf(
      email({
        journal: [{ at: due, action: "email.sending", actor: "w", sequence: 1, detail: {} }],
      }),
    );
    expect(story.map((line) => line.slice(15))).toEqual([
      "201 reached the caller",
      "email.sending by w {}",
      "accepted by the next hop for 1",
    ]);
  });
});
