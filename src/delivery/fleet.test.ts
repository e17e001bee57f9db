import { expect, test } from "bun:test";
import { checkOthersSettling, checkTransports, checkWorkers } from "../doctor/health-of-fleet.ts";
import { AppError } from "../errors.ts";
import { createLogger } from "../log.ts";
import type { FleetProcess, ProcessState, TransportState } from "../store/fleet.ts";
import { createFleet } from "./fleet.ts";

const log = createLogger({ level: "silent" });
const up: TransportState = {
  ...{ name: "smtp:25", breaker: "closed", detail: null, since: null },
  ...{ reason: null, reply: null, smtpCode: null, workedMsAgo: null },
};
const down: TransportState = {
  name: "smtp:25",
  breaker: "open",
  detail: "the SMTP server does not answer",
  since: "2030-01-02T03:04:05.000Z",
  ...{ reason: "the SMTP server does not answer", reply: null, smtpCode: null, workedMsAgo: 40 },
};

function sender(id: string, transport: TransportState, queue: string | null = null): FleetProcess {
  return {
    id,
    region: "here",
    role: "worker",
    state: { transports: [transport], queue, unsettled: 2 },
  };
}

function fleetOf(
  processes: FleetProcess[] | Error,
  own: ProcessState = { transports: [], queue: null, unsettled: 0 },
  role: "api" | "all" = "api",
) {
  const told: ProcessState[] = [];
  let nowMs = 0;
  let reads = 0;
  const fleet = createFleet({
    store: {
      async report(state) {
        told.push(state);
        return told.length > 1;
      },
      async read() {
        reads += 1;
        if (processes instanceof Error) throw processes;
        return processes;
      },
    },
    workerId: "me",
    role,
    own: () => own,
    log,
    now: () => nowMs,
  });
  return { fleet, told, pass: (ms: number) => (nowMs += ms), countReads: () => reads };
}

test("a process that only accepts says what those that send know", async () => {
  const { fleet } = fleetOf([sender("a", down)]);
  const view = await fleet.view();
  expect(checkWorkers(view)).toEqual({ status: "ok" });
  expect(checkTransports(view, "smtp")).toEqual({
    status: "degraded",
    driver: "smtp",
    breaker: "open",
    detail: "the SMTP server does not answer",
    since: "2030-01-02T03:04:05.000Z",
  });
});

test("of several, one that is down is told and the breaker of the whole is closed", async () => {
  const view = await fleetOf([sender("a", down), sender("b", up)]).fleet.view();
  expect(checkTransports(view, "smtp")).toMatchObject({
    status: "degraded",
    breaker: "closed",
    detail: "1 of 2 processes: the SMTP server does not answer",
  });
});

test("without any that sends, all is degraded, with what to start", async () => {
  const api: FleetProcess = { ...sender("me", up), role: "api" };
  const view = await fleetOf([api]).fleet.view();
  expect(checkWorkers(view)).toMatchObject({
    status: "degraded",
    detail: expect.stringContaining("ROLE=worker"),
  });
});

test("of itself a process knows the newest, and counts before its first beat", async () => {
  const own = { transports: [down], queue: null, unsettled: 0 };
  const view = await fleetOf([sender("me", up)], own, "all").fleet.view();
  expect(view).toEqual({ senders: 1, transports: [down], otherQueues: [], unsettledByOthers: 0 });
  expect((await fleetOf([], own, "all").fleet.view())?.senders).toBe(1);
});

test("the queue of another process is told, once for each reason", async () => {
  const full = "Redis refuses writes (OOM)";
  const view = await fleetOf([sender("a", up, full), sender("b", up, full)]).fleet.view();
  expect(view?.otherQueues).toEqual([full]);
  // Outcomes that others cannot write are told as well.
  expect(checkOthersSettling(view).detail).toStartWith("what came of 4 attempts");
});

test("a database that does not answer makes nothing known, and is asked once a second", async () => {
  const error = new AppError("database_unavailable", { publicDetail: "down" });
  const { fleet, pass, countReads } = fleetOf(error);
  expect(await fleet.view()).toBeNull();
  expect(checkTransports(null, "smtp").status).toBe("ok");
  pass(999);
  await fleet.view();
  expect(countReads()).toBe(1);
  pass(1);
  await fleet.view();
  expect(countReads()).toBe(2);
});

test("what has not changed is told again only after ten seconds, or when nobody heard it", async () => {
  const own: ProcessState = { transports: [up], queue: null, unsettled: 0 };
  const { fleet, told, pass } = fleetOf([], own, "all");
  await fleet.look();
  await fleet.look();
  await fleet.look();
  expect(told).toHaveLength(2);
  own.queue = "Redis refuses writes (OOM)";
  await fleet.look();
  expect(told).toHaveLength(3);
  pass(10_000);
  await fleet.look();
  expect(told).toHaveLength(4);
});
