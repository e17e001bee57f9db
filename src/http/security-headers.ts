import type { MiddlewareHandler } from "hono";
import type { ApiEnv } from "./api-env.ts";

const always = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
};
/** An answer of the API is never a page, not even an attachment that holds one. */
const forApi = { "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox" };

/** What a route sets itself stays. */
export const securityHeaders: MiddlewareHandler<ApiEnv> = async (c, next) => {
  await next();
  const isApi = /^\/(api|health)(\/|$)/.test(c.req.path);
  const headers = { ...always, ...(isApi ? forApi : {}), "cache-control": "no-store" };
  for (const [name, value] of Object.entries(headers)) {
    if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  }
};
