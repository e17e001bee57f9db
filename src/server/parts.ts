import { createHash } from "node:crypto";
import type { JwtSecrets } from "../auth/jwt.ts";
import { type Config, processEnvironment, type SmtpSettings } from "../config.ts";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { loadOrCreateSecrets, type SecretsInForce } from "../crypto/secrets.ts";
import { createClaimsInMemory } from "../delivery/claims-in-memory.ts";
import { createDelivery, type Delivery } from "../delivery/delivery.ts";
import { prefetchMs } from "../delivery/dispatcher.ts";
import { type Breaker, createBreaker } from "../delivery/limits/breaker.ts";
import { createDestinations } from "../delivery/limits/destinations.ts";
import {
  createRateLimit,
  noRateLimit,
  type RateLimit,
  sharedSlotMargin,
  slotMargin,
} from "../delivery/limits/rate-limit.ts";
import { createReconciler } from "../delivery/reconcile.ts";
import { createRefusedSenders } from "../delivery/refused-senders.ts";
import { createSelfAudit } from "../delivery/self-audit.ts";
import { createSettling } from "../delivery/settling.ts";
import { createVouching } from "../delivery/vouching.ts";
import { createAccept } from "../emails/accept.ts";
import { createChange } from "../emails/change.ts";
import { createLocalTimes } from "../emails/renew-local-times.ts";
import {
  revokeCancelled,
  revokeCancelledInBulk,
  revokeChangedInBulk,
} from "../emails/revoking-cancel.ts";
import { createLiveEvents } from "../journal/live-events.ts";
import { createSealer } from "../journal/seal.ts";
import { tellOfCalls } from "../journal/tell-of-calls.ts";
import type { Logger } from "../log.ts";
import { createCaptureTransport } from "../mail/capture-transport.ts";
import { createOutcomeTransport } from "../mail/outcome-transport.ts";
import { createPipeSuspicion } from "../mail/pipe-suspicion.ts";
import { createSmtpTransport } from "../mail/smtp-transport.ts";
import type { Transport } from "../mail/transport.ts";
import type { MinuteCounter } from "../metrics/count-minutes.ts";
import { measureAccept } from "../metrics/measure-accept.ts";
import { measureAttempts } from "../metrics/measure-attempts.ts";
import { measureDatabase } from "../metrics/measure-database.ts";
import { createMetrics, type Metrics } from "../metrics/metrics.ts";
import { clearOnlyPrivate } from "../outgoing/clear-only-private.ts";
import { createPauseWatch } from "../queue/pause-watch.ts";
import { createQueueBackend, type QueueBackend } from "../queue/queue-backend.ts";
import { createQueueHealthWatch } from "../queue/queue-health.ts";
import {
  createOwnTicks,
  createTicks,
  type TickJob,
  type Ticks,
  tickQueueName,
} from "../queue/ticks.ts";
import { type ByteSemaphore, createByteSemaphore } from "../runtime/byte-semaphore.ts";
import { type ClockSkew, createClockSkew } from "../runtime/clock-skew.ts";
import { createFailPoints, type FailPoints, noFailPoints } from "../runtime/fail-points.ts";
import { createNudge } from "../runtime/repeat-steadily.ts";
import { createAttempts } from "../store/attempts.ts";
import { createBulkCancel } from "../store/bulk-cancel.ts";
import { createBulkChange } from "../store/bulk-change.ts";
import { createChanges } from "../store/changes.ts";
import type { Database } from "../store/database.ts";
import { createDeadLetters } from "../store/dead-letters.ts";
import { createEmails } from "../store/emails.ts";
import { createEraseRecipient } from "../store/erasure.ts";
import { createEvents } from "../store/events.ts";
import { createFigureReader } from "../store/figures.ts";
import { createHeldClaims } from "../store/held-claims.ts";
import { createJournal } from "../store/journal.ts";
import { createOwners } from "../store/owners.ts";
import { createPauses } from "../store/pauses.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { createPresence, type Presence, type PresenceOptions } from "../store/presence.ts";
import { createTransportSlots } from "../store/transport-slots.ts";
import { createVouches } from "../store/vouches.ts";
import { createWallClocks } from "../store/wall-clocks.ts";
import { createFleetParts } from "./fleet-parts.ts";
import { createMinuteParts } from "./minute-parts.ts";
import { openReadReplica } from "./open-read-replica.ts";
import { createWebhookParts } from "./webhook-parts.ts";

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
      return createSupabaseDatabase({ ...database, assertSafe: clearOnlyPrivate(database.url) });
    }
  }
}

/** From the environment, or generated once beside the embedded database, under its lock. */
export function secretsOf(config: Config): SecretsInForce {
  const { encryptionKey } = config;
  const given = { encryptionKey, jwtSecret: config.jwt.secret };
  if (config.database.driver === "pglite") return loadOrCreateSecrets(config.dataDir, given);
  // loadConfig refuses a shared database without a key, and without a way to verify tokens.
  return {
    encryptionKey: given.encryptionKey ?? "",
    encryptionKeysOld: [],
    jwtSecret: given.jwtSecret,
    jwtSecretsOld: [],
  };
}

