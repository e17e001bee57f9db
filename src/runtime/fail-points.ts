/**
 * Places at which a test build can be told to die, hang or fail. In a normal build none of this
 * exists: `createFailPoints` is only reached where the build defines BUILD_FAIL_POINTS, and
 * `noFailPoints` does nothing.
 */

/** While an email is accepted. */
export const acceptPointNames = [
  "insert.before",
  // Committed, and nobody was told yet.
  "insert.after",
] as const;

/** While an email is delivered. */
export const deliveryPointNames = [
  // Around the call that claims a batch; failing after it loses its answer.
  "claim.before",
  "claim.after",
  // Claimed, in whichever way, and nothing of it is done yet: failing here forgets the claim.
  "begin.before",
  // Before a connection to the next hop is taken or made.
  "connect.before",
  // After SMTP's 354, around the fence's call.
  "fence.before",
  "fence.after",
  // The dot was answered and nothing of it is written yet.
  "dot.after",
  // Failing here forgets what came of the attempt.
  "settle.before",
  "settle.after",
] as const;

/** While an event is delivered to a webhook. */
export const webhookPointNames = [
  // An endpoint was given to this process, and nothing of it is begun.
  "endpoint.after",
  // Around a request to a receiver: before it, and answered while nothing of it is written yet.
  "post.before",
  "post.after",
  // What came of some requests is committed, and nobody here knows yet.
  "record.after",
] as const;

export const failPointNames = [...acceptPointNames, ...deliveryPointNames, ...webhookPointNames];
export type FailPointName = (typeof failPointNames)[number];

/** Resolves at once unless the point is armed, for all emails or for this one. */
export type FailPoints = (name: FailPointName, emailId?: string) => Promise<void>;

export const noFailPoints: FailPoints = async () => {};

/**
 * `spec` arms points, separated by commas: `<point>=kill | hang | throw`, and `@<n>` after it for
 * the n-th passage only, such as `fence.after=kill@3`, `%<n>` for every n-th, or `#<email id>` for
 * those of one email only. Throws on a spec it cannot read.
 */
export function createFailPoints(spec: string, kill: () => void): FailPoints {
  const armed = new Map(spec.split(",").map((part) => parse(part.trim())));
  const passages = new Map<FailPointName, number>();
  return async (name, emailId) => {
    const point = armed.get(name);
    if (!point || (point.emailId !== null && point.emailId !== emailId)) return;
    const passage = (passages.get(name) ?? 0) + 1;
    passages.set(name, passage);
    if (point.passage !== null && point.passage !== passage) return;
    if (passage % point.every !== 0) return;
    switch (point.action) {
      case "kill":
        return kill();
      case "hang":
        return new Promise(() => {});
      case "throw":
        throw new Error(`fail-point ${name}`);
    }
  };
}

interface FailPoint {
  action: "kill" | "hang" | "throw";
  /** null: every passage. */
  passage: number | null;
  /** Of the passages, every n-th; 1: all. */
  every: number;
  /** null: every email. */
  emailId: string | null;
}

function parse(part: string): [FailPointName, FailPoint] {
  const match = /^([a-z.]+)=(kill|hang|throw)(?:@(\d+)|%([1-9]\d*))?(?:#([\da-f-]+))?$/.exec(part);
  const name = failPointNames.find((known) => known === match?.[1]);
  if (!match || !name) throw new Error(`not a fail-point: ${JSON.stringify(part)}`);
  const passage = match[3] === undefined ? null : Number(match[3]);
  const every = Number(match[4] ?? 1);
  const emailId = match[5] ?? null;
  return [name, { action: match[2] as FailPoint["action"], passage, every, emailId }];
}
