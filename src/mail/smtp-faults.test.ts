import { afterEach, describe, expect, test } from "bun:test";
import type { SmtpPhase } from "../email/smtp.ts";
import {
  createSmtpBench,
  recipients,
  sendRequest,
  smtpSettings,
} from "../testing/fixtures/smtp-fixtures.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";
import {
  acceptThenDrop,
  dripAt,
  dropAt,
  hangAt,
  replyAt,
  replyThenDropAt,
  type SinkPhase,
  type SinkRule,
} from "../testing/servers/smtp-sink-rules.ts";
import { createSmtpTransport } from "./smtp-transport.ts";

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

for (const { name, extensions } of extensionSets) {
  describe(`a refusal ${name} is reported with its phase and reply`, () => {
    const refusals: { at: SinkPhase; phase: SmtpPhase; text: string }[] = [
      { at: "greeting", phase: "greeting", text: "554 5.7.1 go away" },
      { at: "greeting", phase: "greeting", text: "421 4.3.2 too busy" },
      { at: "ehlo", phase: "ehlo", text: "550 5.7.1 no service for you" },
      { at: "auth", phase: "auth", text: "535 5.7.8 wrong password" },
      { at: "auth", phase: "auth", text: "454 4.7.0 try again" },
      { at: "mail", phase: "mail", text: "530 5.7.0 login first" },
      { at: "mail", phase: "mail", text: "451 4.3.0 not now" },
      { at: "rcpt", phase: "rcpt", text: "550 5.1.1 nobody here" },
      { at: "rcpt", phase: "rcpt", text: "421 4.7.0 closing" },
      { at: "data", phase: "data", text: "451 4.3.0 no space" },
      { at: "dot", phase: "reply", text: "554 5.6.0 spam" },
      { at: "dot", phase: "reply", text: "451 4.3.0 not now" },
    ];
    for (const { at, phase, text } of refusals) {
      test(`${at}: ${text}`, async () => {
        const auth = { user: "user", pass: "pass" };
        const sink = await sinkWith({ extensions, auth, rules: [replyAt(at, text)] });
        const report = await transportTo(sink, auth).send(sendRequest());
        const [code = "", enhanced = "", ...words] = text.split(" ");
        expect(report).toMatchObject({ phase, error: null, withheld: null });
        expect(report.reply).toEqual({ code: Number(code), enhanced, text: words.join(" ") });
        expect(report.fenced).toBe(at === "dot");
        expect(sink.acceptances).toEqual([]);
      });
    }

    test("some recipients refused: each has its own reply, the others get the message", async () => {
      const rules = [
        replyAt("rcpt", "550 5.1.1 nobody", { argument: "r0@example.org" }),
        replyAt("rcpt", "451 4.7.1 greylisted", { argument: "r2@example.org" }),
      ];
      const sink = await sinkWith({ extensions, rules });
      const envelope = { from: "s@example.com", recipients: recipients(4) };
      const report = await transportTo(sink).send(sendRequest({ envelope }));
      expect(report.reply?.code).toBe(250);
      expect(report.recipients.map(({ position, reply }) => [position, reply.code])).toEqual([
        [0, 550],
        [1, 250],
        [2, 451],
        [3, 250],
      ]);
      const taken = sink.acceptances[0]?.envelope.recipients;
      expect(taken).toEqual(["r1@example.org", "r3@example.org"]);
    });

    test("all recipients refused: the fence is never asked", async () => {
      const sink = await sinkWith({ extensions, rules: [replyAt("rcpt", "550 5.1.1 nobody")] });
      let asked = 0;
      const report = await transportTo(sink).send(
        sendRequest({
          envelope: { from: "s@example.com", recipients: recipients(3) },
          fence: async () => {
            asked += 1;
            return { granted: true };
          },
        }),
      );
      expect(report).toMatchObject({ phase: "rcpt", fenced: false, messageDate: null });
      expect(report.recipients).toHaveLength(3);
      expect(asked).toBe(0);
    });

    test("a refused sender leaves no replies to recipients behind", async () => {
      const sink = await sinkWith({ extensions, rules: [replyAt("mail", "550 5.7.1 not you")] });
      const report = await transportTo(sink).send(sendRequest());
      expect(report).toMatchObject({ phase: "mail", reply: { code: 550 }, recipients: [] });
    });
  });

  describe(`a lost connection ${name} is reported with how far it had come`, () => {
    const losses: { at: SinkPhase; phase: SmtpPhase; isFenced?: true }[] = [
      { at: "connect", phase: "greeting" },
      { at: "greeting", phase: "greeting" },
      { at: "ehlo", phase: "ehlo" },
      { at: "auth", phase: "auth" },
      { at: "mail", phase: "mail" },
      { at: "rcpt", phase: "rcpt" },
      { at: "data", phase: "data" },
      { at: "body", phase: "reply", isFenced: true },
      { at: "dot", phase: "reply", isFenced: true },
    ];
    for (const { at, phase, isFenced = false } of losses) {
      test(`dropped at ${at}`, async () => {
        const auth = { user: "user", pass: "pass" };
        const sink = await sinkWith({ extensions, auth, rules: [dropAt(at)] });
        const report = await transportTo(sink, auth).send(sendRequest());
        expect(report).toMatchObject({ phase, reply: null, fenced: isFenced, withheld: null });
        expect(report.error).toBeString();
        expect(report.messageDate !== null).toBe(isFenced);
      });

      test(`silent at ${at}: the deadline ends it`, async () => {
        const auth = { user: "user", pass: "pass" };
        const sink = await sinkWith({ extensions, auth, rules: [hangAt(at)] });
        const report = await transportTo(
          sink,
          { ...auth, replyTimeoutMs: 150 },
          { commandTimeoutMs: 150 },
        ).send(sendRequest());
        expect(report).toMatchObject({ phase, reply: null, fenced: isFenced });
        expect(report.error).toContain("timed out");
      });
    }
  });
}

