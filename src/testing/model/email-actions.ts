import { expect } from "bun:test";
import fc from "fast-check";
import type { RecipientVerdict, Verdict } from "../../mail/classify.ts";
import type { ClaimedEmail } from "../../store/attempts.ts";
import { adminClaims, newEmail, recipientsOf, store, userClaims } from "../fixtures/new-email.ts";
import { always, aWorker, isIdle, onEmail, pick, type Real, workerOf } from "./email-command.ts";
import {
  applyReplies,
  applyUncertainty,
  clear,
  isHeldBy,
  judgeCancel,
  judgeClaim,
  judgeFence,
  letGo,
  type ModelEmail,
  modelEmail,
  revoke,
  unitMs,
  untried,
} from "./email-model.ts";

/** What callers and workers do to an email, each with what the model expects of it. */

const ada = userClaims("ada");
const date = new Date("2026-11-24T03:00:00Z");
const uncertain: Verdict = { kind: "uncertain", recipients: [], reply: null, error: "lost" };
const delay = fc.constantFrom(0, 0, 0, 1, 2);
/**
 * Which claim of an email a worker acts on: mostly the one that holds it; sometimes one whose
 * right has ended, be it the newest or the one before.
 */
const heldNow = { age: 0, isHeld: true };
const back = fc.constantFrom(
  ...[heldNow, heldNow, heldNow, heldNow, heldNow],
  { age: 0, isHeld: false },
  { age: 1, isHeld: false },
);

function canAct(email: ModelEmail, { isHeld }: { isHeld: boolean }): boolean {
  return isHeld ? email.state === "sending" : email.token > 0;
}

export const schedule = fc
  .record({
    delay,
    lateBy: fc.constantFrom(null, null, 0, 2),
    onLate: fc.constantFrom("send" as const, "drop" as const, "hold" as const),
    onUncertain: fc.constantFrom("retry" as const, "hold" as const),
    maxRetries: fc.constantFrom(0, 1, 3),
    recipients: fc.constantFrom(1, 1, 3),
  })
  .map(({ delay: units, lateBy, recipients, ...fields }) =>
    always(
      `schedule(in ${units}, ${JSON.stringify({ lateBy, recipients, ...fields })})`,
      async (model, real) => {
        const id = Bun.randomUUIDv7();
        const expiresIn = lateBy === null ? null : units + lateBy + 0.5;
        const at = Date.now();
        const draft = newEmail({
          id,
          ...fields,
          scheduledAt: units === 0 ? null : new Date(at + units * unitMs),
          expiresAt: expiresIn === null ? null : new Date(at + expiresIn * unitMs),
          maxAgeSeconds: 1_000_000_000,
          recipients: recipientsOf(recipients),
        });
        await store(real.bench.emails, [draft]);
        const expiresAt = expiresIn === null ? null : model.now + expiresIn;
        const dueAt = model.now + units;
        model.emails.push(modelEmail(id, { ...fields, dueAt, expiresAt }, recipients));
      },
    ),
  );

const withSuspects = fc.constantFrom(false, true, true);

export const claim = fc
  .tuple(pick, aWorker, withSuspects, isIdle)
  .map(([index, by, suspects, idle]) =>
    onEmail(
      index,
      `claim(by ${by}${suspects ? ", with suspects" : ""})`,
      async (model, email, real) => {
        const expected = judgeClaim(model, email, { suspects });
        const { attempts } = workerOf(real, by);
        const granted = await real.bench.claim(attempts, email.id, { suspects });
        expect(granted !== null).toBe(expected === "claimed");
        if (expected === "expired" || expected === "held") {
          email.state = expected;
          email.token += 1;
          email.entries += 1;
        }
        if (granted === null) return;
        const { token, attempt, recipients, messageDate, sentBefore } = granted;
        expect(token).toBeGreaterThan(email.token);
        expect(attempt).toBe(email.attempts + 1);
        expect(recipients.map(({ position }) => position)).toEqual(untried(email));
        expect(sentBefore).toBe(email.recipients.filter((status) => status === "sent").length);
        expect(messageDate).toEqual(email.wasUncertain ? date : null);
        Object.assign(email, { state: "sending", token, worker: by, claimedAt: model.now });
        email.fencedAt = null;
        real.claims.set(email.id, [...(real.claims.get(email.id) ?? []), granted]);
      },
      (model, email) => idle || judgeClaim(model, email, { suspects }) !== "none",
    ),
  );

export const fence = fc.tuple(pick, back, isIdle).map(([index, by, idle]) =>
  onEmail(
    index,
    `fence(claim -${by.age})`,
    async (model, email, real) => {
      const held = claimOf(real, email, by.age);
      if (!held) return;
      const expected = judgeFence(model, email, held.token);
      const answer = await real.keeper.attempts.fence(email.id, held.token, date);
      expect(answer.granted ? "granted" : answer.reason).toBe(expected);
      if (expected !== "granted") return;
      expect(email.fencedTokens).not.toContain(held.token);
      email.fencedTokens.push(held.token);
      email.fencedAt = model.now;
      email.entries += 1;
    },
    (_, email) => canAct(email, by) && (idle || !by.isHeld || email.fencedAt === null),
  ),
);

const replies = fc.array(
  fc.constantFrom("sent" as const, "deferred" as const, "bounced" as const),
  {
    minLength: 3,
    maxLength: 3,
  },
);

