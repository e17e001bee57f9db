import type { SmtpSettings } from "../../config.ts";
import { createKeyRing } from "../../crypto/create-key-ring.ts";
import { createClaimsInMemory } from "../../delivery/claims-in-memory.ts";
import { type Delivered, type DeliveryDeps, deliverOne } from "../../delivery/delivery.ts";
import { createBreaker } from "../../delivery/limits/breaker.ts";
import { createDestinations } from "../../delivery/limits/destinations.ts";
import { noRateLimit } from "../../delivery/limits/rate-limit.ts";
import type { Permit } from "../../delivery/permits.ts";
import { createRefusedSenders } from "../../delivery/refused-senders.ts";
import type { SettleDeps } from "../../delivery/settle.ts";
import { createSettling } from "../../delivery/settling.ts";
import type { EmailDraft } from "../../email/email.ts";
import { createAccept } from "../../emails/accept.ts";
import { createLogger } from "../../log.ts";
import { createPipeSuspicion } from "../../mail/pipe-suspicion.ts";
import { createSmtpTransport } from "../../mail/smtp-transport.ts";
import type { Transport } from "../../mail/transport.ts";
import type { DueSoon, Ticks } from "../../queue/ticks.ts";
import { createByteSemaphore } from "../../runtime/byte-semaphore.ts";
import { noFailPoints } from "../../runtime/fail-points.ts";
import { createAttempts } from "../../store/attempts.ts";
import type { Database } from "../../store/database.ts";
import { createEmails } from "../../store/emails.ts";
import { claimOne } from "../fixtures/claim-one.ts";
import { adminClaims } from "../fixtures/new-email.ts";
import type { SmtpSink } from "../servers/smtp-sink.ts";

/** Settings for a transport that talks to the sink in clear. */
export function sinkSettings(sink: SmtpSink, fields: Partial<SmtpSettings> = {}): SmtpSettings {
  return {
    kind: "smtp",
    host: sink.host,
    port: sink.port,
    isSecure: false,
    tls: "off",
    tlsCa: null,
    user: null,
    pass: null,
    replyTimeoutMs: 2_000,
    poolSize: 5,
    messagesPerConnection: 100,
    ehloName: null,
    auth: null,
    ratePerSecond: null,
    ...fields,
  };
}

/** An email as a caller's request becomes one. */
export function draft(fields: Partial<EmailDraft> = {}): EmailDraft {
  return {
    from: { address: "sender@example.org", name: null },
    replyTo: [],
    to: [{ address: "one@example.com", name: null }],
    cc: [],
    bcc: [],
    subject: "Hello",
    body: "A body.\n",
    htmlBody: null,
    headers: {},
    attachments: [],
    scheduledAt: null,
    maxRetries: 3,
    maxAgeSeconds: 345_600,
    expiresAt: null,
    maxLatenessSeconds: null,
    onLate: "send",
    onUncertain: "retry",
    tags: [],
    metadata: {},
    region: null,
    ...fields,
  };
}

export interface Delivery {
  deps: DeliveryDeps & SettleDeps & { ticks: Ticks };
  /** What the dispatchers were told of, oldest first. */
  told: DueSoon[];
  /** Accepts one email and returns its id. */
  accept(fields?: Partial<EmailDraft>): Promise<string>;
  /** Claims this email, waits for its time when that is near, and delivers it. */
  run(id: string): Promise<Delivered | { kind: "not_claimed" }>;
  /** The stored email, with its replies decrypted. */
  read(id: string): Promise<ReadEmail>;
  drain: AbortController;
  end: AbortController;
  close(): Promise<void>;
}

interface ReadEmail {
  status: string;
  attempts: { number: number; outcome: string; smtpCode: number | null; reply: string | null }[];
  recipients: { status: string; smtpCode: number | null; reply: string | null }[];
}

