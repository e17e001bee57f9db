import { Hono } from "hono";
import type { z } from "zod";
import { missingScope, type Principal, type Right } from "../auth/principal.ts";
import { AppError, isAppError } from "../errors.ts";
import { collectAfter } from "../runtime/collect.ts";
import { liftCallBudget, withCallBudget } from "../store/call-budget.ts";
import type { ApiContext, ApiEnv, HeldBytes } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { createListAudit } from "./audit/list-audit.ts";
import { createListCheckpoints } from "./audit/list-checkpoints.ts";
import { createGetCheckpoint, createVerifyAudit } from "./audit/verify-audit.ts";
import { createGetApiKey, createListApiKeys, createRevokeApiKey } from "./credentials/api-keys.ts";
import { apiKeySchema, createCreateApiKey } from "./credentials/create-api-key.ts";
import {
  createEndSessions,
  createEndTokens,
  endSessionsSchema,
  endTokensSchema,
} from "./credentials/end-credentials.ts";
import { createDropSigningKey, createListSigningKeys } from "./credentials/signing-keys.ts";
import { bulkRoutes, deadLetterRoutes } from "./emails/bulk-routes.ts";
import { createCancelEmail } from "./emails/cancel-email.ts";
import { createCancelEmails } from "./emails/cancel-emails.ts";
import { createGetAttachment } from "./emails/get-attachment.ts";
import { createGetEmail } from "./emails/get-email.ts";
import { createGetRaw } from "./emails/get-raw.ts";
import { createGetStatus } from "./emails/get-status.ts";
import {
  createHoldEmail,
  createReleaseEmail,
  holdSchema,
  releaseSchema,
} from "./emails/hold-email.ts";
import { createListEmails } from "./emails/list-emails.ts";
import { createPatchEmail } from "./emails/patch-email.ts";
import { batchSchema, createScheduleBatch } from "./emails/schedule-batch.ts";
import { createScheduleMail } from "./emails/schedule-mail.ts";
import { createSendNow, sendNowSchema } from "./emails/send-now.ts";
import { createSendTestEmail, testEmailSchema } from "./emails/send-test-email.ts";
import { createShredContent } from "./emails/shred-content.ts";
import { eventRoutes, webhookRoutes } from "./events/event-routes.ts";
import { authorizationOf } from "./events/stream-token.ts";
import { accessLog } from "./middleware/access-log.ts";
import { createOwnerTurns, type OwnerTurns } from "./middleware/owner-turns.ts";
import { createParseTurns, type ParseTurns } from "./middleware/parse-turns.ts";
import { rateLimitHeaders } from "./middleware/rate-limits.ts";
import { answerFromReplica, readFromHeader } from "./middleware/read-from.ts";
import { requestId } from "./middleware/request-id.ts";
import { pathOf, soundTarget } from "./middleware/request-target.ts";
import { createSecurityHeaders } from "./middleware/security-headers.ts";
import { createGetDocument } from "./openapi/get-document.ts";
import { createCopyDatabase } from "./operations/copy-database.ts";
import { createGetMetrics } from "./operations/get-metrics.ts";
import { createHealth, createLive, createReady } from "./operations/health.ts";
import { createListOwners } from "./operations/list-owners.ts";
import {
  createPauseSending,
  createResumeSending,
  pauseSchema,
  resumeSchema,
} from "./operations/pause-sending.ts";
import { createQueueStats } from "./operations/queue-stats.ts";
import { createReconcileNow } from "./operations/reconcile-now.ts";
import { problemResponse, toAppError } from "./problem.ts";
import { auditParameters } from "./request/audit-query.ts";
import { cancelsSchema } from "./request/bulk-fields.ts";
import { emailSchema } from "./request/email-schema.ts";
import { createExamine } from "./request/examine.ts";
import { filterParameters, pageParameters, sortParameters } from "./request/list-query.ts";
import { assertQuery } from "./request/query.ts";
import { editSchema } from "./request/to-edit.ts";
import { isResendPath, resendResponse } from "./resend/failure.ts";
import { resendRoutes } from "./resend/routes.ts";

