import type { Context } from "hono";
import { createSignInLinks, type SignInLinks } from "../admin/sign-in-link.ts";
import { issueToken } from "../auth/jwt.ts";
import type { Config } from "../config.ts";
import type { Secrets } from "../crypto/secrets.ts";
import { createSigningKey } from "../crypto/signing-key.ts";
import { createApp } from "../http/app.ts";
import { clientAddress, isBehindProxy } from "../http/client-address.ts";
import { createUnreadableNote } from "../http/unreadable-note.ts";
import type { Logger } from "../log.ts";
import { createAudit } from "../store/audit.ts";
import type { CommandIo } from "./command.ts";
import { createCredentials } from "./credentials.ts";
import { examine } from "./doctor/examine.ts";
import { checkHealth } from "./health.ts";
import { answerHeldClaims } from "./held-claims-route.ts";
import { registerParts } from "./metrics/register-parts.ts";
import { createRequestObserver } from "./metrics/request-observer.ts";
import { openRateLimits } from "./open-rate-limits.ts";
import { createPages } from "./pages.ts";
import type { Parts } from "./parts.ts";
import { createProxySign, type ProxySign } from "./proxy-sign.ts";
import { commit, version } from "./version.ts";
import { printWelcome } from "./welcome.ts";

export interface ListenDeps {
  config: Config;
  secrets: Secrets;
  parts: Parts;
  state: { isPrepared: boolean; isDraining: boolean };
  log: Logger;
  io: CommandIo;
}

/** A body of this size is for Bun to refuse; the API's own limit is far below and says why. */
const bodyBytesMax = 256 * 1024 * 1024;
const developerTokenSeconds = 24 * 3600;

export interface Listening {
  /** As a program on this machine reaches it. */
  readonly url: string;
  /** Greets whoever tries the product on a laptop; says nothing elsewhere. */
  greet(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the HTTP server and says where. */
export function listen(deps: ListenDeps): Listening {
  const { config, secrets, parts, state, log } = deps;
  const { database } = parts;
  // Whether a time is past is for the database's clock to say, however wrong this machine's is.
  const { now } = parts.clockSkew;
  const credentials = createCredentials(config, { database, secret: secrets.jwtSecret, now });
  const signInLinks = createSignInLinks();
  const { rateLimits, close: closeRateLimits } = openRateLimits(config, log);
  const seen = createSeenFrom(config.http);
  const paging = { ...deps, ...credentials, ...seen, signInLinks, rateLimits };
  const pages = config.role === "worker" ? null : createPages(paging);
  registerParts(parts, config);
  const { reconcileIntervalMs } = config;
  const key = parts.keyRing;
  const proxySign = createProxySign(config.http, log);
  const app = createApp({
    ...parts,
    ...credentials,
    rateLimits,
    config,
    audit: createAudit(database),
    checkpointKey: createSigningKey({ ...config, ...secrets }),
    knownRegions: () => parts.reconciler.report().standing?.regions ?? [],
    countWorkers: () => parts.presence.countWorkers(),
    metrics: { ...parts.metrics, token: config.metricsToken },
    noteUnreadable: createUnreadableNote(log),
    observeRequest: createRequestObserver(parts.metrics),
    health: () => checkHealth({ ...parts, reconcileIntervalMs }, state),
    examine: shared(async () => [
      ...(await examine({ config, database: parts.database, key })),
      ...proxySign.findings(),
    ]),
    reconcile: shared(() => parts.reconciler.runOnce()),
    isDraining: () => state.isDraining,
    now,
    peerAddress: seen.peerAddress,
    isHttps: createIsHttps(config, seen.isBehindProxy),
    mounts: pages === null ? [] : [(mounted) => mounted.route("/", pages)],
  });
  const server = Bun.serve({
    hostname: config.http.host,
    port: config.http.port,
    // test-email may take 30 s; Bun's default resets a request that is idle for 10.
    idleTimeout: 60,
    maxRequestBodySize: bodyBytesMax,
    fetch: createFetch(app, proxySign, parts),
  });
  const port = Number(server.port);
  const url = `http://${reachableHost(config.http.host)}:${port}`;
  log.info("listening", {
    url,
    port,
    version: commit ? `${version}+${commit}` : version,
    worker: deps.parts.workerId,
  });
  const isLaptop = config.database.driver === "pglite" && !config.isProduction;
  return {
    url,
    greet: async () => (isLaptop ? await greet(deps, url, signInLinks) : undefined),
    stop: async () => {
      await server.stop(false);
      closeRateLimits();
    },
  };
}

/** What Bun asks for each request; `look` is told of it first. */
function createFetch(
  app: ReturnType<typeof createApp>,
  { look }: ProxySign,
  { holdings }: Pick<Parts, "holdings">,
) {
  return (request: Request, server: Bun.Server<undefined>) => {
    look(request);
    return answerHeldClaims(request, holdings) ?? app.fetch(request, { server });
  };
}

async function greet(
  { config, secrets, parts, io }: ListenDeps,
  url: string,
  signInLinks: SignInLinks,
): Promise<void> {
  const { audience, issuer } = config.jwt;
  const baseUrl = config.http.publicUrl ?? url;
  const token = await issueToken({
    sub: "developer",
    ttlSeconds: developerTokenSeconds,
    secret: secrets.jwtSecret,
    audience,
    issuer,
    now: parts.clockSkew.now(),
  });
  printWelcome({
    baseUrl,
    signInLink: signInLinks.create(baseUrl),
    token,
    capturedDir: config.transport.kind === "capture" ? `${config.dataDir}/captured` : null,
    stdout: io.stdout,
    env: io.env,
  });
}

/** Whoever asks while it runs gets the same answer: neither is worth running twice at once. */
function shared<T>(run: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  return () => {
    running ??= run().finally(() => {
      running = null;
    });
    return running;
  };
}

/** By its public address, or by what a trusted proxy says of this request. */
function createIsHttps(
  { http }: Config,
  isBehindProxy: (c: Context) => boolean,
): (c: Context) => boolean {
  const isPublic = http.publicUrl?.startsWith("https:") ?? false;
  return (c) => isPublic || (isBehindProxy(c) && c.req.header("X-Forwarded-Proto") === "https");
}

/** As a browser on this machine reaches it. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

/** Where a request comes from, as far as TRUST_PROXY lets anybody say so. */
function createSeenFrom({ trustProxy }: Config["http"]) {
  const peer = (c: Context): string | null => c.env.server?.requestIP?.(c.req.raw)?.address ?? null;
  return {
    peerAddress: (c: Context) =>
      clientAddress({ peer: peer(c), header: (name) => c.req.header(name) }, trustProxy),
    // Without a proxy nobody need be asked for the peer, on every request.
    isBehindProxy: (c: Context) => trustProxy.kind !== "none" && isBehindProxy(peer(c), trustProxy),
  };
}
