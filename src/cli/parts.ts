import { createHash } from "node:crypto";
import { type Config, processEnvironment, type SmtpSettings } from "../config.ts";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { loadOrCreateSecrets, type Secrets } from "../crypto/secrets.ts";
import { createSealer } from "../journal/seal.ts";
import { tellOfCalls } from "../journal/tell-of-calls.ts";
import type { Logger } from "../log.ts";
import { createByteSemaphore } from "../mail/byte-semaphore.ts";
import { createCaptureTransport } from "../mail/capture-transport.ts";
import { createPipeSuspicion } from "../mail/pipe-suspicion.ts";
import { createSmtpTransport } from "../mail/smtp-transport.ts";
import type { Transport } from "../mail/transport.ts";
import { createAccept } from "../queue/accept.ts";
import { createBreaker } from "../queue/breaker.ts";
import { createChange } from "../queue/change.ts";
import { type ClockSkew, createClockSkew } from "../queue/clock-skew.ts";
import { createDestinations } from "../queue/destinations.ts";
import { aheadMax, createDirectDelivery, type DirectDelivery } from "../queue/direct-delivery.ts";
import { createEnqueue, type Enqueue, type WakeJob } from "../queue/enqueue.ts";
import { createFailPoints, type FailPoints, noFailPoints } from "../queue/fail-points.ts";
import { createHeadroom, type Headroom } from "../queue/headroom.ts";
import { createHoldings, type Holdings } from "../queue/holdings.ts";
import { createQueueBackend } from "../queue/queue-backend.ts";
import { createQueueHealthWatch } from "../queue/queue-health.ts";
import { emailQueueName } from "../queue/queue-options.ts";
import { createQueuePause, type QueuePause } from "../queue/queue-pause.ts";
import {
  createRateLimit,
  noRateLimit,
  type RateLimit,
  sharedSlotMargin,
  slotMargin,
} from "../queue/rate-limit.ts";
import { createReconciler } from "../queue/reconcile.ts";
import { createRefusedSenders } from "../queue/refused-senders.ts";
import { createNudge } from "../queue/repeat-steadily.ts";
import { createSelfAudit } from "../queue/self-audit.ts";
import { createSettling, type Settling } from "../queue/settling.ts";
import { createAttempts } from "../store/attempts.ts";
import { createBulkCancel } from "../store/bulk-cancel.ts";
import { createChanges } from "../store/changes.ts";
import type { Database } from "../store/database.ts";
import { createDeadLetters } from "../store/dead-letters.ts";
import { createEmails } from "../store/emails.ts";
import { createFigureReader } from "../store/figures.ts";
import { createFleetStore } from "../store/fleet.ts";
import { createHeldClaims } from "../store/held-claims.ts";
import { createJournal } from "../store/journal.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { createPresence, type Presence } from "../store/presence.ts";
import { createTransportSlots } from "../store/transport-slots.ts";
import { createFleet, type Fleet } from "./fleet.ts";
import { measureAccept } from "./metrics/measure-accept.ts";
import { measureAttempts } from "./metrics/measure-attempts.ts";
import { measureDatabase } from "./metrics/measure-database.ts";
import { createMetrics, type Metrics } from "./metrics/metrics.ts";
import { type OwnParts, ownState } from "./own-state.ts";

/** A worker or server whose beat is silent for this long is dead to the others. */
const deadAfterMs = 5_000;
/** Capturing answers at once; what takes longer than this never will. */
const captureReplyTimeoutMs = 5_000;
/** Messages that are being accepted or sent hold at most this much memory, copies included. */
const bytesInFlightMax = 384 * 1024 * 1024;
/** PGlite holds copies of its own, in a memory that never shrinks; enough for the largest email. */
const embeddedBytesInFlightMax = 256 * 1024 * 1024;
/** Accepts, claims, fences and settles have two calls each under way; the rest is for reads. */
const databasePoolSize = 16;