export type Route = {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  /** Query parameters it knows; absent: any are let through (probes add their own). */
  query?: readonly string[];
  /** What its body may hold; absent: it reads none. */
  body?: z.ZodType;
  /** A read replica may answer it: it changes nothing, and nobody decides by it. */
  isOfReplica?: boolean;
  /** Whether its owner's turn is waited for; default: of a GET. */
  isHeavy?: boolean;
  run: (c: ApiContext) => Promise<Response>;
} & (
  | { auth: "none" }
  /** An admin, or METRICS_TOKEN; the endpoint looks itself. */
  | { auth: "metrics" }
  /** What the caller has to have; a route that does not say does not compile. */
  | {
      auth: "bearer";
      needs: Right;
      /** Also by a token in its address, for a stream that a browser opens. */
      takesToken?: boolean;
    }
);

/** What a request may wait for the database in all: the answer is there within 5 s, if only 503. */
const answerWithinMs = 4_500;

/** These call the database as often as it takes; each of their calls has its own deadline. */
const longPaths: ReadonlySet<string> = new Set([
  "/api/v1/cancel",
  "/api/v1/hold",
  "/api/v1/release",
  "/api/v1/reschedule",
  "/api/v1/dead-letters/dismiss",
  "/api/v1/dead-letters/replay",
  "/api/v1/test-email",
  "/api/v1/audit",
  "/api/v1/audit/verify",
  "/api/v1/audit/checkpoint",
  "/api/v1/backup",
  "/api/v1/erase",
  "/api/v1/doctor",
  "/api/v1/reconcile",
  "/api/v1/resume",
]);

/** Every route of the API. Each has its description in `openapi/operations.ts`. */
export function routesOf(deps: AppDeps): Route[] {
  const read = { method: "GET", auth: "bearer", needs: "read", query: [] } as const;
  const look = { ...read, isOfReplica: true } as const;
  const send = { method: "POST", auth: "bearer", needs: "send", query: [] } as const;
  const keys = { ...send, needs: "keys" } as const;
  const probe = { method: "GET", auth: "none" } as const;
  const lists = [...filterParameters, ...pageParameters, ...sortParameters];
  const page = pageParameters;
  const v1 = "/api/v1";
  return [
    {
      ...send,
      path: `${v1}/schedule-mail`,
      query: ["dry_run"],
      body: emailSchema,
      run: createScheduleMail(deps),
    },
    {
      ...send,
      path: `${v1}/schedule-mail/batch`,
      body: batchSchema,
      run: createScheduleBatch(deps),
    },
    { ...look, path: `${v1}/status/:id`, run: createGetStatus(deps) },
    { ...look, path: `${v1}/emails/:id`, run: createGetEmail(deps) },
    {
      ...send,
      path: `${v1}/emails/:id`,
      method: "PATCH",
      body: editSchema,
      run: createPatchEmail(deps),
    },
    { ...send, path: `${v1}/emails/:id/hold`, body: holdSchema, run: createHoldEmail(deps) },
    {
      ...send,
      path: `${v1}/emails/:id/release`,
      body: releaseSchema,
      run: createReleaseEmail(deps),
    },
    { ...send, path: `${v1}/emails/:id/send-now`, body: sendNowSchema, run: createSendNow(deps) },
    { ...look, path: `${v1}/emails/:id/raw`, run: createGetRaw(deps) },
    { ...look, path: `${v1}/emails/:id/attachments/:n`, run: createGetAttachment(deps) },
    {
      ...send,
      path: `${v1}/emails/:id/content`,
      method: "DELETE",
      run: createShredContent(deps),
    },
    { ...send, path: `${v1}/cancel/:id`, method: "DELETE", run: createCancelEmail(deps) },
    // Another name of the same: one PATCHes /emails/{id}, and tries to DELETE it next.
    { ...send, path: `${v1}/emails/:id`, method: "DELETE", run: createCancelEmail(deps) },
    {
      ...send,
      path: `${v1}/cancel`,
      body: cancelsSchema,
      isHeavy: true,
      run: createCancelEmails(deps),
    },
    ...bulkRoutes(deps, v1),
    { ...look, path: `${v1}/scheduled-emails`, query: lists, run: createListEmails(deps) },
    ...deadLetterRoutes(deps, v1),
    { ...send, path: `${v1}/test-email`, body: testEmailSchema, run: createSendTestEmail(deps) },
    { ...look, path: `${v1}/queue-stats`, needs: "any", run: createQueueStats(deps) },
    { ...look, path: `${v1}/audit`, query: auditParameters, run: createListAudit(deps) },
    { ...look, path: `${v1}/audit/verify`, query: ["owner_id"], run: createVerifyAudit(deps) },
    {
      ...look,
      path: `${v1}/audit/checkpoint`,
      query: ["owner_id"],
      run: createGetCheckpoint(deps),
    },
    { ...keys, path: `${v1}/api-keys`, body: apiKeySchema, run: createCreateApiKey(deps) },
    {
      ...read,
      path: `${v1}/api-keys`,
      query: [...page, "owner"],
      run: createListApiKeys(deps),
    },
    { ...read, path: `${v1}/api-keys/:id`, run: createGetApiKey(deps) },
    { ...keys, path: `${v1}/api-keys/:id`, method: "DELETE", run: createRevokeApiKey(deps) },
    ...eventRoutes(deps, v1),
    ...webhookRoutes(deps, v1),
    ...adminRoutes(deps, v1),
    ...resendRoutes(deps),
    { ...probe, path: "/health", run: createHealth(deps) },
    { ...probe, path: "/health/live", run: createLive() },
    { ...probe, path: "/health/ready", run: createReady(deps) },
    { ...probe, path: "/metrics", auth: "metrics", run: createGetMetrics(deps) },
    { ...probe, path: "/openapi.json", run: createGetDocument(() => routesOf(deps), deps.version) },
  ];
}

