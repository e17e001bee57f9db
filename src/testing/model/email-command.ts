import fc from "fast-check";
import type { ClaimedEmail } from "../../store/attempts.ts";
import { compareEmails } from "./compare-emails.ts";
import type { BenchWorker, EmailBench } from "./email-bench.ts";
import { type Model, type ModelEmail, workerCount } from "./email-model.ts";

/** The database under test, and what its answers are needed for later. */
export interface Real {
  readonly bench: EmailBench;
  readonly workers: BenchWorker[];
  /** Never dead; takes over. */
  readonly keeper: BenchWorker;
  /** What every granted claim handed out, newest last. */
  readonly claims: Map<string, ClaimedEmail[]>;
}

export type EmailCommand = fc.AsyncCommand<Model, Real>;

/** A command on one of the emails there are. Model and database are compared afterwards. */
export function onEmail(
  index: number,
  words: string,
  step: (model: Model, email: ModelEmail, real: Real) => Promise<void>,
  isPossible: (model: Model, email: ModelEmail) => boolean = () => true,
): EmailCommand {
  const find = ({ emails }: Model) =>
    index < liveMax ? emails.filter(isLive)[index] : emails.findLast((email) => !isLive(email));
  return {
    check(model) {
      const email = find(model);
      return email !== undefined && isPossible(model, email);
    },
    async run(model, real) {
      const email = find(model);
      if (!email) return;
      await step(model, email, real);
      await compareEmails(model, real.bench);
    },
    toString: () => `${words}(#${index})`,
  };
}

export function always(
  words: string,
  step: (model: Model, real: Real) => Promise<void>,
  isPossible: (model: Model) => boolean = () => true,
): EmailCommand {
  return {
    check: isPossible,
    async run(model, real) {
      await step(model, real);
      await compareEmails(model, real.bench);
    },
    toString: () => words,
  };
}

/** Emails that can still be sent at a time; one more pick is a finished one. */
export const liveMax = 3;
export const pick = fc.nat({ max: liveMax });

export function isLive({ state }: ModelEmail): boolean {
  return !["sent", "cancelled", "expired", "suppressed"].includes(state);
}

/** Commands that could change nothing are skipped, but for one in eight. */
export const isIdle = fc.nat({ max: 7 }).map((drawn) => drawn === 0);
export const aWorker = fc.nat({ max: workerCount - 1 });

export function workerOf(real: Real, index: number): BenchWorker {
  const worker = real.workers[index];
  if (!worker) throw new Error(`no worker ${index}`);
  return worker;
}