test("a message that was taken while its reply was lost is not reported as unsent", async () => {
  const sink = await sinkWith({ rules: [acceptThenDrop()] });
  const report = await transportTo(sink).send(sendRequest());
  expect(report).toMatchObject({ phase: "reply", fenced: true, reply: null, withheld: null });
  expect(sink.acceptances).toHaveLength(1);
});

test("a server that trickles its reply gains no time by it", async () => {
  for (const phase of ["greeting", "ehlo", "mail", "dot"] as const) {
    const sink = await sinkWith({ rules: [dripAt(phase, `250 ${"x".repeat(400)}`, 20)] });
    const report = await transportTo(sink, { replyTimeoutMs: 200 }, { commandTimeoutMs: 200 }).send(
      sendRequest(),
    );
    expect(report.reply).toBeNull();
    expect(report.error).toContain("timed out");
  }
});

test("a server that is slow but answers every command in its time is waited for", async () => {
  const slowly: SinkPhase[] = ["greeting", "ehlo", "mail", "rcpt", "data"];
  const rules = slowly.map((phase): SinkRule => {
    const { promise, resolve } = Promise.withResolvers<void>();
    return (context) => {
      if (context.phase !== phase) return null;
      setTimeout(resolve, 120);
      return { do: "wait", until: promise };
    };
  });
  const sink = await sinkWith({ extensions: [], rules });
  const report = await transportTo(sink, {}, { commandTimeoutMs: 230 }).send(sendRequest());
  expect(report.reply?.code).toBe(250);
});

test("a connection lost in the middle of a large body is not reported as unsent", async () => {
  const sink = await sinkWith({ rules: [hangAt("body")] });
  const message = Buffer.alloc(40_000_000, "0123456789abcdef\r\n");
  const sending = transportTo(sink).send(sendRequest({ message }));
  await sink.waitForPhase("body");
  sink.dropConnections();
  const report = await sending;
  expect(report).toMatchObject({ phase: "body", fenced: true, reply: null });
  expect(report.messageDate).not.toBeNull();
});

