import type { RedisPlace } from "./config-redis.ts";
import type { VariableValues } from "./config-variables.ts";
import { isLoopback } from "./runtime/loopback.ts";

type Places = Pick<
  VariableValues,
  | "DATABASE_URL"
  | "DATABASE_READ_URL"
  | "REDIS_URL"
  | "REDIS_HOST"
  | "REDIS_SENTINELS"
  | "REDIS_CLUSTER"
  | "REDIS_TLS"
>;

/**
 * Sentences about connections that cross a network in clear: their passwords, and what they carry,
 * are read by anybody on the way.
 */
export function exposedBy(values: Places): string[] {
  const sentences: [boolean, string][] = [
    [
      values.DATABASE_URL !== null && isPostgresExposed(values.DATABASE_URL),
      "DATABASE_URL has no sslmode, so the database is reached over a network in clear: add " +
        "?sslmode=verify-full (and &sslrootcert=/path/to/ca.pem where the provider has its own CA)",
    ],
    [
      values.DATABASE_READ_URL !== null && isPostgresExposed(values.DATABASE_READ_URL),
      "DATABASE_READ_URL has no sslmode, so the replica is reached over a network in clear: add " +
        "?sslmode=verify-full",
    ],
    [
      values.REDIS_URL !== null && isRedisExposed({ kind: "single", url: values.REDIS_URL }),
      "REDIS_URL begins with redis://, so Redis is reached over a network in clear: use rediss://",
    ],
    [
      values.REDIS_TLS !== true &&
        (values.REDIS_SENTINELS ?? values.REDIS_CLUSTER ?? []).some(({ host }) =>
          crossesNetwork(host),
        ),
      "Redis is reached over a network in clear: set REDIS_TLS=true",
    ],
    [
      values.REDIS_URL === null &&
        values.REDIS_TLS !== true &&
        values.REDIS_HOST !== null &&
        crossesNetwork(values.REDIS_HOST),
      "REDIS_HOST is reached over a network in clear: set REDIS_TLS=true, or use REDIS_URL=rediss://… instead",
    ],
  ];
  return sentences.filter(([holds]) => holds).map(([, sentence]) => sentence);
}

/** Whether what is said to this Redis can be read on the way. */
export function isRedisExposed(place: RedisPlace): boolean {
  if (place.kind === "single") {
    const { protocol, hostname } = new URL(place.url);
    return protocol === "redis:" && crossesNetwork(hostname);
  }
  return !place.isTls && place.nodes.some(({ host }) => crossesNetwork(host));
}

/** Those that `pg` encrypts for. */
const encryptedModes = new Set(["prefer", "require", "verify-ca", "verify-full", "no-verify"]);

function isPostgresExposed(url: string): boolean {
  const { hostname, searchParams } = new URL(url);
  const isEncrypted =
    encryptedModes.has(searchParams.get("sslmode") ?? "") ||
    /^(true|1)$/.test(searchParams.get("ssl") ?? "");
  return !isEncrypted && crossesNetwork(searchParams.get("host") ?? decodeURIComponent(hostname));
}

/**
 * Not: a Unix socket, this machine, Fly's private network (which is WireGuard, so encrypted; the
 * Redis that `fly redis create` makes is reached by it alone), and a name without a dot, which is a
 * container beside this one.
 */
function crossesNetwork(name: string): boolean {
  const host = name.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (host === "" || host.startsWith("/") || isLoopback(host)) return false;
  if (/\.(internal|flycast)$|^fly-[\w-]+\.upstash\.io$/i.test(host)) return false;
  return host.includes(".") || host.includes(":");
}

/** Whether a production server that browsers reach was not told how they do. */
export function isHttpsUnknown({
  NODE_ENV,
  ROLE,
  PUBLIC_URL,
  TRUST_PROXY,
}: VariableValues): boolean {
  if (NODE_ENV !== "production" || ROLE === "worker") return false;
  const isProxied = TRUST_PROXY !== null && TRUST_PROXY.kind !== "none";
  return PUBLIC_URL === null ? !isProxied : PUBLIC_URL.startsWith("http:");
}

export const httpsUnknown =
  "production wants PUBLIC_URL=https://… (or TRUST_PROXY, with a proxy that ends TLS): without it " +
  "browsers are told of no HTTPS, and the console's sign-in works over HTTPS and on this machine only";
