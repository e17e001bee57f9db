import type { MiddlewareHandler } from "hono";
import type { Cluster, Redis } from "ioredis";
import type { Principal, Right } from "../../auth/principal.ts";
import { AppError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { ApiContext, ApiEnv } from "../api-env.ts";
import { createLimiter, type Taken } from "./limiter.ts";

/** How often somebody may ask, and be wrong about who they are. */
export interface RateLimits {
  /**
   * Counts one request of a credential, and of its owner; throws `rate_limited`. An admin's routes are
   * free.
   */
  spend(c: ApiContext, principal: Principal, needs: Right, path?: string): Promise<void>;
  /**
   * Counts a credential that was not valid against where it came from; null: one more is let
   * pass. A valid one from the same place is never refused: many may share an address.
   */
  fail(address: string | null, kind: Failure): Promise<AppError | null>;
  /**
   * Throws `rate_limited` where so many credentials were refused that no unknown one is looked up any
   * more this minute. One that is known, or that is verified without the database, is never asked.
   */
  assertMayGuess(address: string | null): void;
}

/** `credential`: of a request to the API; `sign_in`: in the console's form, or by its link. */
export type Failure = "credential" | "sign_in";

export interface RateLimitsOptions {
  /** Of each credential, for writing and reading apart; 0: no limit. */
  perMinute: number;
  /** Shared by the processes of a region; null: this process counts for itself. */
  redis: Redis | Cluster | null;
  log: Logger;
}

/** A credential that ran out at a busy client is no attack; a list that is tried is. */
const badCredentialsPerMinute = 300;
const badSignInsPerMinute = 20;
/** All credentials of an owner together have so many times the rate of one. */
const ownerFactor = 4;

export function createRateLimits({ perMinute, ...shared }: RateLimitsOptions): RateLimits {
  const limiter = (name: string, most: number) =>
    createLimiter({ ...shared, name, perMinute: most });
  const byClass = perMinute === 0 ? null : limiter("requests", perMinute);
  const byOwner = perMinute === 0 ? null : limiter("owners", perMinute * ownerFactor);
  const costly = limiter("costly", costlyPerMinute);
  const failures = {
    credential: limiter("failures", badCredentialsPerMinute),
    sign_in: limiter("sign-ins", badSignInsPerMinute),
  };
  return {
    async spend(c, principal, needs, path = "") {
      if (byClass === null || byOwner === null || needs === "admin") return;
      const name = needs === "read" || needs === "any" ? "read" : "write";
      const taken = await byClass.take(`${name}:${credentialOf(principal)}`);
      c.set("rateLimit", { ...taken, name, perMinute });
      if (!taken.isAllowed) throw tooMany(`${perMinute} ${name} requests a minute`, taken);
      const all = await byOwner.take(`${name}:${principal.ownerId}`);
      const most = `${perMinute * ownerFactor} ${name} requests a minute of one owner`;
      if (!all.isAllowed) throw tooMany(most, all);
      if (!costlyPaths.has(path)) return;
      const few = await costly.take(`${path}:${principal.ownerId}`);
      if (!few.isAllowed) throw tooMany(`${costlyPerMinute} of these requests a minute`, few);
    },
    async fail(address, kind) {
      const taken = await failures[kind].take(networkOf(address));
      return taken.isAllowed ? null : tooMany(refusedWords, taken);
    },
    assertMayGuess(address) {
      const taken = failures.credential.exhausted(networkOf(address));
      if (taken !== null) throw tooMany(refusedWords, taken);
    },
  };
}

/** A test email waits up to 30 s; verifying reads the whole journal. */
const costlyPaths = new Set(["/api/v1/test-email", "/api/v1/audit/verify"]);
const costlyPerMinute = 20;

const refusedWords = "so many credentials that are not valid";

/** Each API key has a budget of its own; all tokens of one owner share one. */
function credentialOf({ ownerId, key }: Principal): string {
  return key === undefined ? `owner:${ownerId}` : `key:${key.id}`;
}

/** Of IPv6 the first 64 bits: everybody with a line has more addresses than could be counted. */
export function networkOf(address: string | null): string {
  if (address === null) return "unknown";
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [head = "", tail] = address.toLowerCase().split("%")[0]?.split("::") ?? [];
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const groups = [...first, ...Array<string>(zeros).fill("0"), ...last];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}

function tooMany(most: string, taken: Taken): AppError {
  const seconds = secondsOf(taken);
  return new AppError("rate_limited", {
    publicDetail: `No more than ${most} are taken; try again in ${seconds} s.`,
    retryAfterSeconds: seconds,
  });
}

function secondsOf({ resetMs }: Taken): number {
  return Math.max(1, Math.ceil(resetMs / 1_000));
}

/** What a caller has left, as draft-ietf-httpapi-ratelimit-headers says it and as was usual before. */
export const rateLimitHeaders: MiddlewareHandler<ApiEnv> = async (c, next) => {
  await next();
  const { rateLimit } = c.var;
  if (rateLimit === undefined) return;
  const { name, perMinute, remaining } = rateLimit;
  const reset = secondsOf(rateLimit);
  const headers = {
    "RateLimit-Policy": `"${name}";q=${perMinute};w=60`,
    RateLimit: `"${name}";r=${remaining};t=${reset}`,
    "RateLimit-Limit": String(perMinute),
    "RateLimit-Remaining": String(remaining),
    "RateLimit-Reset": String(reset),
  };
  for (const [header, value] of Object.entries(headers)) c.res.headers.set(header, value);
};
