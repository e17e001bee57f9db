import type { EmailHistory, History } from "./history.ts";
import { brokenChanges } from "./oracle-changes.ts";

/** A promise of GUARANTEES.md that one email broke. */
export interface Violation {
  invariant: "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I8" | "I10" | "I11" | "I12";
  emailId: string;
  words: string;
}

export interface OracleSettings {
  /** RETRY_BASE_MS of the run: the minute of 2^n minutes. */
  minuteMs: number;
}

/** Judges every email of a run that has come to rest; an empty answer means all was kept. */
export function judge({ emails, strays, chain }: History, settings: OracleSettings): Violation[] {
  const violations: Violation[] = strays.map(({ messageId }) => ({
    invariant: "I3",
    emailId: messageId,
    words: "accepted by the next hop under a Message-ID of no email",
  }));
  for (const words of brokenChain(chain)) {
    violations.push({ invariant: "I7", emailId: "the journal", words });
  }
  for (const email of emails.values()) {
    for (const [invariant, words] of faultsOf(email, settings)) {
      violations.push({ invariant, emailId: email.id, words });
    }
  }
  return violations;
}

type Found = [Violation["invariant"], string];

function faultsOf(email: EmailHistory, settings: OracleSettings): Found[] {
  return [
    ...notKept(email),
    ...sentAfterCancel(email),
    ...brokenChanges(email),
    ...doubled(email),
    ...early(email),
    ...untold(email),
    ...overTried(email, settings),
    ...suspected(email),
    ...restless(email),
  ];
}

/** I1: what was acknowledged was sent, or ended with a reason, or was cancelled. */
function* notKept({ ackedAt, row, recipients, attempts, acceptances }: EmailHistory) {
  if (ackedAt !== null && row === null) yield found("I1", "acknowledged and unknown afterwards");
  if (row === null) return;
  const sent = recipients.filter(({ status }) => status === "sent").length;
  const taken = new Set(acceptances.flatMap((acceptance) => acceptance.recipients)).size;
  if (sent > taken) {
    yield found("I1", `${sent} recipients are recorded as sent, the next hop took ${taken}`);
  }
  if (row.state === "sent" && sent < recipients.length) {
    yield found("I1", `state sent with ${recipients.length - sent} recipients not sent`);
  }
  const hasReason = attempts.some(({ hasReply, smtpCode }) => hasReply || smtpCode !== null);
  if (row.state === "failed" && !hasReason && row.crashes === 0) {
    yield found("I1", "failed without a reason");
  }
  if (row.state === "uncertain" && attempts.at(-1)?.outcome !== "uncertain") {
    yield found("I1", "state uncertain without an uncertain attempt");
  }
}

/** I2: a cancel that was answered 200 holds for ever, so no acceptance at all may exist. */
function* sentAfterCancel({ cancelledAt, acceptances, row }: EmailHistory) {
  if (cancelledAt === null) return;
  if (acceptances.length > 0) yield found("I2", "its cancel was acknowledged and it was accepted");
  if (row && row.state !== "cancelled") {
    yield found("I2", `its cancel was acknowledged and its state is ${row.state}`);
  }
}

/** Copies beyond the first, counted for the recipient who got the most of them. */
export function extraCopies({ acceptances }: Pick<EmailHistory, "acceptances">): number {
  const copies = new Map<string, number>();
  for (const { recipients } of acceptances) {
    for (const address of new Set(recipients)) copies.set(address, (copies.get(address) ?? 0) + 1);
  }
  return Math.max(0, ...[...copies.values()].map((count) => count - 1));
}

/** Copies that the product says there may be: after a failover nobody can know of some. */
export function announcedCopies({
  attempts,
  journal,
}: Pick<EmailHistory, "attempts" | "journal">): number {
  const uncertain = attempts.filter(({ outcome }) => outcome === "uncertain");
  return uncertain.length + journal.filter(isUnvouched).length;
}

function isUnvouched({ action }: EmailHistory["journal"][number]): boolean {
  return action === "attempt.unvouched";
}

/** I3, I4, I6: one acceptance per recipient, but for attempts reported as uncertain. */
function* doubled(email: EmailHistory) {
  const extra = extraCopies(email);
  if (extra === 0) return;
  const announced = announcedCopies(email);
  if (extra > announced) {
    const which = email.recipients.length > 1 ? "I6" : "I3";
    yield found(which, `${extra} copies too many, ${announced} attempts were uncertain`);
  }
  // A person who replays an uncertain email asks for one more copy.
  const replays = email.changes.filter(({ kind }) => kind === "replay").length;
  if (email.row?.onUncertain === "hold" && extra > replays) {
    yield found("I4", "doubled under on_uncertain: hold");
  }
  const isEdited = email.changes.some(({ kind }) => kind === "patch");
  const bodies = new Set(email.acceptances.map(({ sha256 }) => sha256));
  // The Date to repeat was lost with the fence.
  const isDateLost = email.journal.some(isUnvouched);
  if (bodies.size > 1 && !isEdited && replays === 0 && !isDateLost)
    yield found("I3", "the copies differ in their bytes");
}

/** I5: never before its time. One machine, hence one clock for the database and the next hop. */
function* early({ row, acceptances }: EmailHistory) {
  const first = acceptances[0];
  if (!row || !first || first.at >= Math.floor(row.scheduledAt)) return;
  yield found("I5", `accepted ${Math.ceil(row.scheduledAt - first.at)} ms before its time`);
}