/**
 * Opens the database that the configuration names; the embedded one takes its folder's lock. What
 * only one of them needs is loaded with it.
 */
export async function openDatabase(config: Config): Promise<Database> {
  const { database, dataDir } = config;
  switch (database.driver) {
    case "pglite": {
      const { openPgliteDatabase } = await import("../store/pglite-database.ts");
      return await openPgliteDatabase({ dataDir });
    }
    case "postgres":
      return createPostgresDatabase({ url: database.url, poolSize: databasePoolSize });
    case "supabase": {
      const { createSupabaseDatabase } = await import("../store/supabase-database.ts");
      return createSupabaseDatabase(database);
    }
  }
}

/** From the environment, or generated once beside the embedded database, under its lock. */
export function secretsOf(config: Config): Secrets {
  const { encryptionKey } = config;
  const given = { encryptionKey, jwtSecret: config.jwt.secret };
  if (config.database.driver === "pglite") return loadOrCreateSecrets(config.dataDir, given);
  // loadConfig refuses a shared database without both.
  return {
    encryptionKey: given.encryptionKey ?? "",
    encryptionKeysOld: [],
    jwtSecret: given.jwtSecret ?? "",
  };
}

/** The current key and every former one that is known, from wherever. */
export function keyRingOf({ encryptionKeysOld }: Config, secrets: Secrets): KeyRing {
  const old = [...encryptionKeysOld, ...secrets.encryptionKeysOld];
  return createKeyRing({ current: secrets.encryptionKey, old });
}

/** Everything between the API and the wires, connected but not running. */
export type Parts = ReturnType<typeof createParts>;

export function createParts(config: Config, opened: Database, secrets: Secrets, log: Logger) {
  const metrics = createMetrics();
  const { database, sealer } = withSealer(measureDatabase(metrics, opened), log);
  const newId = () => Bun.randomUUIDv7();
  const failPoints = openFailPoints();
  const workerId = newId();
  const { region, queueHorizonMs: horizonMs } = config;
  const keyRing = keyRingOf(config, secrets);
  const semaphore = createByteSemaphore({ bytesMax: bytesMaxOf(config) });
  const clockSkew = createClockSkew({ log });
  const sender = createTransport(config, log, clockSkew);
  const presence = createPresenceOf(config, database, workerId);
  const backend = createQueueBackend({ config: config.queue, database, region, log });
  const queue = backend.createQueue<WakeJob>(emailQueueName);
  const waking = { queue, presence, clockSkew, log, failPoints };
  const enqueue = createEnqueue({ ...waking, aheadMax: aheadMaxOf(config) });
  const transport = sender.name;
  const claimant = { workerId, region, transport, horizonMs };
  const emails = createEmails(database, claimant);
  const pause = createQueuePause(queue);
  const queueHealth = createQueueHealthWatch(backend);
  const deciding = { transport, database, pause, log, claimant, metrics, enqueue, keyRing };
  const { ending, holdings, settling, restraints, selfAudit } = createEndings(config, deciding);
  const known = { ...restraints, settling, workerId, sender, queueHealth };
  const watched = { queue, pause, queueHealth, fleet: createFleetOf(config, database, known, log) };
  const shared = { keyRing, semaphore, enqueue, emails, presence, backend, clockSkew, log };
  const accepting = {
    ...shared,
    region,
    workerId,
    horizonMs,
    messageBytesMax: config.messageBytesMax,
    quota: config.quota,
    direct: restraints.direct,
    holdings,
    newId,
    failPoints,
  };
  return {
    ...shared,
    ...createAggregates(database),
    workerId,
    database,
    sender,
    ...watched,
    bytesMax: bytesMaxOf(config),
    metrics,
    delivering: {
      ...ending,
      ...shared,
      ...restraints,
      ...{ holdings, settling, sender, failPoints, pause, queueHealth },
    },
    selfAudit,
    reconciler: createReconciler({
      ...ending,
      ...shared,
      intervalMs: config.reconcileIntervalMs,
      lookAtQueue: () => lookAtAll(enqueue, pause, queueHealth, watched.fleet),
      newId,
    }),
    sealer,
    change: createChange({ ...accepting, changes: createChanges(database) }),
    accept: measureAccept(metrics, createAccept(accepting)),
  };
}

