import { afterEach, describe, expect, test } from "bun:test";
import type { FenceAnswer } from "../email/smtp.ts";
import { createSmtpBench, sendRequest } from "../testing/fixtures/smtp-fixtures.ts";
import type { SmtpSink } from "../testing/servers/smtp-sink.ts";
import { hangAt, replyAt, scripted } from "../testing/servers/smtp-sink-rules.ts";

const { sinkWith, transportTo, close } = createSmtpBench();

afterEach(close);

const extensionSets = [
  { name: "with PIPELINING", extensions: ["PIPELINING"] },
  { name: "without PIPELINING", extensions: [] },
];

/** The body may be begun only once; how many times the sink saw its first byte or its end. */
function bodiesSeen(sink: SmtpSink): number {
  return sink.steps.filter(({ phase }) => phase === "body" || phase === "dot").length;
}

describe("the fence", () => {
  const answers: { name: string; fence: () => Promise<FenceAnswer>; withheld: string }[] = [
    {
      name: "refused as cancelled",
      fence: async () => ({ granted: false, reason: "cancelled" }),
      withheld: "cancelled",
    },
    {
      name: "refused as stale",
      fence: async () => ({ granted: false, reason: "stale" }),
      withheld: "stale",
    },
    {
      name: "failing",
      fence: () => Promise.reject(new Error("the database is gone")),
      withheld: "fence_failed",
    },
    {
      name: "throwing",
      fence: () => {
        throw new Error("a bug");
      },
      withheld: "fence_failed",
    },
    { name: "silent", fence: () => new Promise(() => {}), withheld: "fence_failed" },
  ];
  for (const { extensions, name: mode } of extensionSets) {
    for (const { name, fence, withheld } of answers) {
      test(`${name}, ${mode}: not one byte of the body goes out, and no dot`, async () => {
        const sink = await sinkWith({ extensions });
        const transport = transportTo(sink, { poolSize: 1 }, { fenceTimeoutMs: 100 });
        const report = await transport.send(sendRequest({ fence }));
        expect(report).toMatchObject({ phase: "fence", fenced: false, reply: null, withheld });
        expect(report.messageDate).toBeNull();
        // The next message needs a new connection: what was begun on the old one cannot be ended.
        await transport.send(sendRequest());
        expect(sink.connectionCount).toBe(2);
        expect(sink.acceptances).toHaveLength(1);
        expect(sink.steps.filter(({ phase }) => phase === "dot")).toHaveLength(1);
      });
    }
  }

  test("is asked after 354 and never before", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sink = await sinkWith({
      rules: [scripted({ phase: "data", action: { do: "wait", until: promise } })],
    });
    let asked = 0;
    const sending = transportTo(sink).send(
      sendRequest({
        fence: async () => {
          asked += 1;
          return { granted: true };
        },
      }),
    );
    await sink.waitForPhase("data");
    expect(asked).toBe(0);
    resolve();
    expect((await sending).reply?.code).toBe(250);
    expect(asked).toBe(1);
  });

  test("granted after the connection was lost: surely nothing was sent", async () => {
    const sink = await sinkWith();
    const report = await transportTo(sink).send(
      sendRequest({
        fence: async () => {
          sink.dropConnections();
          await sink.waitForPhase("data");
          const { promise, resolve } = Promise.withResolvers<FenceAnswer>();
          // Long enough for the loss to be noticed here; the answer's own time does not matter.
          setTimeout(() => resolve({ granted: true }), 100);
          return promise;
        },
      }),
    );
    expect(report).toMatchObject({ phase: "fence", fenced: true, messageDate: null, reply: null });
  });

  test("an answer to the body before it was sent proves nothing", async () => {
    const sink = await sinkWith({ rules: [replyAt("data", "354 go on\n250 2.0.0 queued")] });
    const { promise, resolve } = Promise.withResolvers<FenceAnswer>();
    setTimeout(() => resolve({ granted: true }), 100);
    const report = await transportTo(sink).send(sendRequest({ fence: () => promise }));
    expect(report).toMatchObject({ phase: "fence", reply: null });
    expect(bodiesSeen(sink)).toBe(0);
  });
});

describe("stopping", () => {
  for (const phase of ["connect", "ehlo", "mail", "data"] as const) {
    test(`ends an un-fenced conversation at once, here at ${phase}`, async () => {
      const sink = await sinkWith({ rules: [hangAt(phase)] });
      const stop = new AbortController();
      const sending = transportTo(sink).send(sendRequest({ signal: stop.signal }));
      await sink.waitForPhase(phase);
      stop.abort();
      const report = await sending;
      expect(report).toMatchObject({ withheld: "aborted", fenced: false, error: null });
    });
  }

  test("starts nothing when it was already asked for", async () => {
    const sink = await sinkWith();
    const report = await transportTo(sink).send(sendRequest({ signal: AbortSignal.abort() }));
    expect(report).toMatchObject({ phase: "connect", withheld: "aborted" });
    expect(sink.connectionCount).toBe(0);
  });

  test("leaves a fenced conversation alone", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sink = await sinkWith({
      rules: [scripted({ phase: "dot", action: { do: "wait", until: promise } })],
    });
    const stop = new AbortController();
    const sending = transportTo(sink).send(sendRequest({ signal: stop.signal }));
    await sink.waitForPhase("dot");
    stop.abort();
    resolve();
    expect(await sending).toMatchObject({ fenced: true, withheld: null, reply: { code: 250 } });
  });
});
