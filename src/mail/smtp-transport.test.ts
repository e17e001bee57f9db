import { afterEach, describe, expect, test } from "bun:test";
import { createSmtpBench, recipients, sendRequest } from "../testing/fixtures/smtp-fixtures.ts";
import { hangAt, replyAt, scripted } from "../testing/servers/smtp-sink-rules.ts";
import { adviceFor } from "./advice.ts";

const { sinkWith, transportTo, close } = createSmtpBench();

afterEach(close);

describe("a message that is taken", () => {
  test("arrives to the byte, with the Date of the attempt in front and dots stuffed", async () => {
    const sink = await sinkWith();
    const message = Buffer.from(
      "Subject: dots\r\nMessage-ID: <dots@example.com>\r\n\r\n.\r\n..\r\n.lead\r\nend\r\n",
    );
    const now = () => new Date("2026-11-24T03:00:00.789Z");
    const fenced: Date[] = [];
    const report = await transportTo(sink, {}, { now }).send(
      sendRequest({
        message,
        fence: async (date) => {
          fenced.push(date);
          return { granted: true };
        },
      }),
    );
    expect(report).toMatchObject({ phase: "reply", fenced: true, error: null, withheld: null });
    expect(report.reply).toEqual({ code: 250, enhanced: "2.0.0", text: "queued as 1" });
    expect(report.messageDate).toEqual(new Date("2026-11-24T03:00:00.000Z"));
    expect(fenced).toEqual([new Date("2026-11-24T03:00:00.000Z")]);
    expect(report.transport).toBe(`localhost:${sink.port}`);
    const [taken] = sink.acceptances;
    const expected = `Date: Tue, 24 Nov 2026 03:00:00 +0000\r\n${message.toString()}`;
    expect(Buffer.from(taken?.message ?? []).toString()).toBe(expected);
    expect(taken).toMatchObject({
      messageId: "<dots@example.com>",
      envelope: { from: "sender@example.com", recipients: ["one@example.org"] },
    });
  });

  test("repeats the Date of an earlier attempt when it is given one", async () => {
    const sink = await sinkWith();
    const messageDate = new Date("2026-01-02T03:04:05.000Z");
    const report = await transportTo(sink).send(sendRequest({ messageDate }));
    expect(report.messageDate).toEqual(messageDate);
    const text = Buffer.from(sink.acceptances[0]?.message ?? []).toString();
    expect(text).toStartWith("Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n");
  });

  test("arrives whole when it is large", async () => {
    const sink = await sinkWith();
    const line = `${"x".repeat(76)}\r\n`;
    const message = Buffer.from(`Subject: large\r\n\r\n${line.repeat(40_000)}`);
    const report = await transportTo(sink).send(sendRequest({ message }));
    expect(report.reply?.code).toBe(250);
    const taken = Buffer.from(sink.acceptances[0]?.message ?? []);
    expect(taken.subarray(-message.length).equals(message)).toBe(true);
  });

  test("goes on without PIPELINING", async () => {
    const sink = await sinkWith({ extensions: [] });
    const envelope = { from: "s@example.com", recipients: recipients(3) };
    const report = await transportTo(sink).send(sendRequest({ envelope }));
    expect(report.recipients.map(({ position, reply }) => [position, reply.code])).toEqual([
      [0, 250],
      [1, 250],
      [2, 250],
    ]);
  });

  for (const mode of ["starttls", "implicit"] as const) {
    test(`goes over ${mode} TLS with a login, its certificate verified`, async () => {
      const auth = { user: "user", pass: "pass word" };
      const sink = await sinkWith({ tls: mode, auth, isAuthRequired: true });
      const isSecure = mode === "implicit";
      const report = await transportTo(sink, { isSecure, tls: "required", ...auth }).send(
        sendRequest(),
      );
      expect(report.reply?.code).toBe(250);
      expect(sink.acceptances[0]).toMatchObject({ isTls: true, user: "user" });
    });
  }

  test("logs in by AUTH LOGIN where PLAIN is not offered", async () => {
    const auth = { user: "user", pass: "pass" };
    const sink = await sinkWith({ auth, isAuthRequired: true });
    const plainless = "250-sink.test\n250 AUTH LOGIN";
    sink.setRules(replyAt("ehlo", plainless));
    const report = await transportTo(sink, auth).send(sendRequest());
    expect(report.reply?.code).toBe(250);
  });
});