function createFleetOf(
  { role, region }: Config,
  database: Database,
  known: Omit<OwnParts, "role"> & { workerId: string },
  log: Logger,
): Fleet {
  const { workerId } = known;
  const store = createFleetStore(database, { workerId, region });
  return createFleet({ store, workerId, role, own: () => ownState({ ...known, role }), log });
}

async function lookAtAll(...parts: { look(): Promise<unknown> }[]): Promise<void> {
  await Promise.all(parts.map((part) => part.look()));
}

interface EndingDeps extends Omit<RestraintDeps, "holdings" | "settling"> {
  claimant: Parameters<typeof createAttempts>[1];
  metrics: Metrics;
  enqueue: Enqueue;
  keyRing: KeyRing;
}

/** What this process has claimed, what ends it, and what finds it when nobody holds it any more. */
function createEndings(config: Config, deps: EndingDeps) {
  const { database, claimant, log } = deps;
  const nudge = createNudge();
  const holdings = createHoldings({ onLost: nudge.give });
  const ending = {
    attempts: measureAttempts(deps.metrics, createAttempts(database, claimant)),
    enqueue: deps.enqueue,
    transport: deps.transport,
    minuteMs: config.retryBaseMs,
    random: Math.random,
    keyRing: deps.keyRing,
  };
  const settling = createSettling({ ...ending, holdings, log });
  const claims = createHeldClaims(database, claimant);
  return {
    ...{ ending, holdings, settling },
    restraints: createRestraints(config, { ...deps, holdings, settling }),
    selfAudit: createSelfAudit({ ...ending, holdings, nudge, claims, log }),
  };
}

/** The sealer, and the database through which it hears that there may be something to seal. */
function withSealer(database: Database, log: Logger) {
  const sealer = createSealer({ store: createJournal(database), log });
  return { sealer, database: tellOfCalls(database, sealer.stir) };
}

/** What only the API and the figures ask for. */
function createAggregates(database: Database) {
  return {
    deadLetters: createDeadLetters(database),
    bulkCancel: createBulkCancel(database),
    figures: createFigureReader(database),
  };
}

function bytesMaxOf({ database }: Config): number {
  return database.driver === "pglite" ? embeddedBytesInFlightMax : bytesInFlightMax;
}

interface RestraintDeps {
  transport: string;
  database: Database;
  pause: QueuePause;
  log: Logger;
  holdings: Holdings;
  settling: Settling;
}

/** What holds emails back before they are sent, each for a reason of its own; or lets them by. */
function createRestraints(config: Config, deps: RestraintDeps) {
  const { transport, database, pause, log, holdings, settling } = deps;
  const { workerConcurrency, retryBaseMs: minuteMs } = config;
  // What is delivered directly has room of its own, so that nobody's job waits for it here.
  const concurrencyMax = workerConcurrency + directMax(config);
  const breaker = createBreaker({ concurrencyMax, minuteMs, transport, log });
  return {
    breaker,
    rateLimit: createRateLimitOf(config, database),
    destinations: createDestinations({ minuteMs }),
    pipe: createPipeSuspicion({ minuteMs }),
    senders: createRefusedSenders({ minuteMs }),
    headroom: createHeadroomOf(config),
    direct: createDirectDeliveryOf(config, holdings, () => {
      const { state, limit } = breaker.snapshot();
      const isOpen = state === "closed" && limit >= concurrencyMax;
      // After an outage the queue alone begins again, little by little.
      return !pause.isPaused && settling.hasRoom && isOpen;
    }),
  };
}

