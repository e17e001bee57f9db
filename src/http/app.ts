import { Hono } from "hono";
import type { z } from "zod";
import { missingScope, type Principal, type Right } from "../auth/principal.ts";
import { AppError, isAppError } from "../errors.ts";
import { collectAfter } from "../runtime/collect.ts";
import { liftCallBudget, withCallBudget } from "../store/call-budget.ts";
import { accessLog } from "./access-log.ts";
import type { ApiContext, ApiEnv, HeldBytes } from "./api-env.ts";
import { createGetApiKey, createListApiKeys, createRevokeApiKey } from "./api-keys.ts";
import type { AppDeps } from "./app-deps.ts";
import { auditParameters } from "./audit-query.ts";
import { cancelsSchema, replaysSchema } from "./bulk-fields.ts";
import { createCancelEmail } from "./cancel-email.ts";
import { createCancelEmails } from "./cancel-emails.ts";
import { apiKeySchema, createCreateApiKey } from "./create-api-key.ts";
import { emailSchema } from "./email-schema.ts";
import { createExamine } from "./examine.ts";
import { createGetAttachment } from "./get-attachment.ts";
import { createGetEmail } from "./get-email.ts";
import { createGetEvents } from "./get-events.ts";
import { createGetMetrics } from "./get-metrics.ts";
import { createGetRaw } from "./get-raw.ts";
import { createGetStatus } from "./get-status.ts";
import { createHealth, createLive, createReady } from "./health.ts";
import { createHoldEmail, createReleaseEmail, holdSchema, releaseSchema } from "./hold-email.ts";
import { createListAudit } from "./list-audit.ts";
import { createListDeadLetterGroups } from "./list-dead-letter-groups.ts";
import { createListDeadLetters, createListEmails } from "./list-emails.ts";
import { deadLetterParameters, filterParameters, pageParameters } from "./list-query.ts";
import { createOwnerTurns, type OwnerTurns } from "./owner-turns.ts";
import { createParseTurns, type ParseTurns } from "./parse-turns.ts";
import { createPatchEmail } from "./patch-email.ts";
import {
  createPauseSending,
  createResumeSending,
  pauseSchema,
  resumeSchema,
} from "./pause-sending.ts";
import { problemResponse, toAppError } from "./problem.ts";
import { assertQuery } from "./query.ts";
import { createQueueStats } from "./queue-stats.ts";
import { rateLimitHeaders } from "./rate-limits.ts";
import { createReconcileNow } from "./reconcile-now.ts";
import { createReplayDeadLetter } from "./replay-dead-letter.ts";
import { createReplayDeadLetters } from "./replay-dead-letters.ts";
import { requestId } from "./request-id.ts";
import { pathOf, soundTarget } from "./request-target.ts";
import { batchSchema, createScheduleBatch } from "./schedule-batch.ts";
import { createScheduleMail } from "./schedule-mail.ts";
import { createSecurityHeaders } from "./security-headers.ts";
import { createSendNow, sendNowSchema } from "./send-now.ts";
import { createSendTestEmail, testEmailSchema } from "./send-test-email.ts";
import { createShredContent } from "./shred-content.ts";
import { createDropSigningKey, createListSigningKeys } from "./signing-keys.ts";
import { editSchema } from "./to-edit.ts";
import { createGetCheckpoint, createVerifyAudit } from "./verify-audit.ts";

export type Route = {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  /** Query parameters it knows; absent: any are let through (probes add their own). */
  query?: readonly string[];
  /** What its body may hold; absent: it reads none. */
  body?: z.ZodObject;
  /** Whether its owner's turn is waited for; default: of a GET. */
  isHeavy?: boolean;
  run: (c: ApiContext) => Promise<Response>;
} & (
  | { auth: "none" }
  /** An admin, or METRICS_TOKEN; the endpoint looks itself. */
  | { auth: "metrics" }
  /** What the caller has to have; a route that does not say does not compile. */
  | { auth: "bearer"; needs: Right }
);

/** What a request may wait for the database in all: the answer is there within 5 s, if only 503. */
const answerWithinMs = 4_500;

/** These call the database as often as it takes; each of their calls has its own deadline. */
const longPaths: ReadonlySet<string> = new Set([
  "/api/v1/cancel",
  "/api/v1/dead-letters/replay",
  "/api/v1/test-email",
  "/api/v1/audit",
  "/api/v1/audit/verify",
  "/api/v1/audit/checkpoint",
  "/api/v1/doctor",
  "/api/v1/reconcile",
]);