describe("TLS", () => {
  test("a certificate nobody vouches for is refused where TLS is required", async () => {
    for (const mode of ["starttls", "implicit"] as const) {
      const sink = await sinkWith({ tls: mode });
      const isSecure = mode === "implicit";
      const report = await transportTo(sink, { isSecure, tls: "required", tlsCa: null }).send(
        sendRequest(),
      );
      expect(report).toMatchObject({ phase: "starttls", fenced: false, reply: null });
      expect(report.error).toStartWith("TLS: ");
      expect(sink.acceptances).toEqual([]);
    }
  });

  test("opportunistic uses the STARTTLS that is offered, without verifying", async () => {
    const sink = await sinkWith({ tls: "starttls" });
    const report = await transportTo(sink, { tls: "opportunistic", tlsCa: null }).send(
      sendRequest(),
    );
    expect(report.reply?.code).toBe(250);
    expect(sink.acceptances[0]?.isTls).toBe(true);
  });

  test("opportunistic goes on in clear where none is offered", async () => {
    const sink = await sinkWith();
    const report = await transportTo(sink, { tls: "opportunistic" }).send(sendRequest());
    expect(report.reply?.code).toBe(250);
  });

  test("a password is sent to this machine alone where TLS is not required", async () => {
    const auth = { user: "user", pass: "pass word" };
    for (const mode of ["none", "starttls"] as const) {
      for (const tls of ["opportunistic", "off"] as const) {
        const sink = await sinkWith({ tls: mode, auth, isAuthRequired: true });
        // Reaches the sink, but is no name of this machine as far as settings go.
        const report = await transportTo(sink, { host: "0.0.0.0", tls, ...auth }).send(
          sendRequest(),
        );
        expect(report).toMatchObject({ phase: "starttls", fenced: false, reply: null });
        expect(report.error).toBe(
          "TLS: the connection is not verified, so the password was not sent",
        );
        expect(adviceFor(report)).toContain("SMTP_TLS=required");
        expect(sink.mechanisms).toEqual([]);
        const near = await transportTo(sink, { host: "127.0.0.1", tls, ...auth }).send(
          sendRequest(),
        );
        expect(near.reply?.code).toBe(250);
      }
    }
  });

  test("required is never satisfied with clear text", async () => {
    const sink = await sinkWith();
    const report = await transportTo(sink, { tls: "required" }).send(sendRequest());
    expect(report).toMatchObject({ phase: "starttls", reply: { code: 502 } });
    expect(sink.acceptances).toEqual([]);
  });
});