/** The current key and every former one that is known, from wherever. */
export function keyRingOf({ encryptionKeysOld }: Config, secrets: SecretsInForce): KeyRing {
  const old = [...encryptionKeysOld, ...secrets.encryptionKeysOld];
  return createKeyRing({ current: secrets.encryptionKey, old });
}

/** The secret that signs tokens and every former one that still verifies them, from wherever. */
export function jwtSecretsOf({ jwt }: Config, secrets: SecretsInForce): JwtSecrets {
  return { current: secrets.jwtSecret, former: [...jwt.secretsOld, ...secrets.jwtSecretsOld] };
}

/** Everything between the API and the wires, connected but not running. */
export type Parts = ReturnType<typeof createParts>;

export function createParts(
  config: Config,
  opened: Database,
  secrets: SecretsInForce,
  log: Logger,
) {
  const metrics = createMetrics();
  const sealing = withSealer(config, metrics, opened, log, () => hooks.isAwaited());
  const { database, readReplica, sealer, events, liveEvents } = sealing;
  const newId = () => Bun.randomUUIDv7();
  const failPoints = openFailPoints();
  const workerId = newId();
  const { region } = config;
  const keyRing = keyRingOf(config, secrets);
  const semaphore = createByteSemaphore({ bytesMax: bytesMaxOf(config) });
  const clockSkew = createClockSkew({ log });
  const measured = createMinuteParts(config, database, { workerId, now: clockSkew.now, log });
  const sender = createTransport(config, log, clockSkew);
  const backend = createQueueBackend({ config: config.queue, database, region, log });
  const queueHealth = createQueueHealthWatch(backend);
  const claimant = { workerId, region, transport: sender.name };
  const emails = createEmails(database, claimant);
  const { ticks, queue, onWake } = createWaking(config, { backend, clockSkew, log });
  const work = createWork(config, {
    ...{ database, claimant, metrics, ticks, keyRing, semaphore, sender, failPoints, log },
    minuteCounter: measured.minuteCounter,
    silentRegions: () => reconciler.silentRegions,
  });
  const { delivery, breaker, claimsInMemory, settling, ending, selfAudit, vouching } = work;
  const presence = createPresenceOf(config, database, { workerId, vouching });
  onWake((inMs) => delivery.wake(inMs));
  const wakeAll = (): void => {
    delivery.wake();
    ticks.wakeOthers();
  };
  const hooks = createWebhookParts(config, {
    ...{ database, events, keyRing, backend, delivery, workerId, newId, log },
    ...{ now: clockSkew.now, onSealed: sealer.onSealed, failPoints },
  });
  const pauses = createPauseWatch({ pauses: createPauses(database), onResumed: wakeAll, log });
  const known = { breaker, settling, workerId, sender, queueHealth };
  const { look: lookAtFleet, ...fleetParts } = createFleetParts(config, database, known, log);
  const reconciler = createReconciler({
    ...ending,
    ...{ presence, backend, clockSkew, log },
    intervalMs: config.reconcileIntervalMs,
    lookAround: async () =>
      void (await Promise.all([
        ...[queueHealth.look(), lookAtFleet(), pauses.look()],
        ...[hooks.webhookStatus.look(), measured.minuteCounter.look()],
      ])),
    settling,
    begun: () => delivery.begun,
    onReturned: wakeAll,
  });
  const { messageBytesMax, quota } = config;
  const writing = { emails, keyRing, semaphore, ticks, messageBytesMax };
  const changes = createChanges(database, { quotaPending: quota.pending });
  const { reserve } = delivery;
  const accepting = { ...writing, region, quota, newId, failPoints, claimsInMemory, reserve };
  return {
    ...createAggregates(database, delivery, quota, log),
    emails: revokeCancelled(emails, delivery.revoking),
    ...{ keyRing, semaphore, ticks, presence, backend, queue, queueHealth, clockSkew, log },
    ...{ events, liveEvents, ...hooks, ...fleetParts, ...measured },
    ...{ readReplica, workerId, database, sender, metrics, sealer, reconciler, selfAudit },
    ...{ delivery, breaker, claimsInMemory, settling, pauses, bytesMax: bytesMaxOf(config) },
    change: createChange({ ...writing, changes, revoking: delivery.revoking }),
    accept: measureAccept(metrics, createAccept(accepting), measured.minuteCounter),
  };
}

interface WakingDeps {
  backend: QueueBackend;
  clockSkew: ClockSkew;
  log: Logger;
}

/** What tells dispatchers that something is due: this process's own, and through the queue others. */
function createWaking({ region }: Config, { backend, clockSkew, log }: WakingDeps) {
  let wakeHere = (_inMs: number): void => {};
  const here = (inMs: number) => wakeHere(inMs);
  const queue = backend.isShared ? backend.createQueue<TickJob>(tickQueueName) : null;
  const ticks = queue
    ? createTicks({ queue, region, clockSkew, wakeHere: here, prefetchMs, log })
    : createOwnTicks(here);
  return {
    ticks,
    queue,
    onWake(wake: (inMs: number) => void) {
      wakeHere = wake;
    },
  };
}