/** Everything from accept to the wire without the queue: the test itself is the worker. */
export function createDelivery(
  database: Database,
  to: { sink: SmtpSink; settings?: Partial<SmtpSettings> } | { transport: Transport },
): Delivery {
  const sender =
    "sink" in to ? createSmtpTransport(sinkSettings(to.sink, to.settings), {}) : to.transport;
  const keyRing = createKeyRing({ current: "ab".repeat(32), old: [] });
  const semaphore = createByteSemaphore({ bytesMax: 100_000_000 });
  const emails = createEmails(database);
  const workerId = Bun.randomUUIDv7();
  const told: DueSoon[] = [];
  const ticks = { add: (due: DueSoon) => void told.push(due), wakeOthers: () => {} };
  const attempts = createAttempts(database, {
    workerId,
    region: "local",
    transport: sender.name,
  });
  const log = createLogger({ level: "silent" });
  const claimsInMemory = createClaimsInMemory();
  const ending = {
    attempts,
    ticks,
    transport: sender.name,
    minuteMs: 1,
    random: () => 0,
    keyRing,
  };
  const deps: Delivery["deps"] = {
    ...ending,
    claimsInMemory,
    settling: createSettling({
      ...ending,
      claimsInMemory,
      log,
      // Tests put others in their place.
      get attempts() {
        return deps.attempts;
      },
    }),
    sender,
    breaker: createBreaker({
      ...{ concurrencyMax: 100, minuteMs: 1, transport: sender.name, log },
      hasOthers: () => false,
    }),
    region: "local",
    begunMax: 100,
    silentRegions: () => [],
    onBegun: () => {},
    rateLimit: noRateLimit,
    destinations: createDestinations({ minuteMs: 60_000 }),
    pipe: createPipeSuspicion({ minuteMs: 1 }),
    senders: createRefusedSenders({ minuteMs: 60_000 }),
    semaphore,
    log,
    failPoints: noFailPoints,
  };
  const accept = createAccept({
    emails,
    keyRing,
    semaphore,
    ticks,
    region: "local",
    messageBytesMax: 36_700_160,
    newId: () => Bun.randomUUIDv7(),
  });
  const drain = new AbortController();
  const end = new AbortController();

  return {
    deps,
    told,
    drain,
    end,
    async accept(fields) {
      const request = { ownerId: "ada", origin: null, drafts: [draft(fields)], idempotency: null };
      const answer = await accept.accept(request);
      return answer.emails[0]?.id ?? "";
    },
    async run(id) {
      const email = await claimOne(database, deps.attempts, id, { aheadMs: nearMs });
      if (email === null) return { kind: "not_claimed" };
      const drop = claimsInMemory.keep(email);
      await Bun.sleep(email.dueInMs);
      const signals = { drain: drain.signal, end: end.signal };
      const buffered = { email, opened: null, isSuspect: false, heldMs: () => 0 };
      return await deliverOne(deps, buffered, await enterAlone(deps), signals).finally(drop);
    },
    async read(id) {
      const email = await emails.get(id, adminClaims);
      if (!email?.wrappedKey) throw new Error("no such email");
      const key = keyRing.openDataKey(email.wrappedKey, id, email.ownerId);
      const open = (text: string | null, column: string) =>
        text === null ? null : key.decryptText(text, column);
      return {
        status: email.status,
        attempts: email.attempts.map(({ number, outcome, smtpCode, reply }) => ({
          number,
          outcome,
          smtpCode,
          reply: open(reply, `attempt:${number}:reply`),
        })),
        recipients: email.recipients.map(({ status, smtpCode, reply, position }) => ({
          status,
          smtpCode,
          reply: open(reply, `reply:${position}`),
        })),
      };
    },
    close: () => sender.close(),
  };
}

/** An email due within this is waited for. */
const nearMs = 5_000;

/** Waits until the breaker lets an email through. */
async function enterAlone({ breaker, rateLimit }: DeliveryDeps): Promise<Permit> {
  for (;;) {
    const { promise, resolve } = Promise.withResolvers<void>();
    breaker.onChange = resolve;
    const pass = breaker.tryEnter();
    const admission = pass && rateLimit.tryAdmit();
    if (pass && admission) {
      return {
        pass,
        admission,
        release() {
          pass.leave("nothing");
          admission.end();
        },
      };
    }
    await promise;
  }
}
