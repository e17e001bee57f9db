import { describe, expect, test } from "bun:test";
import { emptyReport, emptyRound, type ReconcileReport } from "../delivery/reconcile-report.ts";
import { checkJournal, checkReconciler, checkSettling } from "./health-of-work.ts";

const now = new Date("2030-01-02T03:04:05Z");
const ago = (ms: number) => new Date(now.getTime() - ms);

function look(
  fields: Partial<ReconcileReport>,
  { isGettingThrough = true, intervalMs = 10_000 } = {},
) {
  const report: ReconcileReport = {
    ...emptyRound(),
    rounds: 1,
    failures: 0,
    lastRoundAt: now,
    lastRoundMs: 0,
    regionStatus: null,
    skewMs: { database: null, redis: null },
    isSkewed: false,
    ...fields,
  };
  const reconciler = { report: () => report };
  return checkReconciler({ reconciler, isGettingThrough, reconcileIntervalMs: intervalMs }, now);
}

const region = {
  ...{ oldestDueMs: 0, dueUnclaimed: 1, workersAlive: 1, regions: [], deadRegions: [] },
  journalBrokenSince: null,
};

function due(oldestDueMs: number): Partial<ReconcileReport> {
  return { regionStatus: { ...region, oldestDueMs } };
}

describe("the reconciler", () => {
  test("is fine before its first round, and degraded when that fails", () => {
    expect(look({ lastRoundAt: null }).status).toBe("ok");
    expect(look({ lastRoundAt: null, failures: 1 }).status).toBe("degraded");
  });

  test("is degraded once three rounds are missed, however short they are meant to be", () => {
    expect(look({ lastRoundAt: ago(30_000) }).status).toBe("ok");
    expect(look({ lastRoundAt: ago(30_001) })).toEqual({
      status: "degraded",
      detail: "the last round ended 30 s ago; see the log",
    });
    expect(look({ lastRoundAt: ago(15_000) }, { intervalMs: 200 }).status).toBe("ok");
    expect(look({ lastRoundAt: ago(15_001) }, { intervalMs: 200 }).status).toBe("degraded");
    expect(look({ lastRoundAt: ago(60_000), lastRoundMs: 10_000 }).status).toBe("ok");
  });

  test("is degraded when an email is due for five minutes though others are sent", () => {
    expect(look(due(300_000)).status).toBe("ok");
    expect(look(due(300_001)).status).toBe("degraded");
    expect(look(due(300_001), { isGettingThrough: false }).status).toBe("ok");
  });
});

test("the journal is degraded when its sealing is more than ten seconds behind", () => {
  const reconciler = { report: emptyReport };
  expect(checkJournal({ reconciler, sealer: { lagMs: 10_000 } }).status).toBe("ok");
  expect(checkJournal({ reconciler, sealer: { lagMs: 10_001 } })).toEqual({
    status: "degraded",
    detail: "sealing is 10 s behind; see the log",
  });
});

test("a journal that does not verify degrades, and says since when", () => {
  const regionStatus = { ...region, journalBrokenSince: now };
  const reconciler = { report: () => ({ ...emptyReport(), regionStatus }) };
  const { status, detail } = checkJournal({ reconciler, sealer: { lagMs: 0 } });
  expect(status).toBe("degraded");
  expect(detail).toContain("does not verify, found at 2030-01-02T03:04:05.000Z");
});

test("outcomes that are not written yet degrade, and say how many and why", () => {
  expect(checkSettling({ repeating: 0, errorCode: null })).toEqual({ status: "ok" });
  const { status, detail } = checkSettling({ repeating: 3, errorCode: "42501" });
  expect(status).toBe("degraded");
  expect(detail).toContain("what came of 3 attempts is not written yet (42501)");
});