/** What the people who run the service do, for everybody. */
function adminRoutes(deps: AppDeps, v1: string): Route[] {
  const look = { method: "GET", auth: "bearer", needs: "admin", query: [] } as const;
  const act = { ...look, method: "POST" } as const;
  return [
    { ...look, path: `${v1}/signing-keys`, run: createListSigningKeys(deps) },
    {
      ...look,
      path: `${v1}/signing-keys/:kid`,
      method: "DELETE",
      run: createDropSigningKey(deps),
    },
    {
      ...look,
      isOfReplica: true,
      path: `${v1}/owners`,
      query: pageParameters,
      run: createListOwners(deps),
    },
    {
      ...look,
      path: `${v1}/audit/checkpoints`,
      query: pageParameters,
      run: createListCheckpoints(deps),
    },
    { ...look, path: `${v1}/doctor`, run: createExamine(deps) },
    { ...act, path: `${v1}/reconcile`, run: createReconcileNow(deps) },
    { ...act, path: `${v1}/backup`, run: createCopyDatabase(deps) },
    { ...act, path: `${v1}/pause`, body: pauseSchema, run: createPauseSending(deps) },
    {
      ...act,
      path: `${v1}/sessions/end`,
      body: endSessionsSchema,
      run: createEndSessions(deps),
    },
    { ...act, path: `${v1}/tokens/end`, body: endTokensSchema, run: createEndTokens(deps) },
    { ...act, path: `${v1}/resume`, body: resumeSchema, run: createResumeSending(deps) },
  ];
}

/** A process that only works answers its health checks and scrapes, and nothing else. */
function servedRoutes(deps: AppDeps): Route[] {
  const routes = routesOf(deps);
  return deps.config.role === "worker" ? routes.filter(({ auth }) => auth !== "bearer") : routes;
}

/** The HTTP application; nothing listens yet. Serve it with `app.fetch(req, { server })`. */
export function createApp(deps: AppDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ getPath: pathOf });
  const headers = createSecurityHeaders(deps.isHttps ?? (() => false));
  app.use(requestId, accessLog(deps), headers, rateLimitHeaders, readFromHeader, soundTarget);
  app.use((_, next) => withCallBudget(answerWithinMs, next));
  app.onError((error, c) => failureResponse(error, c, deps));
  app.notFound((c) => failureResponse(noSuchRoute(), c, deps));

  const routes = servedRoutes(deps);
  const turns = { reads: createOwnerTurns({ runningMax: readsMax }), parses: createParseTurns() };
  for (const route of routes) {
    app.on(route.method, route.path, (c) =>
      run(c, route, deps, turns).catch((error: unknown) => refuse(c, deps, error)),
    );
  }
  for (const [path, methods] of methodsByPath(routes)) {
    app.all(path, (c) => {
      c.set("route", path);
      return methodNotAllowed(c, methods, deps);
    });
  }
  for (const mount of deps.mounts) mount(app, routes);
  return app;
}

