import type { Scale } from "../fault.ts";
import { readAcceptances } from "../history.ts";
import { type Spread, spread } from "../measure.ts";
import type { TwinFault } from "./twin-faults.ts";
import { createTwinWorld, type TwinMail, type TwinWorld } from "./twin-world.ts";

/** What one fault came to for the twin. Nothing of it fails a run: it is there for contrast. */
export interface TwinResult {
  twin: true;
  fault: string;
  what: string;
  scale: Scale;
  seed: number;
  at: string;
  mails: number;
  harms: number;
  /** Recipients who never got a mail that was answered 201, and no failed job says so. */
  lost: number;
  /** Recipients who never got it, and whose job is among the failed ones. */
  givenUp: number;
  /** Copies beyond the first; the twin announces none of them. */
  doubled: number;
  cancelled: number;
  /** Mails sent although their cancel was answered 200. */
  sentAfterCancel: number;
  early: number;
  lateness: Spread | null;
  /** Empty; else what was left after the wait. */
  restless: string;
  tookMs: number;
}

/** Longer than two rounds of its stalled check at default settings. */
const restTimeoutMs = 150_000;

export async function runTwin(fault: TwinFault, scale: Scale, seed: number): Promise<TwinResult> {
  const startedAt = performance.now();
  const world = await createTwinWorld(seed, fault.options ?? {});
  try {
    await fault.run(world, scale);
    const restless = await world.rest(restTimeoutMs).then(
      () => "",
      (error: unknown) => String(error),
    );
    return {
      twin: true,
      fault: fault.name,
      what: fault.what,
      scale,
      seed,
      at: new Date().toISOString(),
      mails: world.mails.length,
      harms: world.harms,
      ...(await judgeTwin(world)),
      restless,
      tookMs: Math.round(performance.now() - startedAt),
    };
  } finally {
    await world.close();
  }
}

async function judgeTwin(world: TwinWorld) {
  const taken = new Map<string, number[]>();
  for (const { recipients, at } of readAcceptances(world.acceptanceFile)) {
    for (const address of recipients) taken.set(address, [...(taken.get(address) ?? []), at]);
  }
  const failed = await world.failedJobs();
  const copiesOf = (mail: TwinMail) => mail.addresses.map((address) => taken.get(address) ?? []);
  const firstOf = (mail: TwinMail) => Math.min(...copiesOf(mail).flat());
  const missing = (mail: TwinMail) => copiesOf(mail).filter(({ length }) => length === 0).length;
  const kept = world.mails.filter(({ cancelledAt }) => cancelledAt === null);
  const cancelled = world.mails.filter(({ cancelledAt }) => cancelledAt !== null);
  const sent = world.mails.filter((mail) => Number.isFinite(firstOf(mail)));
  const count = (mails: TwinMail[], of: (mail: TwinMail) => number) =>
    mails.reduce((total, mail) => total + of(mail), 0);
  const extra = (mail: TwinMail) => Math.max(0, ...copiesOf(mail).map(({ length }) => length - 1));
  return {
    lost: count(
      kept.filter(({ id }) => !failed.has(id)),
      missing,
    ),
    givenUp: count(
      kept.filter(({ id }) => failed.has(id)),
      missing,
    ),
    doubled: count(world.mails, extra),
    cancelled: cancelled.length,
    sentAfterCancel: count(cancelled, (mail) => (Number.isFinite(firstOf(mail)) ? 1 : 0)),
    early: count(sent, (mail) => (firstOf(mail) < mail.dueAt ? 1 : 0)),
    lateness: spread(
      sent.map((mail) => Math.max(0, firstOf(mail) - Math.max(mail.dueAt, mail.ackedAt))),
    ),
  };
}
