import { parseArgs } from "node:util";
import { type Config, loadConfig } from "../config.ts";
import type { SecretsInForce } from "../crypto/secrets.ts";
import { createSigningKey } from "../crypto/signing-key.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { createLogger, type Logger } from "../log.ts";
import { type TickJob, tickQueueName } from "../queue/ticks.ts";
import { within } from "../runtime/abortable.ts";
import { type ListenDeps, type Listening, listen } from "../server/listen.ts";
import { createMaintenanceRunner, type MaintenanceRunner } from "../server/maintenance.ts";
import { maintenanceTasks } from "../server/maintenance-tasks.ts";
import { createParts, openDatabase, type Parts, secretsOf } from "../server/parts.ts";
import { prepareDatabase } from "../server/prepare-database.ts";
import { announceServer } from "../server/server-file.ts";
import { createChainParts } from "../store/chain-parts.ts";
import { createCheckpointKeeper } from "../store/checkpoint-keeper.ts";
import { createMaintenance } from "../store/maintenance.ts";
import { createOrigin } from "../store/origin.ts";
import { createPauses } from "../store/pauses.ts";
import type { Command, CommandIo } from "./command.ts";

const usage = `Usage: taskforce-mailer [serve] [--welcome]

Runs the API, the console and, by ROLE, the workers until SIGTERM or SIGINT. Without any
settings everything is embedded: database and queue in DATA_DIR (./data), mails captured there.
Settings come from the environment and .env; /docs/configuration lists them.

  --welcome  with the embedded database: print a one-time sign-in link and a token also
             where stdout is no terminal (scripts/start does). Not for a log that is kept.

Examples:
  taskforce-mailer
  PORT=8080 DATA_DIR=/var/lib/mailer taskforce-mailer serve
  ROLE=worker DATABASE_URL=postgres://… REDIS_URL=redis://… taskforce-mailer`;

export const serveCommand: Command = {
  name: "serve",
  summary: "run the API, the workers and the console (default)",
  usage,
  run: (args, io) => {
    const { values } = parseArgs({ args, options: { welcome: { type: "boolean" } } });
    return runServe(io, { isWelcomeWhole: io.isTty || values.welcome === true });
  },
};

/** The parts list: build, start, await the signal, stop in reverse. */
async function runServe(
  io: CommandIo,
  { isWelcomeWhole }: { isWelcomeWhole: boolean },
): Promise<number> {
  const config = loadConfig(io.env);
  const log = createLogger({ level: config.logLevel });
  for (const warning of config.warnings) log.warn("configuration", { reason: warning });

  const stop = awaitSignal(log);
  const database = await openDatabase(config).catch((error: unknown) => {
    throw startError(error, "DATA_DIR", "a folder that can be written", config.dataDir);
  });
  const secrets = secretsOf(config);
  const parts = createParts(config, database, secrets, log);
  const state = { isPrepared: false, isDraining: false };
  const server = listenOrSay({ config, secrets, parts, state, log, io, isWelcomeWhole });
  const forgetServer = announceServer(config, server.url);
  const maintenance = createMaintenanceOf(config, parts, secrets, log);
  const stopping = stop.signal;
  const work = startWork({ config, parts, server, maintenance, state, log, stopping });

  const reason = await Promise.race([stop.promise, work.failed]);
  state.isDraining = true;
  // A listener connects again, to a process that stays.
  parts.liveEvents.close();
  forgetServer();
  void maintenance.stop();
  await stopInReverse(config.drainTimeoutMs, parts, server, work.worker);
  log.info("stopped");
  return reason === "failed" ? 1 : 0;
}

function listenOrSay(deps: ListenDeps): Listening {
  const { host, port } = deps.config.http;
  try {
    return listen(deps);
  } catch (error) {
    const expected = "an address of this machine, and a port that is free";
    throw startError(error, "HOST, PORT", expected, `${host}, ${port}`);
  }
}

/** Names the setting behind an error of the operating system; others pass as they are. */
function startError(error: unknown, name: string, expected: string, got: string): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!/^(E[A-Z]+|SQLITE_CANTOPEN.*|SQLITE_READONLY.*)$/.test(code)) return error;
  return new Error(`${name}: expected ${expected}, got ${got} (${code}).`, { cause: error });
}

