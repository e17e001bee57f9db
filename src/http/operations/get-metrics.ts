import { createHash, timingSafeEqual } from "node:crypto";
import { AppError } from "../../errors.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";

/** GET /metrics: what Prometheus scrapes. For METRICS_TOKEN, which opens nothing else, and admins. */
export function createGetMetrics({ metrics, authenticator }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const authorization = c.req.header("authorization");
    if (!isToken(authorization, metrics.token)) {
      const principal = c.env?.principal ?? (await authenticator.authenticate(authorization));
      c.set("principal", principal);
      if (!principal.isAdmin) {
        throw new AppError("forbidden", {
          publicDetail: "Metrics are for admins, or for METRICS_TOKEN.",
        });
      }
    }
    const headers = { "content-type": metrics.contentType, "cache-control": "no-store" };
    return c.body(await metrics.text(), 200, headers);
  };
}

/** Compared as hashes of one length, in constant time: how near a guess comes must not show. */
function isToken(authorization: string | undefined, token: string | null): boolean {
  const given = /^Bearer +([^ ].*)$/i.exec(authorization ?? "")?.[1];
  if (token === null || given === undefined) return false;
  return timingSafeEqual(sha256(given), sha256(token));
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
