import type { Socket } from "node:net";
import { rootCertificates } from "node:tls";
import SMTPConnection, { type SMTPConnectionOptions } from "nodemailer/lib/smtp-connection";
import type { SmtpSettings } from "../config.ts";
import { isLoopback } from "../runtime/loopback.ts";
import { createSmtpExchange, type OutgoingMessage, type SmtpExchange } from "./smtp-exchange.ts";
import { describeFailure, type SmtpFailure } from "./smtp-failure.ts";
import { createLoginChoice, type LoginChoice, logIn, type Mechanism } from "./smtp-login.ts";
import { createSmtpTranscript, type SmtpTranscript } from "./smtp-transcript.ts";

/** How long a server may take to say goodbye before we hang up. */
const quitTimeoutMs = 1_000;

/** One connection to the next hop, for one message after the other. */
export interface SmtpSession {
  readonly transcript: SmtpTranscript;
  /** Set once the connection is of no more use. */
  readonly failure: SmtpFailure | null;
  /** It has carried as many messages as it may: SMTP_MESSAGES_PER_CONNECTION, or MAILMAX. */
  readonly isSpent: boolean;
  /** Resolves when the session is ready for a message, or has failed. */
  open(): Promise<void>;
  /** Resolves at the reply that ends the message, or when the session has failed. */
  send(message: OutgoingMessage): Promise<void>;
  /** Ends an open transaction on the server's side; false: the session is of no more use. */
  reset(): Promise<boolean>;
  /** Hangs up at once. */
  close(failure: SmtpFailure): void;
  /** Says QUIT; resolves when the connection has ended. */
  quit(): Promise<void>;
  /** Called once, when the connection ends for whatever reason. */
  onEnd: () => void;
}

/**
 * Connects by nodemailer's SMTPConnection, which speaks TLS and AUTH, and takes over from there.
 * What nodemailer cannot tell (how far the conversation had come) is read off its transaction log.
 */
export function createSmtpSession(
  settings: SmtpSettings,
  setupTimeoutMs: number,
  choice: LoginChoice = createLoginChoice(settings),
): SmtpSession {
  const transcript = createSmtpTranscript();
  const peer = { address: "" };
  const connection = new SMTPConnection({
    ...connectionOptions(settings, setupTimeoutMs),
    logger: transcriptLogger(transcript, peer),
    transactionLog: true,
  });
  let exchange: SmtpExchange | null = null;
  let messages = 0;
  const lifetime = createLifetime(() => {
    exchange?.end();
    session.onEnd();
  });
  const { fail, orEnd } = lifetime;

  /** Null: logged in, or nobody asked for it. */
  async function enterLogin(): Promise<SmtpFailure | null> {
    // A server that offers no AUTH may still relay for us; if it will not, it answers 530.
    if (settings.user === null || !transcript.announced.keywords.has("AUTH")) return null;
    const isVerified = mayCarryPassword(settings, peer.address);
    transcript.enter(isVerified ? "auth" : "starttls");
    if (!isVerified) return unverified;
    return await logIn(transcript, choice, loginOver(connection, lifetime, settings));
  }

  const session: SmtpSession = {
    transcript,
    get failure() {
      return lifetime.failure;
    },
    async open() {
      await orEnd((resolve) =>
        connection.connect((error) => (error ? fail(describeFailure(error)) : resolve())),
      );
      const refused = await enterLogin();
      if (refused) session.close(refused);
      if (lifetime.failure) return;
      const socket = takeSocket(connection);
      exchange = createSmtpExchange({ socket, transcript, onBroken: session.close });
    },
    get isSpent() {
      return messages >= messagesMaxOf(settings, transcript);
    },
    async send(message) {
      messages += 1;
      await exchange?.send(message);
    },
    async reset() {
      const reply = await exchange?.command("RSET");
      return reply?.startsWith("2") === true && !lifetime.failure;
    },
    close(reason) {
      fail(reason);
      connection.close();
    },
    async quit() {
      if (lifetime.failure) return;
      const timer = setTimeout(() => connection.close(), quitTimeoutMs);
      await exchange?.command("QUIT");
      clearTimeout(timer);
      session.close({ words: "connection closed", isTls: false });
    },
    onEnd: () => {
      // Set by whoever holds the session.
    },
  };

  connection.on("error", (error) => {
    fail(describeFailure(error));
  });
  connection.on("end", () => {
    exchange?.hangUp();
    fail(exchange?.isWaiting ? closedByServer : closed);
  });
  return session;
}

function messagesMaxOf(settings: SmtpSettings, { announced }: SmtpTranscript): number {
  const { mailMax } = announced.limits;
  return Math.min(settings.messagesPerConnection, mailMax ?? Number.POSITIVE_INFINITY);
}

