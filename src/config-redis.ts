import type { Faults } from "./config-faults.ts";
import { readPem } from "./config-smtp.ts";
import type { VariableValues } from "./config-variables.ts";

/** One of several servers that are found through each other. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Where the queue's Redis is: one server, one that Sentinels name, or a Cluster. */
export type RedisPlace = {
  /** PEM text of an authority beside the system's; absent: none. */
  readonly ca?: string;
} & (
  | { readonly kind: "single"; readonly url: string }
  | {
      readonly kind: "sentinel";
      readonly nodes: readonly HostPort[];
      /** Under which the Sentinels know the primary. */
      readonly name: string;
      readonly password: string | null;
      /** Of the Sentinels themselves; null: they want none. */
      readonly sentinelPassword: string | null;
      /** For the Sentinels and the servers alike. */
      readonly isTls: boolean;
    }
  | {
      readonly kind: "cluster";
      readonly nodes: readonly HostPort[];
      readonly password: string | null;
      readonly isTls: boolean;
    }
);

/** Null: there is none. */
export function redisPlaceOf(values: VariableValues, faults: Faults): RedisPlace | null {
  const place = placeOf(values, faults);
  const ca = readPem("REDIS_TLS_CA", values, faults);
  return place === null || ca === null ? place : { ...place, ca };
}

/** Each names a Redis by itself. */
function placeOf(values: VariableValues, faults: Faults): RedisPlace | null {
  const { REDIS_SENTINELS, REDIS_CLUSTER, REDIS_PASSWORD: password, REDIS_TLS } = values;
  const isTls = REDIS_TLS ?? false;
  if (REDIS_SENTINELS !== null && REDIS_CLUSTER !== null) {
    faults.add("REDIS_CLUSTER", "nothing, because REDIS_SENTINELS is set");
  }
  if (REDIS_SENTINELS !== null) {
    const name = values.REDIS_SENTINEL_NAME ?? "mymaster";
    const sentinelPassword = values.REDIS_SENTINEL_PASSWORD;
    return { kind: "sentinel", nodes: REDIS_SENTINELS, name, password, sentinelPassword, isTls };
  }
  if (REDIS_CLUSTER !== null) return { kind: "cluster", nodes: REDIS_CLUSTER, password, isTls };
  if (values.REDIS_URL !== null) return { kind: "single", url: values.REDIS_URL };
  if (values.REDIS_HOST === null) return null;
  const credentials = password === null ? "" : `:${encodeURIComponent(password)}@`;
  const host = values.REDIS_HOST.includes(":") ? `[${values.REDIS_HOST}]` : values.REDIS_HOST;
  const scheme = isTls ? "rediss" : "redis";
  const url = `${scheme}://${credentials}${host}:${values.REDIS_PORT ?? 6379}`;
  return { kind: "single", url };
}

/** What stands beside a Redis that is found through others, and does not count. */
export function redisDoubts(values: VariableValues): [boolean, string][] {
  const several = values.REDIS_SENTINELS !== null || values.REDIS_CLUSTER !== null;
  const winner = values.REDIS_SENTINELS === null ? "REDIS_CLUSTER" : "REDIS_SENTINELS";
  const one = values.REDIS_URL === null ? "REDIS_HOST" : "REDIS_URL";
  return [
    [
      several && (values.REDIS_URL !== null || values.REDIS_HOST !== null),
      `${one} is ignored: ${winner} wins`,
    ],
    [
      !several && values.REDIS_URL !== null && values.REDIS_HOST !== null,
      "REDIS_HOST is ignored: REDIS_URL wins",
    ],
    [
      values.REDIS_TLS_CA !== null &&
        (several || values.REDIS_URL === null
          ? values.REDIS_TLS !== true
          : values.REDIS_URL.startsWith("redis:")),
      "REDIS_TLS_CA is ignored: Redis is reached without TLS",
    ],
    [
      !several && values.REDIS_URL !== null && values.REDIS_TLS !== null,
      "REDIS_TLS is ignored: REDIS_URL says it by redis:// or rediss://",
    ],
  ];
}