export const settleReplies = fc.tuple(pick, back, replies).map(([index, by, wanted]) =>
  onEmail(
    index,
    `settle(claim -${by.age}, ${wanted})`,
    async (model, email, real) => {
      const held = claimOf(real, email, by.age);
      if (!held) return;
      const isOurs = isHeldBy(email, held.token);
      const said = repliesOf(held, wanted, isOurs && email.fencedAt !== null);
      const { kind } = await real.keeper.settle(held, settleVerdict(said));
      expect(kind).toBe(isOurs ? "settled" : "dropped");
      if (isOurs) applyReplies(model, email, said);
    },
    (_, email) => canAct(email, by),
  ),
);

export const settleUncertain = fc.tuple(pick, back).map(([index, by]) =>
  onEmail(
    index,
    `settle(claim -${by.age}, uncertain)`,
    async (model, email, real) => {
      const held = claimOf(real, email, by.age);
      if (!held) return;
      const isOurs = isHeldBy(email, held.token);
      const { kind } = await real.keeper.settle(held, uncertain);
      expect(kind).toBe(isOurs ? "settled" : "dropped");
      if (isOurs) applyUncertainty(model, email);
    },
    // Un-fenced, uncertainty is not a word a worker can say: the edge is forbidden.
    (_, email) => canAct(email, by) && email.fencedAt !== null,
  ),
);

/** Nobody may write `sent` about a body that was never allowed to leave. */
export const settleWithoutFence = pick.map((index) =>
  onEmail(
    index,
    "settle(sent without a fence)",
    async (_, email, real) => {
      const held = claimOf(real, email, 0);
      if (!held) return;
      const said = repliesOf(held, ["sent", "sent", "sent"], true);
      const failed = await real.keeper.settle(held, settleVerdict(said)).catch((error) => error);
      expect(failed).toBeInstanceOf(Error);
    },
    (_, email) =>
      email.state === "sending" && email.fencedAt === null && !email.recipients.includes("bounced"),
  ),
);

export const release = fc.tuple(pick, back, delay).map(([index, by, units]) =>
  onEmail(
    index,
    `release(claim -${by.age}, in ${units})`,
    async (model, email, real) => {
      const held = claimOf(real, email, by.age);
      if (!held) return;
      const isOurs = isHeldBy(email, held.token);
      const delayMs = units * unitMs;
      const verdict = { kind: "release", reason: "aborted", delayMs } as const;
      const rest = { fault: null, reply: null, error: null };
      const { kind } = await real.keeper.settle(held, { ...verdict, ...rest });
      expect(kind).toBe(isOurs ? "released" : "dropped");
      if (!isOurs) return;
      email.state = "pending";
      email.dueAt = Math.max(email.dueAt, model.now + units);
      letGo(email);
    },
    // The caller vouches that no body was sent.
    (_, email) => canAct(email, by) && email.fencedAt === null,
  ),
);

export const cancel = fc
  .tuple(pick, isIdle, fc.constantFrom(ada, ada, adminClaims, userClaims("bob")))
  .map(([index, idle, as]) =>
    onEmail(
      index,
      `cancel(as ${as.sub})`,
      async (_, email, real) => {
        const expected = as.sub === "bob" ? "not_found" : judgeCancel(email);
        expect(await real.bench.emails.cancel(email.id, as, null)).toBe(expected);
        if (expected !== "cancelled" || email.state === "cancelled") return;
        revoke(email);
        email.state = "cancelled";
        email.entries += 1;
      },
      (_, email) => idle || email.state === "sending",
    ),
  );

const isDeadLetter = ({ state }: ModelEmail) =>
  ["failed", "uncertain", "partially_sent"].includes(state);

export const replay = fc.tuple(pick, fc.constantFrom(0, 1), isIdle).map(([index, units, idle]) =>
  onEmail(
    index,
    `replay(in ${units})`,
    async (model, email, real) => {
      const { kind } = await real.bench.emails.replay(email.id, ada, {
        scheduledAt: units === 0 ? null : new Date(Date.now() + units * unitMs),
        origin: null,
      });
      // What a person does with a held email is told elsewhere.
      if (email.state !== "held") expect(kind === "replayed").toBe(isDeadLetter(email));
      if (kind !== "replayed") return;
      const dueAt = model.now + units;
      // A time that the caller named stays while it is not over.
      const expiresAt =
        email.expiresAt !== null && email.expiresAt > dueAt ? email.expiresAt : null;
      const wasHeld = email.state === "held";
      Object.assign(email, { state: "pending", expiresAt, dueAt });
      email.entries += 1;
      clear(email);
      // A held email is released: its attempts count on, and nobody is tried anew.
      if (wasHeld) return;
      email.attemptsBefore = email.attempts;
      email.recipients = email.recipients.map((status) =>
        status === "deferred" || status === "bounced" ? "pending" : status,
      );
    },
    (_, email) => idle || isDeadLetter(email),
  ),
);

function claimOf(real: Real, email: ModelEmail, age: number): ClaimedEmail | undefined {
  return real.claims.get(email.id)?.at(-1 - age);
}

function repliesOf(
  held: ClaimedEmail,
  wanted: readonly ("sent" | "deferred" | "bounced")[],
  isBodySent: boolean,
): Map<number, "sent" | "deferred" | "bounced"> {
  return new Map(
    held.recipients.map(({ position }) => {
      const status = wanted[position] ?? "deferred";
      return [position, status === "sent" && !isBodySent ? "deferred" : status];
    }),
  );
}

function settleVerdict(said: Map<number, RecipientVerdict["status"]>): Verdict {
  const recipients = [...said].map(([position, status]) => ({ position, status, reply: null }));
  const statuses = new Set(said.values());
  const outcome = !statuses.has("sent")
    ? statuses.has("deferred")
      ? "deferred"
      : "bounced"
    : statuses.size > 1
      ? "partial"
      : "sent";
  return { kind: "settle", outcome, isCounted: true, recipients, reply: null, error: null };
}