/**
 * A password goes over TLS whose certificate was verified (which `required` makes sure of), or to
 * this machine. `loadConfig` refuses other settings; here it is judged by where the connection led.
 */
function mayCarryPassword({ tls, host }: SmtpSettings, peerAddress: string): boolean {
  return tls === "required" || (isLoopback(host) && isLoopback(peerAddress));
}

const unverified = {
  words: "TLS: the connection is not verified, so the password was not sent",
  isTls: true,
};
const closed = { words: "connection closed", isTls: false };
const closedByServer = { words: "connection closed by the server (ECONNECTION)", isTls: false };

/**
 * The socket of a connection that is set up, TLS or not, and nobody else listens to what comes:
 * nodemailer goes on minding its errors and its end. It has no public way to give it away.
 */
function takeSocket(connection: SMTPConnection): Socket {
  const { _socket: socket, _onSocketData: listener } = connection as unknown as {
    _socket?: Socket;
    _onSocketData?: (chunk: string | Buffer) => void;
  };
  if (!socket || !listener || !socket.listeners("data").includes(listener)) {
    throw new Error("nodemailer keeps its socket elsewhere now: see takeSocket");
  }
  socket.removeListener("data", listener);
  return socket;
}

/** The end of a connection, which comes once and whenever it likes. */
function createLifetime(onEnd: () => void) {
  const ended = Promise.withResolvers<void>();
  let failure: SmtpFailure | null = null;
  return {
    get failure() {
      return failure;
    },
    fail(reason: SmtpFailure): void {
      if (failure) return;
      failure = reason;
      ended.resolve();
      onEnd();
    },
    /** Waits for nodemailer's callback, or for the end: its `close` forgets the callbacks. */
    async orEnd(start: (resolve: () => void) => void): Promise<void> {
      if (failure) return;
      const answered = Promise.withResolvers<void>();
      start(answered.resolve);
      await Promise.race([answered.promise, ended.promise]);
    },
  };
}

/** True: logged in; false: refused; null: the connection has ended. */
function loginOver(
  connection: SMTPConnection,
  lifetime: ReturnType<typeof createLifetime>,
  { user, pass }: Pick<SmtpSettings, "user" | "pass">,
) {
  const credentials = { user: user ?? "", pass: pass ?? "" };
  return async (method: Mechanism): Promise<boolean | null> => {
    let isIn: boolean | null = null;
    await lifetime.orEnd((resolve) =>
      connection.login({ ...credentials, method }, (error) => {
        // Without a reply it was the connection that failed.
        const isRefused = Boolean((error as { response?: string } | null)?.response);
        isIn = error ? (isRefused ? false : null) : true;
        resolve();
      }),
    );
    return isIn;
  };
}

function connectionOptions(settings: SmtpSettings, setupTimeoutMs: number): SMTPConnectionOptions {
  return {
    host: settings.host,
    port: settings.port,
    ...(settings.ehloName === null ? {} : { name: settings.ehloName }),
    secure: settings.isSecure,
    requireTLS: settings.tls === "required",
    ignoreTLS: settings.tls === "off",
    opportunisticTLS: settings.tls === "opportunistic",
    tls: {
      // Opportunistic is better than clear text and no more: whoever could forge the certificate
      // could as well take the offer of STARTTLS away.
      rejectUnauthorized: settings.tls !== "opportunistic",
      ...(settings.tlsCa ? { ca: [...rootCertificates, settings.tlsCa] } : {}),
    },
    connectionTimeout: setupTimeoutMs,
    greetingTimeout: setupTimeoutMs,
    dnsTimeout: setupTimeoutMs,
    // Our own deadlines are the ones that count; this one must never come first.
    socketTimeout: settings.replyTimeoutMs * 2 + 600_000,
    // The peer's FIN is not worth waiting for: nothing of ours is on the way when we hang up.
    socketCloseTimeout: 0,
    maxResponseSize: 64 * 1024,
  };
}

/** Nothing of this is written anywhere: the lines carry addresses. */
function transcriptLogger(transcript: SmtpTranscript, peer: { address: string }) {
  const ignore = (): void => {};
  function debug(entry: unknown, line?: unknown): void {
    const { tnx } = entry as { tnx?: string };
    if (typeof line !== "string") return;
    if (tnx === "client") transcript.sent(line);
    if (tnx === "server") transcript.received(line);
  }
  function info(entry: unknown): void {
    const { remotePort, remoteAddress } = entry as Record<string, unknown>;
    if (typeof remotePort !== "number") return;
    peer.address = String(remoteAddress);
    transcript.enter("greeting");
  }
  return { trace: ignore, debug, info, warn: ignore, error: ignore, fatal: ignore };
}