test("a refusal in the middle of a large body is a reply like any other", async () => {
  const sink = await sinkWith({ rules: [replyThenDropAt("body", "552 5.3.4 too much")] });
  const message = Buffer.alloc(40_000_000, "0123456789abcdef\r\n");
  const report = await transportTo(sink).send(sendRequest({ message }));
  expect(report).toMatchObject({ phase: "body", fenced: true, reply: { code: 552 } });
});

test("a connection with half a body on it is never used again", async () => {
  const sink = await sinkWith({ rules: [replyAt("body", "552 5.3.4 too much", { times: 1 })] });
  const transport = transportTo(sink, { poolSize: 1 });
  const message = Buffer.alloc(40_000_000, "0123456789abcdef\r\n");
  expect(await transport.send(sendRequest({ message }))).toMatchObject({ phase: "body" });
  expect((await transport.send(sendRequest())).reply?.code).toBe(250);
  expect(sink.connectionCount).toBe(2);
  expect(sink.acceptances).toHaveLength(1);
});

test("nothing keeps the process alive once the work is stopped", async () => {
  const script = `
    import { createSmtpSink } from "${import.meta.resolve("../testing/servers/smtp-sink.ts")}";
    import { hangAt } from "${import.meta.resolve("../testing/servers/smtp-sink-rules.ts")}";
    import { sendRequest, smtpSettings } from "${import.meta.resolve("../testing/fixtures/smtp-fixtures.ts")}";
    import { createSmtpTransport } from "${import.meta.resolve("./smtp-transport.ts")}";
    const sink = await createSmtpSink();
    const transport = createSmtpTransport(smtpSettings(sink));
    await transport.send(sendRequest());
    sink.setRules(hangAt("mail"));
    const stop = new AbortController();
    const sending = transport.send(sendRequest({ signal: stop.signal }));
    await sink.waitForPhase("mail", 2);
    stop.abort();
    console.log((await sending).withheld);
    await transport.close();
    await sink.close();
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", timeout: 15_000 });
  expect(await new Response(child.stdout).text()).toBe("aborted\n");
  expect(await child.exited).toBe(0);
}, 20_000);

test("nobody listening and no such host are told apart", async () => {
  const sink = await createSmtpSink();
  const settings = smtpSettings(sink);
  await sink.close();
  const refused = createSmtpTransport({ ...settings, host: "127.0.0.1" });
  expect(await refused.send(sendRequest())).toMatchObject({
    phase: "connect",
    fenced: false,
    error: "connection refused (ECONNREFUSED)",
  });
  const unknown = createSmtpTransport({ ...settings, host: "nowhere.invalid" });
  const report = await unknown.send(sendRequest());
  expect(report).toMatchObject({ phase: "connect", reply: null });
  expect(report.error).toContain("host not found");
});

test("a message larger than the server announced is refused without sending it", async () => {
  const sink = await sinkWith({ extensions: ["SIZE 100"] });
  const transport = transportTo(sink);
  const report = await transport.send(sendRequest({ message: Buffer.alloc(200, "x") }));
  expect(report).toMatchObject({ phase: "mail", reply: { code: 552, enhanced: "5.3.4" } });
  expect(bodiesSeen(sink)).toBe(0);
});

test("words of a failure never carry the addresses a reply quotes", async () => {
  const sink = await sinkWith({ rules: [replyAt("dot", "garbage about one@example.org")] });
  const report = await transportTo(sink).send(sendRequest());
  expect(report).toMatchObject({ phase: "reply", fenced: true, reply: null });
  expect(report.error).not.toContain("@");
});

test("a 421 in the middle of the recipients keeps what was said before it", async () => {
  const rules = [
    replyAt("rcpt", "550 5.1.1 nobody", { argument: "r0@example.org" }),
    replyThenDropAt("rcpt", "421 4.3.2 shutting down", { argument: "r1@example.org" }),
  ];
  const sink = await sinkWith({ rules });
  const envelope = { from: "s@example.com", recipients: recipients(3) };
  const report = await transportTo(sink).send(sendRequest({ envelope }));
  expect(report).toMatchObject({ phase: "rcpt", reply: { code: 421 }, fenced: false });
  expect(report.recipients.map(({ reply }) => reply.code)).toEqual([550, 421]);
});
