import { createServer, type Server, type Socket } from "node:net";
import { createSecureContext, createServer as createTlsServer } from "node:tls";
import { parseArgs } from "node:util";
import { makeTestCertificate, type TestCertificate } from "../fixtures/test-certificate.ts";
import { createAcceptanceLog } from "../model/acceptance-log.ts";
import {
  type ScriptedRule,
  type SinkContext,
  type SinkPhase,
  type SinkRule,
  scripted,
} from "./smtp-sink-rules.ts";
import { type AcceptedMessage, type SessionOptions, SmtpSinkSession } from "./smtp-sink-session.ts";

/** One message the sink took, in the order of taking. */
export interface Acceptance extends AcceptedMessage {
  at: Date;
}

export interface SmtpSinkOptions {
  /** 0, the default: any free port. */
  port?: number;
  /** Asked in order; see `smtp-sink-rules.ts`. */
  rules?: SinkRule[];
  /** `none` (default): in clear; `starttls`: offered; `implicit`: from the first byte. */
  tls?: "none" | "starttls" | "implicit";
  certificate?: TestCertificate;
  /** The one user AUTH PLAIN and LOGIN let in; without it AUTH is not offered. */
  auth?: { user: string; pass: string };
  /** 530 at MAIL without AUTH. Default false. */
  isAuthRequired?: boolean;
  /** Default PIPELINING, 8BITMIME, ENHANCEDSTATUSCODES. */
  extensions?: string[];
  /** Connections at the same time; each one more gets `surplus`. Default: no limit. */
  connectionsMax?: number;
  /** `close`: without a word. Default `421`, in place of the greeting. */
  surplus?: "421" | "close";
  /** A JSON line for each acceptance, on the disk before the 250 is written. */
  logFile?: string;
  /** Adds `message_base64` to the lines. Default false. */
  isLoggingMessages?: boolean;
}

export interface SmtpSink {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** Trust this to verify the sink's certificate; null without TLS. */
  readonly ca: string | null;
  readonly acceptances: Acceptance[];
  /** Everything the rules were asked, oldest first. */
  readonly steps: SinkContext[];
  /** Of every AUTH command, oldest first. */
  readonly mechanisms: string[];
  readonly connectionCount: number;
  readonly openConnectionCount: number;
  /** Those turned away because of `connectionsMax`. */
  readonly refusedConnectionCount: number;
  /** From now on; those that are open stay. */
  setConnectionsMax(count: number): void;
  /** Replaces all rules, for connections in use too. */
  setRules(...rules: SinkRule[]): void;
  /** Resolves once so many messages were taken; rejects after the time. */
  waitForAcceptances(count: number, timeoutMs?: number): Promise<Acceptance[]>;
  /** Resolves once a phase was reached so many times; rejects after the time. */
  waitForPhase(phase: SinkPhase, count?: number, timeoutMs?: number): Promise<void>;
  /** Resets every open connection, as a restarting server does. */
  dropConnections(): void;
  close(): Promise<void>;
}

/**
 * An SMTP server that does as it is told, for tests only. Without rules it is a well-behaved next
 * hop that takes everything. Written on sockets, since a library would not let us misbehave.
 */