async function run(c: ApiContext, route: Route, deps: AppDeps, turns: Turns): Promise<Response> {
  c.set("route", route.path);
  if (longPaths.has(route.path)) liftCallBudget();
  const takesMore = route.method === "POST" || route.method === "PATCH";
  if (takesMore && deps.isDraining()) throw shuttingDown();
  if (route.auth === "bearer") {
    const authorization = authorizationOf(c, { takesToken: route.takesToken ?? false, ...deps });
    const mayGuess = () => deps.rateLimits.assertMayGuess(deps.peerAddress?.(c) ?? null);
    const principal =
      c.env?.principal ?? (await deps.authenticator.authenticate(authorization, mayGuess));
    if (authorization !== undefined) c.set("authorization", authorization);
    c.set("principal", principal);
    await deps.rateLimits.spend(c, principal, route.needs, route.path);
    assertRight(principal, route.needs);
  }
  if (route.query) assertQuery(c, route.query);
  const held: HeldBytes = { bytes: 0, giveBack: [] };
  c.set("held", held);
  try {
    await takeTurns(c, route, turns);
    return await answerFromReplica(c, route.isOfReplica ? deps.readReplica : null, route.run);
  } finally {
    for (const giveBack of held.giveBack) giveBack();
    collectAfter(held.bytes);
    if (c.var.turn?.isKept === false) c.var.turn.end();
  }
}

interface Turns {
  reads: OwnerTurns;
  parses: ParseTurns;
}

/** Reads of one owner at a time: the embedded database works on one call, a pool on a few. */
const readsMax = 4;

/**
 * What reads, or changes many, waits for its owner's turn. What accepts emails does not: many at
 * one moment are one call to the database.
 */
async function takeTurns(
  c: ApiContext,
  { method, isHeavy = method === "GET" }: Route,
  { reads, parses }: Turns,
): Promise<void> {
  const ownerId = c.var.principal?.ownerId;
  // A probe, or a scrape that looks after its credential itself.
  if (ownerId === undefined) return;
  parses.see(ownerId);
  c.set("parseTurns", parses);
  if (!isHeavy) return;
  c.set("turn", { isKept: false, end: await reads.enter(ownerId, c.req.raw.signal) });
}

/** Counts failed credentials: a client that goes on sending them is told to stop. */
async function refuse(c: ApiContext, deps: AppDeps, error: unknown): Promise<never> {
  if (!isAppError(error, "unauthorized")) throw error;
  throw (await deps.rateLimits.fail(deps.peerAddress?.(c) ?? null, "credential")) ?? error;
}

function assertRight(principal: Principal, needs: Right): void {
  const missing = missingScope(principal, needs);
  if (missing === null) return;
  throw new AppError("forbidden", {
    publicDetail:
      principal.key === undefined
        ? adminsOnly(principal)
        : `This API key lacks the scope ${missing}.`,
    reason: "scope",
    missingScope: missing,
  });
}

function adminsOnly({ lacksSecondFactor }: Principal): string {
  if (!lacksSecondFactor) return "This is for admins.";
  return "This is for admins, and this token was made with one factor: sign in with the second, too.";
}

function methodsByPath(routes: Route[]): Map<string, string[]> {
  const byPath = new Map<string, string[]>();
  for (const { path, method } of routes) {
    const methods = method === "GET" ? ["GET", "HEAD"] : [method];
    byPath.set(path, [...(byPath.get(path) ?? []), ...methods]);
  }
  return byPath;
}

function failureResponse(error: unknown, c: ApiContext, { publicUrl }: AppDeps): Response {
  const { requestId: id = crypto.randomUUID() } = c.var;
  if (isResendPath(c.req.path)) return resendResponse(toAppError(error));
  const baseUrl = publicUrl ?? undefined;
  return problemResponse(toAppError(error), { instance: c.req.path, requestId: id, baseUrl });
}

function methodNotAllowed(c: ApiContext, methods: string[], deps: AppDeps): Response {
  const allow = methods.join(", ");
  const error = new AppError("method_not_allowed", {
    publicDetail: `This path takes ${allow}.`,
  });
  const response = failureResponse(error, c, deps);
  response.headers.set("allow", allow);
  return response;
}

function noSuchRoute(): AppError {
  return new AppError("not_found", { publicDetail: "There is nothing at this path." });
}

function shuttingDown(): AppError {
  return new AppError("shutting_down", {
    publicDetail: "The service is shutting down and takes nothing new; nothing was stored.",
    retryAfterSeconds: 5,
  });
}
