import { parseArgs } from "node:util";
import { type Config, loadConfig } from "../config.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { createLogger, type Logger } from "../log.ts";
import { type TickJob, tickQueueName } from "../queue/ticks.ts";
import { within } from "../runtime/abortable.ts";
import type { Command, CommandIo } from "./command.ts";
import { type ListenDeps, type Listening, listen } from "./listen.ts";
import { createParts, openDatabase, type Parts, secretsOf } from "./parts.ts";
import { prepareDatabase } from "./prepare-database.ts";
import { announceServer } from "./server-file.ts";

const usage = `Usage: taskforce-mailer [serve]

Runs the API, the console and, by ROLE, the workers until SIGTERM or SIGINT. Without any
settings everything is embedded: database and queue in DATA_DIR (./data), mails captured there.
Settings come from the environment and .env; see the table in the README.`;

export const serveCommand: Command = {
  name: "serve",
  summary: "run the API, the workers and the console (default)",
  usage,
  run: (args, io) => {
    // It takes no arguments; whoever gives some meant something else.
    parseArgs({ args, options: {} });
    return runServe(io);
  },
};

/** The parts list: build, start, await the signal, stop in reverse. */
async function runServe(io: CommandIo): Promise<number> {
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
  const server = listenOrSay({ config, secrets, parts, state, log, io });
  const forgetServer = announceServer(config, server.url);
  const work = startWork({ config, parts, server, state, log, stopping: stop.signal });

  const reason = await Promise.race([stop.promise, work.failed]);
  state.isDraining = true;
  forgetServer();
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
  // Nearly all of it: a conversation past its fence must not be cut short without need.
  await started?.drain(share(0.95));
  // Only now: also while others wait for the drain, what nobody holds is found.
  parts.selfAudit.stop();
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
  state: { isPrepared: boolean };
  log: Logger;
  stopping: AbortSignal;
}

/** Prepares the database in the background, so that health and 503s are answered meanwhile. */
function startWork({ config, parts, server, state, log, stopping }: WorkDeps): {
  worker: Promise<Delivery | null>;
  failed: Promise<"failed">;
} {
  const failed = Promise.withResolvers<"failed">();
  const start = async (): Promise<Delivery | null> => {
    const { presence, clockSkew, keyRing, reconciler } = parts;
    await prepareDatabase({ config, presence, clockSkew, keyRing, log }, stopping);
    if (stopping.aborted) return null;
    // Under the folder's lock nobody else can be sending: settle what a crash left at once.
    if (config.database.driver === "pglite") await reconciler.runOnce({ everything: true });
    reconciler.start();
    parts.sealer.start();
    const worker = config.role === "api" ? null : startDelivery(parts);
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

/** A tick wakes the dispatcher and says nothing else; it looks for itself once a second anyway. */
function startDelivery({ delivery, selfAudit, backend, queue }: Parts): Delivery {
  delivery.start();
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