/**
 * Enough to keep all connections busy while others wait for the database, which takes many at
 * once for less: with 30 for 20 connections a burst takes a fifth longer than with 60, and with 200
 * no less than with 100. One in five is not for floods, which may fill what is theirs.
 */
function directMax(config: Config): number {
  return connectionsOf(config) * 5;
}

function createDirectDeliveryOf(
  config: Config,
  holdings: Holdings,
  isWell: () => boolean,
): DirectDelivery {
  return createDirectDelivery({
    runningMax: directMax(config),
    behindMax: connectionsOf(config) * 4,
    isFit: () => !isLimited(config) && isWell(),
    holdings,
  });
}

/** What workers hold ahead: nothing where a job that came too early cannot be put off. */
function aheadMaxOf(config: Config): number {
  return config.queue.driver === "redis" && !isLimited(config) ? aheadMax : 0;
}

/** Who keeps a limit waits for it before the claim. */
function isLimited({ transport }: Config): boolean {
  return transport.kind === "smtp" && transport.ratePerSecond !== null;
}

function connectionsOf({ transport, workerConcurrency }: Config): number {
  return Math.min(
    transport.kind === "smtp" ? transport.poolSize : workerConcurrency,
    workerConcurrency,
  );
}

/** Of the connections that emails are sent over, one in five is kept free of floods. */
function createHeadroomOf(config: Config): Headroom {
  const { workerConcurrency: alone } = config;
  const connections = connectionsOf(config);
  // As many are claimed or settled as are sent.
  const shared = Math.min(2 * connections, alone);
  const behindMax = Math.max(1, Math.floor(connections * 0.8));
  return createHeadroom({ jobsMax: { alone, shared }, behindMax });
}

function createRateLimitOf({ transport, region }: Config, database: Database): RateLimit {
  if (transport.kind !== "smtp" || transport.ratePerSecond === null) return noRateLimit;
  const { ratePerSecond } = transport;
  const slots = createTransportSlots(database, {
    region,
    transport: accountName(transport),
    ratePerSecond: ratePerSecond * slotMargin,
    sharedRatePerSecond: ratePerSecond * sharedSlotMargin,
    holder: crypto.randomUUID(),
  });
  return createRateLimit({ ratePerSecond, slots });
}

/** Who shares host, port and user shares the provider's limit. A user is often an address. */
function accountName({ host, port, user }: SmtpSettings): string {
  const account = `${host.toLowerCase()}:${port}`;
  if (user === null) return account;
  return `${account}/${createHash("sha256").update(user).digest("hex").slice(0, 16)}`;
}

function createPresenceOf(config: Config, database: Database, workerId: string): Presence {
  const { region, role, transport, queueHorizonMs: horizonMs } = config;
  const replyTimeoutMs =
    transport.kind === "smtp" ? transport.replyTimeoutMs : captureReplyTimeoutMs;
  return createPresence(database, {
    workerId,
    region,
    role,
    replyTimeoutMs,
    horizonMs,
    deadAfterMs,
  });
}

// Only `scripts/build --fail-points`, for the fault tests, defines it.
declare const BUILD_FAIL_POINTS: boolean | undefined;

function failPointsSpec(): string | undefined {
  if (typeof BUILD_FAIL_POINTS === "undefined" || !BUILD_FAIL_POINTS) return undefined;
  return processEnvironment().FAIL_POINTS;
}

function openFailPoints(): FailPoints {
  const spec = failPointsSpec();
  return spec ? createFailPoints(spec, () => process.kill(process.pid, "SIGKILL")) : noFailPoints;
}

/** Its messages are dated by the database's clock, which also says when they are due. */
function createTransport(config: Config, log: Logger, { now }: Pick<ClockSkew, "now">): Transport {
  return config.transport.kind === "smtp"
    ? createSmtpTransport(config.transport, { log, now })
    : createCaptureTransport({ dataDir: config.dataDir, now });
}