interface WorkDeps {
  database: Database;
  claimant: { workerId: string; region: string; transport: string };
  metrics: Metrics;
  minuteCounter: MinuteCounter;
  ticks: Ticks;
  keyRing: KeyRing;
  semaphore: ByteSemaphore;
  sender: Transport;
  failPoints: FailPoints;
  silentRegions: () => readonly string[];
  log: Logger;
}

/** What claims, sends and settles, and what finds a claim when nobody holds it any more. */
function createWork(config: Config, deps: WorkDeps) {
  const { database, claimant, metrics, ticks, keyRing, semaphore, sender, log } = deps;
  const { minuteCounter: minutes } = deps;
  const nudge = createNudge();
  const claimsInMemory = createClaimsInMemory({ onLost: nudge.give });
  const vouching = createVouching({
    attempts: createAttempts(database, claimant),
    vouches: createVouches(database, claimant),
    returnBuffered: () => delivery.returnBuffered("failover"),
    ...{ claimsInMemory, log },
  });
  const { attempts, noteBegun } = measureAttempts(metrics, vouching.attempts, minutes);
  const minuteMs = config.retryBaseMs;
  const { transport, region } = claimant;
  const ending = { attempts, ticks, transport, minuteMs, random: Math.random, keyRing };
  const settling = createSettling({ ...ending, claimsInMemory, log });
  const begunMax = config.workerConcurrency;
  const breaker: Breaker = createBreaker({
    ...{ concurrencyMax: begunMax, minuteMs, transport, log },
    hasOthers: () => delivery.buffered > 0,
  });
  const delivery: Delivery = createDelivery({
    ...{
      attempts,
      sender,
      breaker,
      keyRing,
      semaphore,
      log,
      claimsInMemory,
      settling,
      ticks,
      region,
    },
    ...{ begunMax, minuteMs, failPoints: deps.failPoints, random: Math.random },
    rateLimit: createRateLimitOf(config, database),
    destinations: createDestinations({ minuteMs }),
    pipe: createPipeSuspicion({ minuteMs }),
    senders: createRefusedSenders({ minuteMs }),
    silentRegions: deps.silentRegions,
    onBegun: noteBegun,
  });
  const claims = createHeldClaims(database, claimant);
  const selfAudit = createSelfAudit({ ...ending, claimsInMemory, nudge, claims, vouching, log });
  return { delivery, breaker, claimsInMemory, settling, ending, selfAudit, vouching };
}

/** The sealer, the database through which it hears that there may be something to seal, and readers. */
function withSealer(
  config: Config,
  metrics: Metrics,
  opened: Database,
  log: Logger,
  hasListeners: () => boolean,
) {
  const readReplica = openReadReplica(config, opened, log);
  const measured = measureDatabase(metrics, readReplica?.database ?? opened);
  const sealer = createSealer({ store: createJournal(measured), log });
  const database = tellOfCalls(measured, () => {
    // Somebody waits for what was written; else the next look is soon enough.
    if (liveEvents.size > 0 || hasListeners()) sealer.nudge();
    else sealer.stir();
  });
  const events = createEvents(database);
  const liveEvents = createLiveEvents({ events, log, onSealed: sealer.onSealed });
  return { readReplica, sealer, database, events, liveEvents };
}

/** Stored emails but for sending them, and what only the figures ask for. */
function createAggregates(
  database: Database,
  { revoking }: Pick<Delivery, "revoking">,
  { pending }: Config["quota"],
  log: Logger,
) {
  return {
    deadLetters: createDeadLetters(database, { quotaPending: pending }),
    bulkCancel: revokeCancelledInBulk(createBulkCancel(database), revoking),
    bulkChange: revokeChangedInBulk(createBulkChange(database), revoking),
    localTimes: createLocalTimes({ wallClocks: createWallClocks(database), revoking, log }),
    owners: createOwners(database),
    eraseRecipient: createEraseRecipient(database),
    figures: createFigureReader(database),
  };
}

function bytesMaxOf({ database }: Config): number {
  return database.driver === "pglite" ? embeddedBytesInFlightMax : bytesInFlightMax;
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

/** Names the account whose limit processes share: host, port and user, which often is an address. */
function accountName({ host, port, user }: SmtpSettings): string {
  const account = `${host.toLowerCase()}:${port}`;
  if (user === null) return account;
  return `${account}/${createHash("sha256").update(user).digest("hex").slice(0, 16)}`;
}

function createPresenceOf(
  config: Config,
  database: Database,
  known: Pick<PresenceOptions, "workerId" | "vouching">,
): Presence {
  const { region, role, transport } = config;
  const replyTimeoutMs =
    transport.kind === "smtp" ? transport.replyTimeoutMs : captureReplyTimeoutMs;
  return createPresence(database, {
    ...known,
    region,
    role,
    replyTimeoutMs,
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
    : createOutcomeTransport(createCaptureTransport({ dataDir: config.dataDir, now }));
}