/** Every step has its own share of the time that is left, since any of them can hang. */
async function stopInReverse(
  drainTimeoutMs: number,
  parts: Parts,
  server: Listening,
  worker: Promise<Delivery | null>,
): Promise<void> {
  const until = performance.now() + drainTimeoutMs;
  const share = (part: number) => Math.max(100, (until - performance.now()) * part);
  const started = await within(worker, share(0.1));
  // Beside the drain of mail; what is not answered by then is sent again, under the same id.
  const delivered = parts.deliverer.stop(share(0.6));
  // Nearly all of it: a conversation past its fence must not be cut short without need.
  await started?.drain(share(0.95));
  await delivered;
  // Only now: also while others wait for the drain, what nobody holds is found.
  parts.selfAudit.stop();
  await parts.localTimes.stop(share(0.1));
  await within(parts.minuteCounter.flush(), share(0.2));
  await parts.reconciler.stop(share(0.4));
  await within(parts.sealer.stop(share(0.2)), share(0.2));
  await within(server.stop(), share(0.3));
  await within(parts.sender.close(), share(0.2));
  await parts.backend.close(share(0.5));
  await within(parts.database.close(), share(1));
}

interface WorkDeps {
  config: Config;
  parts: Parts;
  server: Listening;
  maintenance: MaintenanceRunner;
  state: { isPrepared: boolean };
  log: Logger;
  stopping: AbortSignal;
}

/** Prepares the database in the background, so that health and 503s are answered meanwhile. */
function startWork({ config, parts, server, maintenance, state, log, stopping }: WorkDeps): {
  worker: Promise<Delivery | null>;
  failed: Promise<"failed">;
} {
  const failed = Promise.withResolvers<"failed">();
  const start = async (): Promise<Delivery | null> => {
    const { presence, clockSkew, keyRing, reconciler } = parts;
    const origin = createOrigin(parts.database, config);
    const pauses = createPauses(parts.database);
    const preparing = { config, presence, origin, pauses, clockSkew, keyRing, log };
    await prepareDatabase(preparing, stopping);
    if (stopping.aborted) return null;
    // Before anybody is told that it is ready: /health and the pages say what is paused.
    await parts.pauses.look();
    // Under the folder's lock nobody else can be sending: settle what a crash left at once.
    if (config.database.driver === "pglite") await reconciler.runOnce({ everything: true });
    // That may have taken longer than a stop waits for it: nothing more is begun.
    if (stopping.aborted) return null;
    reconciler.start();
    parts.sealer.start();
    parts.localTimes.start();
    parts.readReplica?.start();
    const worker = config.role === "api" ? null : startDelivery(parts);
    if (worker !== null) maintenance.start();
    state.isPrepared = true;
    log.info("ready", { role: config.role, region: config.region });
    await server.greet();
    return worker;
  };
  const worker = start().catch((error: unknown) => {
    log.fatal("cannot start", { err: error });
    failed.resolve("failed");
    return null;
  });
  return { worker, failed: failed.promise };
}

function createMaintenanceOf(
  config: Config,
  parts: Parts,
  secrets: SecretsInForce,
  log: Logger,
): MaintenanceRunner {
  const { database, workerId, presence, backend } = parts;
  const maintenance = createMaintenance(database, { workerId, region: config.region });
  const tasks = maintenanceTasks({
    ...{ config, maintenance, presence, log },
    chainParts: createChainParts(database, config),
    checkpoints: createCheckpointKeeper(database, config),
    checkpointKey: createSigningKey({ ...config, ...secrets }),
  });
  // Where no other process hears of a job there is nobody to share the work with.
  const shared = backend.isShared ? backend : null;
  return createMaintenanceRunner({ maintenance, tasks, backend: shared, log });
}

/** A tick wakes the dispatcher and says nothing else; it looks for itself once a second anyway. */
function startDelivery({ delivery, selfAudit, backend, queue, startDeliverer }: Parts): Delivery {
  delivery.start();
  startDeliverer();
  selfAudit.start();
  if (queue) {
    backend.createWorker<TickJob>(tickQueueName, async () => delivery.wake(), { concurrency: 1 });
  }
  return delivery;
}

/** The first SIGTERM or SIGINT stops in order; a second one ends the process at once. */
function awaitSignal(log: Logger): { promise: Promise<"signal">; signal: AbortSignal } {
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<"signal">();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      log.info("stopping", { signal: name });
      controller.abort();
      resolve("signal");
    });
  }
  return { promise, signal: controller.signal };
}