/** I7: the chains verify, everything is in them, and all of it is counted once. */
function* brokenChain({ verdict, unsealed, missing, miscounted }: History["chain"]) {
  if (unsealed > 0) yield `${unsealed} entries that nobody sealed`;
  if (missing > 0) yield `${missing} positions without an entry`;
  if (unsealed === 0) yield* miscounted;
  if (!verdict.ok) yield `the chain is broken: ${JSON.stringify(verdict.broken)}`;
}

/** I7: the journal agrees with the rows: no step without its entry, and the last says the state. */
function* untold({ row, journal, attempts }: EmailHistory) {
  const steps = journal.filter(({ sequence }) => sequence !== null);
  const gap = steps.findIndex(({ sequence }, index) => sequence !== index + 1);
  if (gap !== -1) yield found("I7", `no journal entry ${gap + 1}, but one after it`);
  if (row === null) {
    if (journal.length > 0) yield found("I7", "in the journal and not in the database");
    return;
  }
  if (steps.length !== row.sequence) {
    yield found("I7", `${steps.length} journal entries, the row counts ${row.sequence}`);
  }
  const told = steps.at(-1)?.detail.status;
  if (told !== row.state) yield found("I7", `state ${row.state}, the journal says ${told}`);
  for (const { number, outcome } of attempts) {
    const ends = steps.filter((step) => step.detail.attempt === number && step.detail.outcome);
    if (ends.length !== 1 || ends[0]?.detail.outcome !== outcome) {
      const said = JSON.stringify(ends.map(({ detail }) => detail.outcome));
      yield found("I7", `attempt ${number} ended as ${outcome}, the journal says ${said}`);
    }
  }
}

/** A retry more is for greylisting, where the caller left their number to us. */
const retriesUnasked = 3;
const retriesMore = 2;

/**
 * I8: at most max_retries + 1 attempts, and between two of them never less than 2^n minutes. An
 * attempt that only met a full transaction counts for neither, and must have got somebody done.
 */
function* overTried({ row, attempts: all, recipients }: EmailHistory, settings: OracleSettings) {
  const uncounted = all.filter(({ isCounted }) => !isCounted).length;
  if (uncounted >= Math.max(1, recipients.length)) {
    yield found("I8", `${uncounted} attempts uncounted for ${recipients.length} recipients`);
  }
  // A person's replay begins a new budget.
  if (!row || row.attemptsBefore > uncounted) return;
  const attempts = all.filter(({ isCounted }) => isCounted);
  const { minuteMs } = settings;
  const allowed = row.maxRetries ?? retriesUnasked + (isGreylisted(all) ? retriesMore : 0);
  if (attempts.length > allowed + 1) {
    yield found("I8", `${attempts.length} attempts with max_retries ${row.maxRetries}`);
  }
  for (const [index, attempt] of attempts.entries()) {
    const next = attempts[index + 1];
    if (!next || next.number !== attempt.number + 1) continue;
    const leastMs = Math.min(2 ** (index + 1), 240) * minuteMs;
    const gapMs = next.startedAt - attempt.endedAt;
    // The end of an attempt is kept in whole milliseconds.
    if (gapMs + 1 < leastMs) {
      yield found("I8", `attempt ${index + 2} after ${Math.round(gapMs)} of ${leastMs} ms`);
    }
  }
}

function isGreylisted(attempts: EmailHistory["attempts"]): boolean {
  return attempts.some(({ enhancedCode }) => /^4\.(2\.\d+|7\.1)$/.test(enhancedCode ?? ""));
}

/** More deaths than this and a poison email has cost too much. */
const deathsMax = 6;

/** I12: what kills its workers is held after at most six deaths, and nobody else ever is. */
function* suspected({ deathsCaused, row, journal }: EmailHistory) {
  const isBlamed = journal.some(({ detail }) => detail.reason === "poison");
  if (deathsCaused === null) {
    if (isBlamed) yield found("I12", "held for deaths it did not cause");
    return;
  }
  if (deathsCaused > deathsMax) yield found("I12", `${deathsCaused} workers died of it`);
  if (!isBlamed || row?.state !== "held") {
    yield found("I12", `it kills its workers and is ${row?.state}, not held`);
  }
}

/** I10: nothing is under way any more. */
function* restless({ row }: EmailHistory) {
  if (row?.state === "sending" || row?.state === "pending") {
    const held = row.isFenced ? "fenced" : "not fenced";
    const how = row.state === "sending" ? `, ${held}, claim ${row.claims} by ${row.workerId}` : "";
    yield found("I10", `still ${row.state}${how} when all should be at rest`);
  }
}

function found(invariant: Violation["invariant"], words: string): Found {
  return [invariant, words];
}

/** What happened to one email, in order, for the report of a violation. */
export function timelineOf(email: EmailHistory): string[] {
  const moments: [number, string][] = [
    ...email.journal.map(({ at, action, actor, detail }): [number, string] => [
      at,
      `${action} by ${actor} ${JSON.stringify(detail)}`,
    ]),
    ...email.acceptances.map(({ at, recipients, isAnswered }): [number, string] => [
      at,
      `accepted by the next hop for ${recipients.length}${isAnswered ? "" : ", reply withheld"}`,
    ]),
  ];
  if (email.ackedAt !== null) moments.push([email.ackedAt, "201 reached the caller"]);
  if (email.cancelledAt !== null) moments.push([email.cancelledAt, "200 of the cancel arrived"]);
  for (const { kind, askedAt, ackedAt } of email.changes) {
    moments.push([askedAt, `${kind} asked${ackedAt === null ? " and never answered" : ""}`]);
    if (ackedAt !== null) moments.push([ackedAt, `200 of the ${kind} arrived`]);
  }
  return moments
    .sort(([a], [b]) => a - b)
    .map(([at, words]) => `${new Date(at).toISOString().slice(11)}  ${words}`);
}
