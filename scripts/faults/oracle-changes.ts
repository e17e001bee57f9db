import type { AcceptanceRecord, EmailHistory } from "./history.ts";
import type { Change, ChangeKind, Content } from "./load-changes.ts";

/** What holds once a hold, PATCH, replay or shred was answered 200: an invariant and its words. */
type Found = ["I1" | "I2" | "I3", string];

/** A change that was promised. */
type Acked = Change & { ackedAt: number };

export function brokenChanges(email: EmailHistory): Found[] {
  return [
    ...sentAfterHold(email),
    ...notReleased(email),
    ...sentAsItWas(email),
    ...replayedWrongly(email),
    ...shreddedInPart(email),
  ];
}

function acked({ changes }: EmailHistory, kind: ChangeKind): Acked[] {
  return changes.filter(
    (change): change is Acked => change.kind === kind && change.ackedAt !== null,
  );
}

/** Whether one of these was asked while or after `change` was, at `until` at the latest. */
function isFollowed(
  { changes }: EmailHistory,
  change: Acked,
  { by, until = Number.POSITIVE_INFINITY }: { by: ChangeKind[]; until?: number },
): boolean {
  return changes.some(
    ({ kind, askedAt, ackedAt }) =>
      by.includes(kind) &&
      askedAt <= until &&
      // One that had been answered before `change` was asked is over.
      (ackedAt ?? Number.POSITIVE_INFINITY) > change.askedAt,
  );
}

/**
 * Whether an acceptance came after a change that was answered 200. A 200 means that the change was
 * committed before any fence, so what is accepted while it was being answered is after it as
 * well, unless an attempt whose outcome left the email to be tried again ended in that time.
 */
function isAfter({ attempts }: EmailHistory, { at }: AcceptanceRecord, change: Acked): boolean {
  if (at >= change.ackedAt) return true;
  const isTriedAgain = attempts.some(
    ({ outcome, endedAt }) => outcome !== "sent" && endedAt <= change.ackedAt && endedAt >= at,
  );
  return at >= change.askedAt && !isTriedAgain;
}

/** I2: after a hold nothing is accepted until somebody asks for a release. */
function* sentAfterHold(email: EmailHistory): Generator<Found> {
  const by: ChangeKind[] = ["release", "replay"];
  for (const hold of acked(email, "hold")) {
    const wrong = email.acceptances.find(
      (acceptance) =>
        isAfter(email, acceptance, hold) && !isFollowed(email, hold, { by, until: acceptance.at }),
    );
    if (wrong) yield ["I2", "its hold was acknowledged and it was accepted"];
    const state = email.row?.state;
    const isKept = state === "held" || (state === "cancelled" && email.cancelledAt !== null);
    if (!isKept && !isFollowed(email, hold, { by })) {
      yield ["I2", `its hold was acknowledged and its state is ${state}`];
    }
  }
}

/** I2: what was released is not held any more, unless a hold was asked for again. */
function* notReleased(email: EmailHistory): Generator<Found> {
  if (email.row?.state !== "held") return;
  const isHeldOnPurpose = (release: Acked) => isFollowed(email, release, { by: ["hold"] });
  const last = acked(email, "release").at(-1);
  if (last && !isHeldOnPurpose(last)) {
    yield ["I2", "its release was acknowledged and it is held"];
  }
}

interface Version {
  content: Content;
  askedAt: number;
  /** Null: nobody was told whether it came to be. */
  ackedAt: number | null;
}

/** I2: after a PATCH only the new version is accepted; and never a mixture of two. */
function* sentAsItWas(email: EmailHistory): Generator<Found> {
  const patches = email.changes.filter(({ kind }) => kind === "patch");
  if (patches.length === 0 || email.content === null) return;
  const first = { content: email.content, askedAt: Number.NEGATIVE_INFINITY };
  const versions: Version[] = [
    { ...first, ackedAt: Number.NEGATIVE_INFINITY },
    ...patches.flatMap(({ content, ...times }) => (content ? [{ content, ...times }] : [])),
  ];
  for (const acceptance of email.acceptances) {
    const { content } = acceptance;
    if (content === null) {
      yield ["I2", "its PATCH cannot be judged: this world's sink needs `isLoggingMessages`"];
      continue;
    }
    const same = versions.filter(
      (version) => version.askedAt <= acceptance.at && isContent(content, version.content),
    );
    if (same.length === 0) yield ["I2", "accepted as a version that nobody asked for"];
    else if (same.every((version) => isReplaced(email, acceptance, version))) {
      yield ["I2", "its PATCH was acknowledged and it was accepted as it was before"];
    }
  }
}

/** Whether a PATCH that surely came after this version was acknowledged before the acceptance. */
function isReplaced(email: EmailHistory, acceptance: AcceptanceRecord, version: Version): boolean {
  const { ackedAt } = version;
  if (ackedAt === null) return false;
  return acked(email, "patch").some(
    (patch) => patch.askedAt >= ackedAt && isAfter(email, acceptance, patch),
  );
}

/** One transaction may name some of the recipients only. */
function isContent(accepted: Content, asked: Content): boolean {
  return (
    accepted.subject === asked.subject &&
    accepted.body === asked.body &&
    accepted.recipients.every((address) => asked.recipients.includes(address))
  );
}

/** I3, I1: after the last replay exactly one more, but for attempts reported as uncertain. */
function* replayedWrongly(email: EmailHistory): Generator<Found> {
  const last = acked(email, "replay").at(-1);
  if (!last) return;
  const since = email.acceptances.filter(({ at }) => at >= last.askedAt);
  const copies = new Map<string, number>();
  for (const address of since.flatMap(({ recipients }) => recipients)) {
    copies.set(address, (copies.get(address) ?? 0) + 1);
  }
  const most = Math.max(0, ...copies.values());
  const uncertain = email.attempts.filter(
    ({ outcome, endedAt }) => outcome === "uncertain" && endedAt >= last.askedAt,
  ).length;
  if (most > 1 + uncertain) yield ["I3", `${most} copies after its replay`];
  if (email.row?.state === "sent" && most === 0) {
    yield ["I1", "its replay was acknowledged, and it is recorded as sent without being taken"];
  }
}

/** I2: after a shred its content is nowhere, and it is never sent again. */
function* shreddedInPart(email: EmailHistory): Generator<Found> {
  const shred = acked(email, "shred")[0];
  if (!shred) return;
  for (const place of email.contentLeft) yield ["I2", `shredded, and its content is in ${place}`];
  // While it was being answered it may have been sent: only what has ended can be shredded.
  if (email.acceptances.some(({ at }) => at >= shred.ackedAt)) {
    yield ["I2", "its shred was acknowledged and it was accepted"];
  }
}
