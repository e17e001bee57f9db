import { afterEach, describe, expect, test } from "bun:test";
import type { LogFields } from "../log.ts";
import { createSmtpBench, sendRequest } from "../testing/fixtures/smtp-fixtures.ts";
import { hangAt, type SinkRule } from "../testing/servers/smtp-sink-rules.ts";
import type { Transport } from "./transport.ts";
import { transportFaultOf } from "./transport-fault.ts";

const { sinkWith, transportTo, close } = createSmtpBench();

afterEach(close);

const many = (transport: Transport, count: number, changes = {}) =>
  Promise.all(Array.from({ length: count }, () => transport.send(sendRequest(changes))));

/** A logger that records the lines at `info`. */
function recordingLog() {
  const lines: { event: string; fields: LogFields }[] = [];
  const info = (event: string, fields: LogFields = {}) => void lines.push({ event, fields });
  return { lines, log: { info, debug: () => {} } };
}

/** Holds what it is asked for until it is let go. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { until: promise, open: resolve };
}

describe("a limit on connections", () => {
  for (const surplus of ["421", "close"] as const) {
    for (const connectionsMax of [1, 3, 5]) {
      test(`of ${connectionsMax}, by ${surplus}, is a ceiling and no outage`, async () => {
        const { lines, log } = recordingLog();
        const sink = await sinkWith({ connectionsMax, surplus });
        const transport = transportTo(
          sink,
          { poolSize: 20, messagesPerConnection: 1_000 },
          { log },
        );
        const reports = await many(transport, 150);
        expect(reports.filter(({ reply }) => reply?.code === 250)).toHaveLength(150);
        expect(sink.acceptances).toHaveLength(150);
        expect(sink.connectionCount).toBe(connectionsMax);
        expect(sink.refusedConnectionCount).toBeGreaterThan(0);
        expect(sink.refusedConnectionCount).toBeLessThanOrEqual(connectionsMax);
        expect(lines).toHaveLength(1);
        expect(lines[0]?.fields).toMatchObject({ count: connectionsMax });
        expect(lines[0]?.event).toContain("SMTP_POOL_SIZE");
      });
    }
  }

  test("is found again when it was raised, by one connection at a time", async () => {
    const sink = await sinkWith({ connectionsMax: 2 });
    const transport = transportTo(sink, { poolSize: 6 }, { raiseAfterMs: 1 });
    await many(transport, 40);
    expect(sink.connectionCount).toBe(2);
    sink.setConnectionsMax(5);
    while (sink.openConnectionCount < 3) await many(transport, 20);
    expect(sink.acceptances.length).toBeGreaterThan(40);
  });

  test("that is met by a login counts like one that is met by the greeting", async () => {
    const auth = { user: "user", pass: "pass" };
    const sink = await sinkWith({ auth, isAuthRequired: true });
    sink.setRules(({ phase, connectionId }) =>
      phase === "auth" && connectionId > 2
        ? { do: "reply_then_drop", text: "421 4.7.0 Too many concurrent connections" }
        : null,
    );
    const reports = await many(transportTo(sink, { poolSize: 20, ...auth }), 60);
    expect(reports.every(({ reply }) => reply?.code === 250)).toBe(true);
  });
});

describe("a cold transport", () => {
  test("opens one connection, and more only after its login", async () => {
    const auth = { user: "user", pass: "pass" };
    const login = gate();
    const hold: SinkRule = ({ phase }) =>
      phase === "auth" ? { do: "wait", until: login.until } : null;
    const sink = await sinkWith({ auth, isAuthRequired: true, rules: [hold] });
    const reports = many(transportTo(sink, { poolSize: 20, ...auth }), 60);
    await sink.waitForPhase("auth");
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    expect(sink.connectionCount).toBe(1);
    login.open();
    expect((await reports).every(({ reply }) => reply?.code === 250)).toBe(true);
    expect(sink.connectionCount).toBeGreaterThan(1);
  });

  test("tries a wrong password once, however many mails wait", async () => {
    const auth = { user: "user", pass: "pass" };
    const sink = await sinkWith({ auth, isAuthRequired: true });
    const transport = transportTo(sink, {
      poolSize: 20,
      user: "user",
      pass: "wrong",
      auth: "plain",
    });
    let isDown = false;
    const sendAsTheWorkerDoes = async () => {
      const report = await transport.send(sendRequest({ isWanted: () => !isDown }));
      if (transportFaultOf(report)) isDown = true;
      return report;
    };
    const reports = await Promise.all(Array.from({ length: 40 }, sendAsTheWorkerDoes));
    expect(sink.steps.filter(({ phase }) => phase === "auth")).toHaveLength(1);
    expect(reports.filter(({ reply }) => reply?.code === 535)).toHaveLength(1);
    expect(reports.filter(({ withheld }) => withheld === "aborted")).toHaveLength(39);
  });

  test("keeps no mail waiting for a connection that is accepted late", async () => {
    const accept = gate();
    const late: SinkRule = ({ phase, connectionId }) =>
      phase === "connect" && connectionId > 2 ? { do: "wait", until: accept.until } : null;
    const sink = await sinkWith({ rules: [late] });
    const reports = await many(transportTo(sink, { poolSize: 20 }), 150);
    expect(reports.every(({ reply }) => reply?.code === 250)).toBe(true);
    // As many are tried as work.
    expect(sink.connectionCount).toBeLessThanOrEqual(4);
    accept.open();
  });
});

describe("a next hop that is gone", () => {
  test("is told of beside connections that hang too", async () => {
    const sink = await sinkWith();
    const transport = transportTo(sink, { poolSize: 4 }, { commandTimeoutMs: 150 });
    await transport.send(sendRequest());
    sink.setRules(hangAt("dot"), hangAt("greeting"));
    const hanging = transport.send(sendRequest());
    await sink.waitForPhase("dot", 2);
    const report = await transport.send(sendRequest());
    expect(report).toMatchObject({ phase: "greeting", reply: null, fenced: false });
    expect(transportFaultOf(report)).toMatchObject({ reason: "unreachable" });
    sink.dropConnections();
    await hanging;
  });

  test("is told of to one after the other, and what it allowed before is forgotten", async () => {
    const sink = await sinkWith({ connectionsMax: 1 });
    const transport = transportTo(sink, { poolSize: 4 });
    await many(transport, 10);
    sink.setConnectionsMax(0);
    sink.dropConnections();
    await sink.close();
    const reports = await many(transport, 3);
    expect(reports.map(({ phase }) => phase)).toEqual(["connect", "connect", "connect"]);
  });

  test("stops nobody's opening when the only one who waits for it gives up", async () => {
    const sink = await sinkWith({ rules: [hangAt("greeting", { times: 1 })] });
    const transport = transportTo(sink, { poolSize: 4 });
    const stop = new AbortController();
    const given = transport.send(sendRequest({ signal: stop.signal }));
    await sink.waitForPhase("greeting");
    stop.abort();
    expect(await given).toMatchObject({ phase: "connect", withheld: "aborted" });
    expect((await transport.send(sendRequest())).reply?.code).toBe(250);
  });
});

describe("messages of one connection", () => {
  test("are as many as SMTP_MESSAGES_PER_CONNECTION says", async () => {
    const sink = await sinkWith();
    await many(transportTo(sink, { poolSize: 3, messagesPerConnection: 10 }), 150);
    const counts = Map.groupBy(sink.acceptances, ({ connectionId }) => connectionId);
    expect(Math.max(...[...counts.values()].map(({ length }) => length))).toBe(10);
    expect(sink.acceptances).toHaveLength(150);
    await sink.waitForPhase("quit", 15 - 3);
  });

  test("are as many as MAILMAX says where that is fewer", async () => {
    const sink = await sinkWith({ extensions: ["LIMITS MAILMAX=4"] });
    await many(transportTo(sink, { poolSize: 1 }), 12);
    expect(sink.connectionCount).toBe(3);
  });

  test("beside a limit on connections: each is replaced, and none reported", async () => {
    const sink = await sinkWith({ connectionsMax: 3 });
    const transport = transportTo(sink, { poolSize: 20, messagesPerConnection: 10 });
    const reports = await many(transport, 150);
    expect(reports.filter(({ reply }) => reply?.code === 250)).toHaveLength(150);
  });

  test("a 421 at MAIL after them means a new connection, and nothing else", async () => {
    const sink = await sinkWith();
    sink.setRules(({ phase, count }) =>
      phase === "mail" && count > 7
        ? { do: "reply_then_drop", text: "421 too many messages in one connection" }
        : null,
    );
    const reports = await many(transportTo(sink, { poolSize: 3 }), 150);
    expect(reports.filter(({ reply }) => reply?.code === 250)).toHaveLength(150);
    expect(sink.acceptances).toHaveLength(150);
  });
});