export async function createSmtpSink(options: SmtpSinkOptions = {}): Promise<SmtpSink> {
  const tls = options.tls ?? "none";
  const certificate = tls === "none" ? null : (options.certificate ?? makeTestCertificate());
  const sessions = new Map<SmtpSinkSession, Socket>();
  const acceptances: Acceptance[] = [];
  const steps: SinkContext[] = [];
  const mechanisms: string[] = [];
  const watchers = new Set<() => void>();
  const log = options.logFile ? createAcceptanceLog(options.logFile) : null;
  let rules = options.rules ?? [];
  let connectionCount = 0;
  let refusedConnectionCount = 0;
  let connectionsMax = options.connectionsMax ?? Number.POSITIVE_INFINITY;

  function notify(): void {
    for (const watcher of [...watchers]) watcher();
  }

  function decide(context: SinkContext) {
    steps.push(context);
    notify();
    for (const rule of rules) {
      const action = rule(context);
      if (action) return action;
    }
    return null;
  }

  async function accept(accepted: AcceptedMessage): Promise<void> {
    const acceptance = { ...accepted, at: new Date() };
    await log?.append(logLine(acceptance, options.isLoggingMessages ?? false));
    acceptances.push(acceptance);
    notify();
  }

  const secureContext = certificate ? createSecureContext(certificate) : null;
  const sessionOptions: Omit<SessionOptions, "connectionId"> = {
    isTls: tls === "implicit",
    secureContext: tls === "starttls" ? secureContext : null,
    auth: options.auth ?? null,
    isAuthRequired: options.isAuthRequired ?? false,
    extensions: options.extensions ?? ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"],
    onAuth: (mechanism) => void mechanisms.push(mechanism),
    decide,
    accept,
  };

  function turnAway(socket: Socket): void {
    refusedConnectionCount += 1;
    socket.on("error", () => socket.destroy());
    if (options.surplus === "close") socket.destroy();
    else socket.end("421 4.7.0 Too many connections from you\r\n");
  }

  function serve(socket: Socket): void {
    if (sessions.size >= connectionsMax) {
      turnAway(socket);
      return;
    }
    connectionCount += 1;
    socket.setNoDelay(true);
    const session = new SmtpSinkSession(socket, {
      ...sessionOptions,
      connectionId: connectionCount,
    });
    sessions.set(session, socket);
    socket.once("close", () => {
      sessions.delete(session);
      notify();
    });
    void session.greet();
  }

  const server = certificate && tls === "implicit" ? tlsServer(certificate, serve) : plain(serve);
  const port = await listen(server, options.port ?? 0);

  function until(isDone: () => boolean, timeoutMs: number, what: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => finish(new Error(`${what()} after ${timeoutMs} ms`)),
        timeoutMs,
      );
      function finish(error?: Error): void {
        clearTimeout(timer);
        watchers.delete(check);
        if (error) reject(error);
        else resolve();
      }
      function check(): void {
        if (isDone()) finish();
      }
      watchers.add(check);
      check();
    });
  }

  return {
    host: "127.0.0.1",
    port,
    ca: certificate?.ca ?? null,
    acceptances,
    steps,
    mechanisms,
    get connectionCount() {
      return connectionCount;
    },
    get openConnectionCount() {
      return sessions.size;
    },
    get refusedConnectionCount() {
      return refusedConnectionCount;
    },
    setConnectionsMax(count) {
      connectionsMax = count;
    },
    setRules(...replacement) {
      rules = replacement;
    },
    async waitForAcceptances(count, timeoutMs = 10_000) {
      await until(
        () => acceptances.length >= count,
        timeoutMs,
        () => `the sink took ${acceptances.length} messages of ${count}`,
      );
      return acceptances;
    },
    waitForPhase: (phase, count = 1, timeoutMs = 10_000) =>
      until(
        () => steps.filter((step) => step.phase === phase).length >= count,
        timeoutMs,
        () => `the sink saw ${phase} fewer than ${count} times`,
      ),
    dropConnections() {
      for (const session of sessions.keys()) session.destroy();
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const [session, socket] of sessions) {
        session.destroy();
        socket.destroy();
      }
      await closed;
      log?.close();
    },
  };
}

function plain(serve: (socket: Socket) => void): Server {
  return createServer(serve);
}

function tlsServer({ cert, key }: TestCertificate, serve: (socket: Socket) => void): Server {
  const server = createTlsServer({ cert, key }, serve);
  server.on("tlsClientError", () => {
    // A client that does not trust us ends the handshake; that is its right.
  });
  return server;
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      if (address && typeof address === "object") resolve(address.port);
      else reject(new Error("the sink has no port"));
    });
  });
}

function logLine(acceptance: Acceptance, isWithMessage: boolean): string {
  return JSON.stringify({
    message_id: acceptance.messageId,
    from: acceptance.envelope.from,
    recipients: acceptance.envelope.recipients,
    at: acceptance.at.toISOString(),
    connection_id: acceptance.connectionId,
    is_tls: acceptance.isTls,
    user: acceptance.user,
    is_answered: acceptance.isAnswered,
    size_bytes: acceptance.message.length,
    sha256: Bun.SHA256.hash(acceptance.message, "hex"),
    ...(isWithMessage
      ? { message_base64: Buffer.from(acceptance.message).toString("base64") }
      : {}),
  });
}

/** `bun src/testing/servers/smtp-sink.ts --port 0 --log file` prints `{"port":…,"ca":…}` and serves. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "0" },
      log: { type: "string" },
      "log-messages": { type: "boolean", default: false },
      tls: { type: "string", default: "none" },
      user: { type: "string" },
      pass: { type: "string" },
      /** A `ScriptedRule` as JSON; may be given several times. */
      rule: { type: "string", multiple: true, default: [] },
    },
  });
  const { tls } = values;
  if (tls !== "none" && tls !== "starttls" && tls !== "implicit")
    throw new Error("--tls is none, starttls or implicit");
  const rules = values.rule.map((text) => scripted(JSON.parse(text) as ScriptedRule));
  const sink = await createSmtpSink({
    port: Number(values.port),
    tls,
    rules,
    isLoggingMessages: values["log-messages"],
    ...(values.log ? { logFile: values.log } : {}),
    ...(values.user ? { auth: { user: values.user, pass: values.pass ?? "" } } : {}),
  });
  process.stdout.write(`${JSON.stringify({ port: sink.port, ca: sink.ca })}\n`);
}

if (import.meta.main) await main();
