import type { MiddlewareHandler } from "hono";
import type { ApiEnv } from "../api-env.ts";

/** Takes the caller's `X-Request-Id` when it is fit for a log, and returns it with the answer. */
export const requestId: MiddlewareHandler<ApiEnv> = async (c, next) => {
  const given = c.req.header("x-request-id") ?? "";
  const id = /^[\x21-\x7e]{1,128}$/.test(given) ? given : crypto.randomUUID();
  c.set("requestId", id);
  await next();
  c.res.headers.set("x-request-id", id);
};
