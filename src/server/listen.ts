import type { Context, Hono } from "hono";
import { createSignInLinks, type SignInLinks } from "../admin/session/sign-in-link.ts";
import { issueToken } from "../auth/jwt.ts";
import type { Principal } from "../auth/principal.ts";
import type { Config } from "../config.ts";
import type { SecretsInForce } from "../crypto/secrets.ts";
import { createSigningKey } from "../crypto/signing-key.ts";
import { examine } from "../doctor/examine.ts";
import type { ApiEnv } from "../http/api-env.ts";
import { createApp } from "../http/app.ts";
import { createUnreadableNote } from "../http/emails/unreadable-note.ts";
import { clientAddress, isBehindProxy } from "../http/middleware/client-address.ts";
import type { DescribedRoute } from "../http/openapi/document.ts";
import { sealedFirst } from "../journal/sealed-first.ts";
import type { Logger } from "../log.ts";
import { createRequestObserver } from "../metrics/request-observer.ts";
import { createAudit } from "../store/audit.ts";
import { commit, version } from "../version.ts";
import { boundHealth } from "./bounded-health.ts";
import { createDatabaseCopier } from "./copy-database.ts";
import { createCredentials } from "./credentials.ts";
import { checkHealth } from "./health.ts";
import { answerHeldClaims } from "./held-claims-route.ts";
import { openRateLimits } from "./open-rate-limits.ts";
import {
  createPages,
  mountDocumentationPages,
  mountLivePages,
  type PagesDeps,
  programOf,
} from "./pages.ts";
import { jwtSecretsOf, type Parts } from "./parts.ts";
import { createProxySign, type ProxySign } from "./proxy-sign.ts";
import { registerParts } from "./register-parts.ts";
import { printWelcome, type WelcomeOutput } from "./welcome.ts";

export interface ListenDeps {
  config: Config;
  secrets: SecretsInForce;
  parts: Parts;
  state: { isPrepared: boolean; isDraining: boolean };
  log: Logger;
  io: { stdout: WelcomeOutput; env: Readonly<Record<string, string | undefined>> };
  /** The greeting may hold credentials: somebody reads it now, and nobody keeps it. */
  isWelcomeWhole: boolean;
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
  const { database, keyRing: key } = parts;
  // Whether a time is past is for the database's clock to say, however wrong this machine's is.
  const { now } = parts.clockSkew;
  const jwtSecrets = jwtSecretsOf(config, secrets);
  const credentials = createCredentials(config, { database, jwtSecrets, now });
  const signInLinks = createSignInLinks();
  const { rateLimits, close: closeRateLimits } = openRateLimits(config, log);
  const seen = createSeenFrom(config.http);
  const paging = { ...deps, ...credentials, ...seen, jwtSecrets, signInLinks, rateLimits };
  const pages = config.role === "worker" ? null : createPages(paging);
  registerParts(parts, config);
  const proxySign = createProxySign(config.http, log);
  const app = createApp({
    ...parts,
    ...credentials,
    rateLimits,
    config,
    audit: sealedFirst(createAudit(database), parts.sealer),
    version,
    publicUrl: config.http.publicUrl,
    checkpointKey: createSigningKey({ ...config, ...secrets }),
    knownRegions: () => parts.reconciler.report().regionStatus?.regions ?? [],
    countWorkers: () => parts.presence.countWorkers(),
    metrics: { ...parts.metrics, token: config.metricsToken },
    noteUnreadable: createUnreadableNote(log),
    observeRequest: createRequestObserver(parts.metrics),
    health: boundedHealthOf(deps),
    examine: shared(async () => [
      ...(await examine({ config, database, key, jwtSecrets })),
      ...proxySign.findings(),
    ]),
    reconcile: shared(() => parts.reconciler.runOnce()),
    copyDatabase: createDatabaseCopier(database, config),
    ...{ now, isDraining: () => state.isDraining, isTransportDown: () => isTransportDown(parts) },
    peerAddress: seen.peerAddress,
    isHttps: createIsHttps(config, seen.isBehindProxy),
    mounts: pages === null ? [] : [(mounted, routes) => mountPages(mounted, routes, pages, paging)],
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
  parts.listensAt(port);
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

function boundedHealthOf({ parts, config: { reconcileIntervalMs }, state }: ListenDeps) {
  return boundHealth(() => checkHealth({ ...parts, reconcileIntervalMs }, state));
}

/** Whether nothing gets out of any process that sends. */
async function isTransportDown({ fleet }: Pick<Parts, "fleet">): Promise<boolean> {
  const { transports = [] } = (await fleet.view()) ?? {};
  return transports.length > 0 && transports.every(({ detail }) => detail !== null);
}

/** What Bun asks for each request; `look` is told of it first. */
function createFetch(
  app: ReturnType<typeof createApp>,
  { look }: ProxySign,
  { claimsInMemory }: Pick<Parts, "claimsInMemory">,
) {
  return (request: Request, server: Bun.Server<undefined>) => {
    look(request);
    return answerHeldClaims(request, claimsInMemory) ?? app.fetch(request, { server });
  };
}

async function greet(
  { config, secrets, parts, io, isWelcomeWhole }: ListenDeps,
  url: string,
  signInLinks: SignInLinks,
): Promise<void> {
  // Beside an embedded database one is always made.
  if (secrets.jwtSecret === null) return;
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
    program: programOf(config),
    isWhole: isWelcomeWhole,
    stdout: io.stdout,
    env: io.env,
  });
}

/** Calls made while it runs share its answer: neither is worth running twice at once. */
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

/** The pages, and in the documentation the API on behalf of whoever is signed in. */
function mountPages(
  app: Hono<ApiEnv>,
  routes: readonly DescribedRoute[],
  pages: Hono,
  deps: PagesDeps,
): void {
  const call = async (
    request: Request,
    principal: Principal,
    c: Context,
    more: Pick<ApiEnv["Bindings"], "isStillIn"> = {},
  ) => {
    const server = (c.env as ApiEnv["Bindings"] | undefined)?.server;
    if (server === undefined) return await app.fetch(request, { principal, ...more });
    // Where the visitor is, not where this request was made.
    const seen = {
      timeout: (_: Request, seconds: number) => server.timeout(c.req.raw, seconds),
      requestIP: () => server.requestIP?.(c.req.raw) ?? null,
    };
    return await app.fetch(request, { principal, server: seen, ...more });
  };
  mountLivePages(pages, deps, call);
  mountDocumentationPages(pages, deps, { routes, call });
  app.route("/", pages);
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