/** Every route of the API. */
export function routesOf(deps: AppDeps): Route[] {
  const read = { method: "GET", auth: "bearer", needs: "read", query: [] } as const;
  const send = { method: "POST", auth: "bearer", needs: "send", query: [] } as const;
  const keys = { ...send, needs: "keys" } as const;
  const probe = { method: "GET", auth: "none" } as const;
  const filters = [...filterParameters, ...pageParameters];
  const deadFilters = [...filters, ...deadLetterParameters];
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
    { ...read, path: `${v1}/status/:id`, run: createGetStatus(deps) },
    { ...read, path: `${v1}/emails/:id`, run: createGetEmail(deps) },
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
    { ...read, path: `${v1}/emails/:id/raw`, run: createGetRaw(deps) },
    { ...read, path: `${v1}/emails/:id/attachments/:n`, run: createGetAttachment(deps) },
    { ...read, path: `${v1}/emails/:id/events`, run: createGetEvents(deps) },
    {
      ...send,
      path: `${v1}/emails/:id/content`,
      method: "DELETE",
      run: createShredContent(deps),
    },
    { ...send, path: `${v1}/cancel/:id`, method: "DELETE", run: createCancelEmail(deps) },
    {
      ...send,
      path: `${v1}/cancel`,
      body: cancelsSchema,
      isHeavy: true,
      run: createCancelEmails(deps),
    },
    { ...read, path: `${v1}/scheduled-emails`, query: filters, run: createListEmails(deps) },
    { ...read, path: `${v1}/dead-letters`, query: deadFilters, run: createListDeadLetters(deps) },
    {
      ...read,
      path: `${v1}/dead-letters/groups`,
      query: page,
      run: createListDeadLetterGroups(deps),
    },
    {
      ...send,
      path: `${v1}/dead-letters/replay`,
      body: replaysSchema,
      isHeavy: true,
      run: createReplayDeadLetters(deps),
    },
    {
      ...send,
      path: `${v1}/dead-letters/:id/replay`,
      body: editSchema,
      run: createReplayDeadLetter(deps),
    },
    { ...send, path: `${v1}/test-email`, body: testEmailSchema, run: createSendTestEmail(deps) },
    { ...read, path: `${v1}/queue-stats`, run: createQueueStats(deps) },
    { ...read, path: `${v1}/audit`, query: auditParameters, run: createListAudit(deps) },
    { ...read, path: `${v1}/audit/verify`, query: ["owner_id"], run: createVerifyAudit(deps) },
    {
      ...read,
      path: `${v1}/audit/checkpoint`,
      query: ["owner_id"],
      run: createGetCheckpoint(deps),
    },
    { ...keys, path: `${v1}/api-keys`, body: apiKeySchema, run: createCreateApiKey(deps) },
    { ...read, path: `${v1}/api-keys`, query: page, run: createListApiKeys(deps) },
    { ...read, path: `${v1}/api-keys/:id`, run: createGetApiKey(deps) },
    { ...keys, path: `${v1}/api-keys/:id`, method: "DELETE", run: createRevokeApiKey(deps) },
    ...adminRoutes(deps, v1),
    { ...probe, path: "/health", run: createHealth(deps) },
    { ...probe, path: "/health/live", run: createLive() },
    { ...probe, path: "/health/ready", run: createReady(deps) },
    { ...probe, path: "/metrics", auth: "metrics", run: createGetMetrics(deps) },
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
    { ...look, path: `${v1}/doctor`, run: createExamine(deps) },
    { ...act, path: `${v1}/reconcile`, run: createReconcileNow(deps) },
    { ...act, path: `${v1}/pause`, body: pauseSchema, run: createPauseSending(deps) },
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
  app.use(requestId, accessLog(deps), headers, rateLimitHeaders, soundTarget);
  app.use((_, next) => withCallBudget(answerWithinMs, next));
  app.onError((error, c) => failureResponse(error, c));
  app.notFound((c) => failureResponse(noSuchRoute(), c));

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
      return methodNotAllowed(c, methods);
    });
  }
  for (const mount of deps.mounts) mount(app);
  return app;
}

async function run(c: ApiContext, route: Route, deps: AppDeps, turns: Turns): Promise<Response> {
  c.set("route", route.path);
  if (longPaths.has(route.path)) liftCallBudget();
  const takesMore = route.method === "POST" || route.method === "PATCH";
  if (takesMore && deps.isDraining()) throw shuttingDown();
  if (route.auth === "bearer") {
    const principal = await deps.authenticator.authenticate(c.req.header("authorization"));
    c.set("principal", principal);
    await deps.rateLimits.spend(c, principal, route.needs);
    assertRight(principal, route.needs);
  }
  if (route.query) assertQuery(c, route.query);
  const held: HeldBytes = { bytes: 0, giveBack: [] };
  c.set("held", held);
  try {
    await takeTurns(c, route, turns);
    return await route.run(c);
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

/** Of one owner at a time: the embedded database works on one call, a pool on a few. */
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

/** Whoever goes on showing credentials that are not valid is told to stop. */
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
        ? "This is for admins."
        : `This API key lacks the scope ${missing}.`,
    reason: "scope",
    missingScope: missing,
  });
}

function methodsByPath(routes: Route[]): Map<string, string[]> {
  const byPath = new Map<string, string[]>();
  for (const { path, method } of routes) {
    const methods = method === "GET" ? ["GET", "HEAD"] : [method];
    byPath.set(path, [...(byPath.get(path) ?? []), ...methods]);
  }
  return byPath;
}

function failureResponse(error: unknown, c: ApiContext): Response {
  const { requestId: id = crypto.randomUUID() } = c.var;
  return problemResponse(toAppError(error), { instance: c.req.path, requestId: id });
}

function methodNotAllowed(c: ApiContext, methods: string[]): Response {
  const allow = methods.join(", ");
  const error = new AppError("method_not_allowed", {
    publicDetail: `This path takes ${allow}.`,
  });
  const response = failureResponse(error, c);
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
