import type { MiddlewareHandler } from "hono";
import type { ApiContext, ApiEnv } from "../api-env.ts";

const always = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // The console copies to the clipboard; nothing of ours asks for anything else a browser has.
  "permissions-policy":
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
    "magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), usb=()",
};
/** An answer of the API is never a page, not even an attachment that holds one. */
const forApi = { "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox" };
/**
 * A year of https only, for this host alone: what else lies under its domain is not ours to
 * decide. Over plain http browsers do not read it.
 */
const overTls: [string, string] = ["strict-transport-security", "max-age=31536000"];
const alwaysForPages = Object.entries({ ...always, "cache-control": "no-store" });
const alwaysForApi = [...alwaysForPages, ...Object.entries(forApi)];

/** What a route sets itself stays. `isHttps`: whether the caller came to us, or a proxy, by TLS. */
export function createSecurityHeaders(
  isHttps: (c: ApiContext) => boolean,
): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    await next();
    const isApi = /^\/(api|health)(\/|$)/.test(c.req.path);
    const { headers } = c.res;
    for (const [name, value] of isApi ? alwaysForApi : alwaysForPages) {
      if (!headers.has(name)) headers.set(name, value);
    }
    if (isHttps(c) && !headers.has(overTls[0])) headers.set(...overTls);
  };
}
