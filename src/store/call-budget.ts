import { AsyncLocalStorage } from "node:async_hooks";

/** What one request may wait for the database in all; each of its calls has a deadline besides. */
interface CallBudget {
  leftMs: number;
  /** Calls of it under way; their time together counts once. */
  underWay: number;
  waitingSince: number;
  /** The request is over, or may take long: whatever it started goes by its own deadlines. */
  isLifted: boolean;
}

const storage = new AsyncLocalStorage<CallBudget | null>();

/**
 * Runs one request, whose calls together wait for the database this long at most: a request that
 * makes three calls of a slow database must answer within 5 s as well. Work of its own (a body
 * that comes in slowly, composing) does not count.
 */
export async function withCallBudget<T>(budgetMs: number, request: () => Promise<T>): Promise<T> {
  const budget = { leftMs: budgetMs, underWay: 0, waitingSince: 0, isLifted: false };
  try {
    return await storage.run(budget, request);
  } finally {
    // What it started, such as a delivery, still runs in its context.
    budget.isLifted = true;
  }
}

/** For a request that makes calls as long as there is something to do, such as a bulk change. */
export function liftCallBudget(): void {
  const budget = storage.getStore();
  if (budget) budget.isLifted = true;
}

/** For a call that many requests share: it is no part of the one that happened to start it. */
export function withoutCallBudget<T>(work: () => T): T {
  return storage.run(null, work);
}

/** How long the running request may still wait, in ms; `Infinity` outside of one. */
export function callBudgetLeftMs(): number {
  const budget = storage.getStore();
  if (!budget || budget.isLifted) return Number.POSITIVE_INFINITY;
  const runningMs = budget.underWay > 0 ? performance.now() - budget.waitingSince : 0;
  return Math.max(0, budget.leftMs - runningMs);
}

/** Makes one call, whose time counts. */
export async function spendCallBudget<T>(call: () => Promise<T>): Promise<T> {
  const budget = storage.getStore();
  if (!budget || budget.isLifted) return await call();
  if (budget.underWay === 0) budget.waitingSince = performance.now();
  budget.underWay += 1;
  try {
    return await call();
  } finally {
    budget.underWay -= 1;
    if (budget.underWay === 0) budget.leftMs -= performance.now() - budget.waitingSince;
  }
}