describe("connections", () => {
  test("are used again: many messages need no more of them than the pool may hold", async () => {
    const sink = await sinkWith();
    const transport = transportTo(sink, { poolSize: 3 });
    const reports = await Promise.all(
      Array.from({ length: 60 }, () => transport.send(sendRequest())),
    );
    expect(reports.every(({ reply }) => reply?.code === 250)).toBe(true);
    expect(sink.acceptances).toHaveLength(60);
    expect(sink.connectionCount).toBeLessThanOrEqual(3);
  });

  test("in conversation at the same time are never more than the pool may hold", async () => {
    const sink = await sinkWith();
    const transport = transportTo(sink, { poolSize: 3 });
    let now = 0;
    let most = 0;
    // Counted at the server, from the envelope to the end of the message.
    const held = async (): Promise<void> => {
      now += 1;
      most = Math.max(most, now);
      await Bun.sleep(15);
      now -= 1;
    };
    sink.setRules(({ phase }) => (phase === "dot" ? { do: "wait", until: held() } : null));
    await Promise.all(Array.from({ length: 30 }, () => transport.send(sendRequest())));
    expect(sink.acceptances).toHaveLength(30);
    expect(most).toBe(3);
  });

  test("are given to owners in turns: a flood does not keep another's mail waiting", async () => {
    const sink = await sinkWith();
    const transport = transportTo(sink, { poolSize: 1 });
    const from = (owner: string) =>
      transport.send(
        sendRequest({
          ownerId: owner,
          envelope: { from: `${owner}@example.com`, recipients: recipients(1) },
        }),
      );
    await Promise.all([...Array.from({ length: 8 }, () => from("ada")), from("bob")]);
    const senders = sink.acceptances.map(({ envelope }) => envelope.from);
    expect(senders.indexOf("bob@example.com")).toBe(1);
  });

  test("survive a refusal, of a recipient, of DATA or of the message", async () => {
    const sink = await sinkWith();
    const transport = transportTo(sink, { poolSize: 1 });
    for (const phase of ["mail", "rcpt", "data", "dot"] as const) {
      sink.setRules(replyAt(phase, "550 5.0.0 no", { times: 1 }));
      expect((await transport.send(sendRequest())).phase).toBe(phase === "dot" ? "reply" : phase);
      expect((await transport.send(sendRequest())).reply?.code).toBe(250);
    }
    expect(sink.connectionCount).toBe(1);
  });

  test("that died while idle do not cost the attempt", async () => {
    const sink = await sinkWith();
    const transport = transportTo(sink);
    // The loss is noticed at some turn of the event loop; a message may come before, at or after it.
    for (let turns = 0; turns < 12; turns += 1) {
      expect((await transport.send(sendRequest())).reply?.code).toBe(250);
      sink.dropConnections();
      for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
    }
    expect(sink.acceptances).toHaveLength(12);
  });

  test("that are closed at the next MAIL do not cost the attempt either", async () => {
    const sink = await sinkWith();
    const transport = transportTo(sink);
    for (const action of [
      { do: "drop" },
      { do: "reply_then_drop", text: "421 4.4.2 idle too long" },
    ] as const) {
      sink.setRules();
      await transport.send(sendRequest());
      sink.setRules(scripted({ phase: "mail", action, times: 1 }));
      expect((await transport.send(sendRequest())).reply?.code).toBe(250);
    }
    expect(sink.connectionCount).toBe(3);
  });

  test("a fresh connection that is lost at MAIL is not tried twice", async () => {
    const sink = await sinkWith({ rules: [scripted({ phase: "mail", action: { do: "drop" } })] });
    const report = await transportTo(sink).send(sendRequest());
    expect(report).toMatchObject({ phase: "mail", reply: null, fenced: false });
    expect(sink.connectionCount).toBe(1);
  });

  test("are closed when idle for their time, and at close", async () => {
    const sink = await sinkWith();
    const shortLived = transportTo(sink, {}, { idleMs: 20 });
    await shortLived.send(sendRequest());
    await sink.waitForPhase("quit", 1);
    const transport = transportTo(sink);
    await transport.send(sendRequest());
    await transport.close();
    await sink.waitForPhase("quit", 2);
  });

  test("a caller who waits for one gives up when the work is stopped", async () => {
    const sink = await sinkWith({ rules: [hangAt("mail")] });
    const transport = transportTo(sink, { poolSize: 1 });
    const first = new AbortController();
    const second = new AbortController();
    const busy = transport.send(sendRequest({ signal: first.signal }));
    const waiting = transport.send(sendRequest({ signal: second.signal }));
    await sink.waitForPhase("mail");
    second.abort();
    expect(await waiting).toMatchObject({ phase: "connect", withheld: "aborted" });
    first.abort();
    expect(await busy).toMatchObject({ withheld: "aborted", fenced: false });
    sink.setRules();
    expect((await transport.send(sendRequest())).reply?.code).toBe(250);
  });
});
