import { expect, test } from "bun:test";
import { loadConfig } from "./config.ts";

const placeOf = (env: Record<string, string>) => {
  const { queue } = loadConfig(env);
  return queue.driver === "redis" ? queue.place : null;
};

test("REDIS_HOST, REDIS_PORT and REDIS_PASSWORD make a URL; REDIS_URL wins", () => {
  const parts = { REDIS_HOST: "cache", REDIS_PORT: "6380", REDIS_PASSWORD: "p@ss:/word#" };
  const url = "redis://:p%40ss%3A%2Fword%23@cache:6380";
  expect(placeOf(parts)).toEqual({ kind: "single", url });
  expect(placeOf({ ...parts, REDIS_TLS: "true" })).toEqual({
    kind: "single",
    url: url.replace("redis:", "rediss:"),
  });
  expect(placeOf({ REDIS_HOST: "::1", REDIS_PASSWORD: "" })).toEqual({
    kind: "single",
    url: "redis://[::1]:6379",
  });
  const other = "rediss://:x@other:1";
  expect(placeOf({ ...parts, REDIS_URL: other })).toEqual({ kind: "single", url: other });
});

test("REDIS_SENTINELS and REDIS_CLUSTER name several, with the password for all", () => {
  const REDIS_PASSWORD = "p@ss:/word#";
  const sentinel = { REDIS_SENTINELS: "a.example.com:26380, [::1], b", REDIS_PASSWORD };
  const nodes = [
    { host: "a.example.com", port: 26_380 },
    { host: "::1", port: 26_379 },
    { host: "b", port: 26_379 },
  ];
  const place = { kind: "sentinel", nodes, password: REDIS_PASSWORD, isTls: false };
  expect(placeOf(sentinel)).toEqual({
    ...place,
    name: "mymaster",
    sentinelPassword: null,
  } as never);
  const named = {
    REDIS_SENTINEL_NAME: "mails",
    REDIS_SENTINEL_PASSWORD: "other",
    REDIS_TLS: "true",
  };
  expect(placeOf({ ...sentinel, ...named })).toEqual({
    ...{ ...place, name: "mails", sentinelPassword: "other", isTls: true },
  } as never);
  expect(placeOf({ REDIS_CLUSTER: "c:7000,d:7001", REDIS_PASSWORD })).toEqual({
    kind: "cluster",
    nodes: [
      { host: "c", port: 7_000 },
      { host: "d", port: 7_001 },
    ],
    password: REDIS_PASSWORD,
    isTls: false,
  });
});

test("what cannot both be meant is refused, and what is passed over is warned of", () => {
  expect(() => loadConfig({ REDIS_SENTINELS: "a", REDIS_CLUSTER: "b" })).toThrow("REDIS_CLUSTER");
  for (const wrong of ["a:0", "a:99999", "a b", "redis://a:1"]) {
    expect(() => loadConfig({ REDIS_SENTINELS: wrong })).toThrow("host:port");
  }
  const warned = (env: Record<string, string>) => loadConfig(env).warnings.join();
  expect(warned({ REDIS_SENTINELS: "a", REDIS_URL: "redis://b" })).toContain(
    "REDIS_URL is ignored: REDIS_SENTINELS wins",
  );
  expect(warned({ REDIS_CLUSTER: "a", REDIS_HOST: "b" })).toContain(
    "REDIS_HOST is ignored: REDIS_CLUSTER wins",
  );
  expect(warned({ REDIS_SENTINELS: "a.example.com" })).toContain("set REDIS_TLS=true");
  expect(warned({ REDIS_SENTINELS: "a.example.com", REDIS_TLS: "true" })).toBe("");
});
