import type { SmtpSettings } from "../config.ts";
import { createSmtpTransport, type SmtpTransportDeps } from "../mail/smtp-transport.ts";
import type { SendRequest, Transport } from "../mail/transport.ts";
import { createSmtpSink, type SmtpSink, type SmtpSinkOptions } from "./smtp-sink.ts";

/** Settings that reach the sink: in clear, without a login, five seconds for the last reply. */
export function smtpSettings(sink: SmtpSink, changes: Partial<SmtpSettings> = {}): SmtpSettings {
  return {
    kind: "smtp",
    host: "localhost",
    port: sink.port,
    isSecure: false,
    tls: "off",
    tlsCa: sink.ca,
    user: null,
    pass: null,
    replyTimeoutMs: 5_000,
    poolSize: 2,
    messagesPerConnection: 100,
    ehloName: null,
    auth: null,
    ratePerSecond: null,
    ...changes,
  };
}

/** A message to one recipient whose fence is granted. */
export function sendRequest(changes: Partial<SendRequest> = {}): SendRequest {
  return {
    emailId: "0b5d2f4e-6a6b-4f0e-9f6e-3f1f2f9f7a11",
    ownerId: "ada",
    envelope: {
      from: "sender@example.com",
      recipients: [{ position: 0, address: "one@example.org" }],
    },
    message: Buffer.from("Message-ID: <1@example.com>\r\nSubject: hello\r\n\r\nbody\r\n"),
    messageDate: null,
    fence: async () => ({ granted: true }),
    signal: new AbortController().signal,
    ...changes,
  };
}

/** Recipients `r0@example.org`, `r1@example.org` … at positions 0, 1, … */
export function recipients(count: number): { position: number; address: string }[] {
  return Array.from({ length: count }, (_, position) => ({
    position,
    address: `r${position}@example.org`,
  }));
}

/** Sinks and transports of one test file; call `close` after each test. */
export function createSmtpBench() {
  const parts: { close(): Promise<void> }[] = [];
  return {
    async sinkWith(options: SmtpSinkOptions = {}): Promise<SmtpSink> {
      const sink = await createSmtpSink(options);
      parts.push(sink);
      return sink;
    },
    transportTo(
      sink: SmtpSink,
      settings: Partial<SmtpSettings> = {},
      deps: SmtpTransportDeps = {},
    ): Transport {
      const transport = createSmtpTransport(smtpSettings(sink, settings), deps);
      parts.push(transport);
      return transport;
    },
    async close(): Promise<void> {
      for (const part of parts.splice(0).reverse()) await part.close();
    },
  };
}
