import type { MiddlewareHandler } from "hono";
import { AppError } from "../../errors.ts";
import type { ApiEnv } from "../api-env.ts";

/** A name as DNS has them, `_` beside (Docker's names hold one), or an IPv6 address; a port. */
const host = /^(?:[a-z0-9_](?:[a-z0-9_.-]{0,253})?|\[[0-9a-f:.]{2,45}\])(?::(\d{1,5}))?$/i;
const hostLengthMax = 262;
const portMax = 65_535;
const scheme = /^https?:\/\//;

/**
 * The path as it was sent, not decoded: a proxy that keeps `/metrics` to itself compares what it
 * sees, so `/%6detrics` must be another path for us as well. `/` when the URL is none: `soundTarget`
 * refuses it.
 *
 * Bun puts the URL together from the `Host` and the path. A `Host` that does not parse leaves the
 * path alone, and Hono would look for its third slash: `/zz/metrics` was served as `/metrics`.
 */
export function pathOf({ url }: Request): string {
  if (!scheme.test(url)) return "/";
  const from = url.indexOf("/", url.indexOf("//") + 2);
  if (from < 0) return "/";
  const end = url.slice(from).search(/[?#]/);
  return end < 0 ? url.slice(from) : url.slice(from, from + end);
}

/** Refuses, before any route, a request that others may have understood otherwise. */
export const soundTarget: MiddlewareHandler<ApiEnv> = async (c, next) => {
  const given = c.req.raw.headers.get("host");
  if (!scheme.test(c.req.raw.url) || !isHost(given)) throw unsound();
  await next();
};

/** Absent only within the program: Bun refuses an HTTP/1.1 request without one. */
function isHost(given: string | null): boolean {
  if (given === null) return true;
  const match = given.length <= hostLengthMax ? host.exec(given) : null;
  return match !== null && Number(match[1] ?? 0) <= portMax;
}

function unsound(): AppError {
  return new AppError("malformed_request", {
    publicDetail:
      "The Host header is expected once, as a name or an address with or without a port.",
  });
}
