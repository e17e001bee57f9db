import { writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../src/testing/servers/child-server.ts";
import type { Fault, LimitMs, Scale } from "./fault.ts";
import { watchHeld } from "./held-watch.ts";
import { type EmailHistory, type History, readHistory } from "./history.ts";
import { type Measures, measure } from "./measure.ts";
import { judge, timelineOf, type Violation } from "./oracle.ts";
import { commitOf, type FaultResult, machine } from "./results.ts";
import { createWorld, type World } from "./world.ts";

export interface RunSettings {
  scale: Scale;
  seed: number;
  /** Progress, one line that replaces the one before. */
  say: (text: string) => void;
  /** The checkout, for the commit in the result. */
  root: string;
  restTimeoutMs?: number;
}

export interface FaultRun {
  result: FaultResult;
  /** Empty when all was kept; else what broke, with the timelines of the emails. */
  report: string;
  /** Whether the run counts as failed: not for a fault that is marked `notYet`. */
  isFailed: boolean;
}

/** Longer than the sealer takes on a busy machine. */
const sealedMs = 3_000;

/** Builds a world, lets the fault loose in it, waits for rest, and judges. */
export async function runFault(fault: Fault, settings: RunSettings): Promise<FaultRun> {
  const { scale, seed, say } = settings;
  const startedAt = performance.now();
  const loadBefore = Math.round((loadavg()[0] ?? 0) * 10) / 10;
  const mails = fault.mails[scale];
  const world = await createWorld({ ...fault.parts, scale, mails, seed, say });
  const heldWatch = watchHeld(world);
  const progress = setInterval(() => {
    say(`${world.sink.acceptances.length} of ${ackedIn(world)} sent, ${world.harms} harms`);
  }, 500);
  try {
    await fault.run(world);
    await Promise.all(world.pending);
    say("waiting for rest");
    const left = await rest(world, settings.restTimeoutMs ?? restMs(fault, scale));
    if (world.isEmbedded) {
      // A process that lives seals the journal within a second; then the folder is ours to read.
      await Bun.sleep(sealedMs);
      await world.endProcesses();
    }
    const history = await readHistory(world);
    const minuteMs = Number(world.env.RETRY_BASE_MS);
    const violations = [...judge(history, { minuteMs }), ...(await heldWatch.stop())];
    const measures = measure(history, world);
    const restless = left === "" ? [] : [left];
    const missed = [...world.missed, ...missedLimits(fault, measures, scale), ...restless];
    const result: FaultResult = {
      ...facts(fault, world, settings, loadBefore),
      ...measures,
      heldLooks: heldWatch.looks,
      broken: countBroken(violations),
      missed,
      tookMs: Math.round(performance.now() - startedAt),
      versions: await versionsOf(world),
    };
    const report = reportOf(fault, seed, violations, missed, history);
    return {
      result,
      report: report && `${report}\n  logs: ${keepLogs(fault, world)}`,
      isFailed: report !== "" && fault.notYet === undefined,
    };
  } finally {
    clearInterval(progress);
    await heldWatch.stop();
    await world.close();
  }
}

/** What every process said, in a file that stays: a run that failed is looked into. */
function keepLogs(fault: Fault, { processes }: World): string {
  const file = join(tmpdir(), `taskforce-mailer-fault-${fault.name}.log`);
  const parts = processes.map(
    ({ role, region, workerId, output }) => `== ${role} ${region} ${workerId}\n${output()}`,
  );
  writeFileSync(file, parts.join("\n"));
  return file;
}

/**
 * As long as the latest email may take, and two minutes at least. A promise not kept yet need not be
 * waited for as long as one that must hold.
 */
function restMs({ notYet, limits }: Fault, scale: Scale): number {
  if (notYet !== undefined) return 30_000;
  const { latenessP99Ms = 0 } = limits ?? {};
  const limit = typeof latenessP99Ms === "number" ? latenessP99Ms : latenessP99Ms[scale];
  return Math.max(120_000, limit);
}

/** I10. Empty once nothing is pending or sending; else what is left. */
async function rest(world: World, timeoutMs: number): Promise<string> {
  let left = "";
  await until(
    "the system comes to rest",
    async () => {
      left = await whatIsLeft(world);
      return left === "";
    },
    timeoutMs,
  ).catch(() => undefined);
  return left;
}

async function whatIsLeft(world: World): Promise<string> {
  const count = await world.countOpen();
  if (count === 0) return "";
  await Bun.sleep(100);
  return `${count} emails not at rest`;
}

/**
 * The small scale runs wherever the tests run, beside whatever else runs there: it finds what
 * never recovers. How fast it does is for the full scale, on a machine of its own, to say.
 */
const patience: Record<Scale, number> = { small: 6, full: 1 };

/** The latest email may take so many times the limit at p99. */
const latestFactor = 3;

function missedLimits({ limits }: Fault, measures: Measures, scale: Scale): string[] {
  const patient = (ms: number | undefined) => (ms === undefined ? ms : ms * patience[scale]);
  const latenessMs = patient(atScale(limits.latenessP99Ms, scale)) ?? 0;
  const late = measures.latenessBeyondHarm;
  const others = limits.othersLatenessP99Ms;
  const othersMs = patient(others === undefined ? others : atScale(others, scale));
  if (!late) return ["no email was taken by the next hop: no lateness to judge"];
  if (othersMs !== undefined && !measures.othersLateness) {
    return ["no email of the second owner was taken: no lateness to judge"];
  }
  const checks: [string, number | undefined, number | undefined][] = [
    ["recovery p99", measures.recovery?.p99, patient(limits.recoveryP99Ms)],
    ["resumed after", measures.resumedMs ?? undefined, patient(limits.resumesMs)],
    ["lateness beyond harm p99", late?.p99, latenessMs],
    ["lateness beyond harm max", late?.max, latenessMs * latestFactor],
    ["others' lateness p99", measures.othersLateness?.p99, othersMs],
    ["others' lateness max", measures.othersLateness?.max, othersMs && othersMs * latestFactor],
    ["accept p99", measures.accept?.p99, patient(limits.acceptP99Ms)],
    ["uncertain attempts", measures.uncertain, limits.uncertain],
  ];
  return checks.flatMap(([name, value, limit]) =>
    value !== undefined && limit !== undefined && value > limit
      ? [`${name} ${value}, limit ${limit}`]
      : [],
  );
}

function atScale(limit: LimitMs, scale: Scale): number {
  return typeof limit === "number" ? limit : limit[scale];
}

function facts(fault: Fault, world: World, { scale, seed, root }: RunSettings, loadBefore: number) {
  return {
    fault: fault.name,
    what: fault.what,
    ...(fault.notYet === undefined ? {} : { notYet: fault.notYet }),
    scale,
    seed,
    at: new Date().toISOString(),
    mails: ackedIn(world),
    cancelled: world.load.cancelled.size,
    changed: world.load.changes.filter(({ ackedAt }) => ackedAt !== null).length,
    harms: world.harms,
    commit: commitOf(root),
    machine: machine(),
    loadBefore,
  };
}

async function versionsOf(world: World): Promise<FaultResult["versions"]> {
  const [row] = await world.sql<{ server_version: string }>("show server_version");
  const info = await world.redis().info("server");
  return {
    bun: Bun.version,
    postgres: row?.server_version.split(" ")[0] ?? "",
    redis: /redis_version:(\S+)/.exec(info)?.[1] ?? "",
  };
}

function ackedIn({ load, others }: World): number {
  return load.acks.size + others.acks.size;
}

function countBroken(violations: Violation[]): Record<string, number> {
  const broken: Record<string, number> = {};
  for (const { invariant } of violations) broken[invariant] = (broken[invariant] ?? 0) + 1;
  return broken;
}

const shownMax = 5;

function reportOf(
  fault: Fault,
  seed: number,
  violations: Violation[],
  missed: string[],
  { emails }: History,
): string {
  if (violations.length === 0 && missed.length === 0) return "";
  const shown = violations.slice(0, shownMax).flatMap(({ invariant, emailId, words }) => {
    const email: EmailHistory | undefined = emails.get(emailId);
    const timeline = email ? timelineOf(email).map((line) => `    ${line}`) : [];
    return [`  ${invariant} ${emailId}: ${words}`, ...timeline];
  });
  const hidden = violations.length - shownMax;
  const more = hidden > 0 ? [`  and ${hidden} more`] : [];
  const again = `  again with: scripts/faults/run --only ${fault.name} --seed ${seed}`;
  return [...missed.map((words) => `  ${words}`), ...shown, ...more, again].join("\n");
}
