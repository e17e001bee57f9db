import type { MiddlewareHandler } from "hono";
import { AppError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { ApiEnv } from "../api-env.ts";
import type { SeenRequest } from "../app-deps.ts";

/** One line for each request: the route's pattern instead of the path, and never its query. */
export function accessLog({
  log,
  observeRequest,
}: {
  log: Logger;
  observeRequest: (seen: SeenRequest) => void;
}): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const startedAt = performance.now();
    await next();
    const { route, principal, emailId, requestId } = c.var;
    // Probes, scrapes, and the console's own pages, which ask every two seconds, would drown the rest.
    const isProbe = route === undefined || /^\/(health|metrics)/.test(route);
    const isChatter = isProbe && c.res.status < 400;
    const durationMs = performance.now() - startedAt;
    const { method } = c.req;
    observeRequest({ method, route: route ?? null, status: c.res.status, durationMs });
    const fields = {
      request_id: requestId,
      method,
      path: route ?? "(no route)",
      status: c.res.status,
      duration_ms: Math.round(durationMs),
      ...(principal ? { owner: principal.ownerId } : {}),
      ...(emailId ? { email_id: emailId } : {}),
      ...(c.error instanceof AppError ? faultFields(c.error) : {}),
    };
    if (c.res.status >= 500 && c.error) log.error("request", { ...fields, err: c.error });
    else if (isChatter) log.debug("request", fields);
    else log.info("request", fields);
  };
}

/** A refused credential by the word for why; the credential itself is nowhere. */
function faultFields({ code, reason }: AppError) {
  return { code, ...(reason === undefined ? {} : { reason }) };
}
