import { Hono } from "hono";
import { mountConsole } from "../admin/console.tsx";
import { createSessions } from "../admin/session.ts";
import { createSignInLinks } from "../admin/sign-in-link.ts";
import { createAuthenticator, issueToken } from "../auth/jwt.ts";
import { type Config, loadConfig } from "../config.ts";
import type { Secrets } from "../crypto/secrets.ts";
import { createApp } from "../http/app.ts";
import { createLogger, type Logger } from "../log.ts";
import { listCaptured, readCaptured } from "../mail/captured.ts";
import { createEmailWorker, type EmailWorker } from "../queue/worker.ts";
import type { Command, CommandIo } from "./command.ts";
import { checkHealth } from "./health.ts";
import { createParts, openDatabase, type Parts, secretsOf } from "./parts.ts";
import { prepareDatabase } from "./prepare-database.ts";
import { commit, version } from "./version.ts";
import { printWelcome } from "./welcome.ts";

const usage = `Usage: taskforce-mailer [serve]

Runs the API, the console and, by ROLE, the workers until SIGTERM or SIGINT. Without any
settings everything is embedded: database and queue in DATA_DIR (./data), mails captured there.
Settings come from the environment and .env; see the table in the README.`;

export const serveCommand: Command = {
  name: "serve",
  summary: "run the API, the workers and the console (default)",
  usage,
  run: (_args, io) => runServe(io),
};

/** The parts list: build, start, await the signal, stop in reverse. */
async function runServe(io: CommandIo): Promise<number> {
  const config = loadConfig(io.env);
  const log = createLogger({ level: config.logLevel });
  for (const warning of config.warnings) log.warn("configuration", { reason: warning });

  const stop = awaitSignal(log);
  const database = await openDatabase(config);
  const secrets = secretsOf(config);
  const parts = createParts(config, database, secrets, log);
  const state = { isPrepared: false, isDraining: false };
  const server = await listen(config, secrets, parts, state, log, io);
  const running = startWork(config, parts, state, log, stop.signal);

  const reason = await Promise.race([stop.promise, running.failed]);
  state.isDraining = true;
  const until = performance.now() + config.drainTimeoutMs;
  const remainingMs = () => Math.max(100, until - performance.now());
  const worker = await running.worker;
  await worker?.drain(remainingMs() * 0.8);
  await parts.enqueue.flush(remainingMs() * 0.2);
  await parts.reconciler.stop(remainingMs() * 0.4);
  await Promise.race([server.stop(), Bun.sleep(remainingMs() * 0.3)]);
  await Promise.race([parts.sender.close(), Bun.sleep(1_000)]);
  await parts.backend.close(remainingMs() * 0.4);
  await Promise.race([database.close(), Bun.sleep(remainingMs())]);
  log.info("stopped");
  return reason === "failed" ? 1 : 0;
}

/** Prepares the database in the background, so that health and 503s are answered meanwhile. */
function startWork(
  config: Config,
  parts: Parts,
  state: { isPrepared: boolean },
  log: Logger,
  stopping: AbortSignal,
): { worker: Promise<EmailWorker | null>; failed: Promise<"failed"> } {
  const failed = Promise.withResolvers<"failed">();
  const start = async (): Promise<EmailWorker | null> => {
    const { presence, keyRing, reconciler } = parts;
    await prepareDatabase({ config, presence, keyFingerprint: keyRing.fingerprint, log }, stopping);
    if (stopping.aborted) return null;
    // Under the folder's lock nobody else can be sending: settle what a crash left at once.
    if (config.database.driver === "pglite") await reconciler.runOnce({ everything: true });
    reconciler.start();
    const worker = config.role === "api" ? null : createEmailWorker(parts.delivering);
    state.isPrepared = true;
    log.info("ready", { role: config.role, region: config.region });
    return worker;
  };
  const worker = start().catch((error: unknown) => {
    log.fatal("cannot start", { err: error });
    failed.resolve("failed");
    return null;
  });
  return { worker, failed: failed.promise };
}

async function listen(
  config: Config,
  secrets: Secrets,
  parts: Parts,
  state: { isPrepared: boolean; isDraining: boolean },
  log: Logger,
  io: CommandIo,
): Promise<{ stop(): Promise<void> }> {
  const { audience, issuer } = config.jwt;
  const secret = secrets.jwtSecret;
  const authenticator = createAuthenticator({ secret, issuer, audience });
  const signInLinks = createSignInLinks();
  const isCapturing = config.transport.kind === "capture";
  const captured = {
    list: (limit: number) => listCaptured(config.dataDir, { limit }),
    read: (emailId: string) => readCaptured(config.dataDir, emailId),
  };
  const pages = new Hono();
  mountConsole(pages, {
    authenticator,
    sessions: createSessions({ secret }),
    signInLinks,
    captured: isCapturing ? captured : null,
    transportName: parts.sender.name,
    publicUrl: config.http.publicUrl,
    trustProxy: config.http.trustProxy,
    program: `DATA_DIR=${config.dataDir} ${process.execPath}`,
  });
  const app = createApp({
    ...parts,
    config,
    authenticator,
    countWorkers: () => parts.presence.countWorkers(),
    health: () => checkHealth(parts, state),
    isDraining: () => state.isDraining,
    now: () => new Date(),
    mounts: [(mounted) => mounted.route("/", pages)],
  });
  const server = Bun.serve({
    hostname: config.http.host,
    port: config.http.port,
    // test-email may take 30 s; Bun's default resets a request that is idle for 10.
    idleTimeout: 60,
    maxRequestBodySize: 256 * 1024 * 1024,
    fetch: (request, bunServer) => app.fetch(request, { server: bunServer }),
  });
  const url = `http://${config.http.host === "0.0.0.0" ? "127.0.0.1" : config.http.host}:${server.port}`;
  log.info("listening", {
    url,
    port: Number(server.port),
    version: commit ? `${version}+${commit}` : version,
  });
  if (config.database.driver === "pglite" && !config.isProduction) {
    const publicUrl = config.http.publicUrl ?? url;
    printWelcome({
      baseUrl: publicUrl,
      signInLink: signInLinks.create(publicUrl),
      token: await issueToken({
        sub: "developer",
        ttlSeconds: 24 * 3600,
        secret,
        audience,
        issuer,
        now: new Date(),
      }),
      capturedDir: isCapturing ? `${config.dataDir}/captured` : null,
      stdout: io.stdout,
      env: io.env,
    });
  }
  return { stop: () => server.stop(false) };
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
