import { describe, expect, test } from "bun:test";
import { loadConfig } from "./config.ts";

const secrets = {
  ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  JWT_SECRET: "a secret of enough length",
};
const warningsOf = (env: Record<string, string>) =>
  loadConfig({ TRANSPORT: "capture", ...secrets, ...env }).warnings;
const postgres = (place: string) => warningsOf({ DATABASE_URL: `postgresql://u:p@${place}` });
const redis = (place: string) => warningsOf({ REDIS_URL: place });

describe("a database that is reached over a network in clear", () => {
  test("is told at the start, with the safe form", () => {
    for (const place of ["db.example.com/m", "10.0.0.5/m", "db.example.com/m?sslmode=disable"]) {
      expect(postgres(place)).toEqual([expect.stringContaining("sslmode=verify-full")]);
    }
    expect(postgres("[2001:db8::1]/m")).toHaveLength(1);
    expect(postgres("x/m?host=db.example.com")).toHaveLength(1);
  });

  test("is not one that is encrypted, on this machine, beside it, or in Fly's network", () => {
    const places = [
      ...["db.example.com/m?sslmode=verify-full", "db.example.com/m?sslmode=no-verify"],
      ...["localhost/m", "127.0.0.1:5433/m", "[::1]/m", "x/m?host=/var/run/postgresql"],
      ...["postgres:5432/mailer", "mailer-db.internal/m", "mailer-db.flycast/m"],
    ];
    for (const place of places) expect(postgres(place)).toEqual([]);
  });
});

test("the Redis that Fly makes is in its private network, and no other of Upstash is", () => {
  expect(redis("redis://default:p@fly-mailer-fra.upstash.io:6379")).toEqual([]);
  expect(redis("redis://default:p@eu1-mailer.upstash.io:6379")).toHaveLength(1);
});

describe("a Redis that is reached over a network in clear", () => {
  test("is told at the start, with the safe form", () => {
    expect(redis("redis://:p@redis.example.com:6379")).toEqual([
      expect.stringContaining("rediss://"),
    ]);
    expect(warningsOf({ REDIS_HOST: "10.1.2.3" })).toEqual([expect.stringContaining("rediss://")]);
  });

  test("is not one that is encrypted, on this machine or beside it", () => {
    expect(redis("rediss://:p@redis.example.com:6379")).toEqual([]);
    for (const host of ["localhost", "127.0.0.1", "redis", "mailer-redis.internal"]) {
      expect(redis(`redis://${host}:6379`)).toEqual([]);
      expect(warningsOf({ REDIS_HOST: host })).toEqual([]);
    }
  });
});

describe("a production server that was not told how browsers reach it", () => {
  const production = { NODE_ENV: "production" };
  const asks = [expect.stringContaining("PUBLIC_URL=https://")];

  test("asks for it at the start", () => {
    expect(warningsOf(production)).toEqual(asks);
    expect(warningsOf({ ...production, PUBLIC_URL: "http://mailer.example.com" })).toEqual(asks);
    expect(warningsOf({ ...production, TRUST_PROXY: "false" })).toEqual(asks);
  });

  test("does not once it knows, nor where no browser comes", () => {
    expect(warningsOf({ ...production, PUBLIC_URL: "https://mailer.example.com" })).toEqual([]);
    expect(warningsOf({ ...production, TRUST_PROXY: "fly" })).toEqual([]);
    const shared = { DATABASE_URL: "postgresql://u:p@localhost/m" };
    expect(warningsOf({ ...production, ...shared, ROLE: "worker" })).toEqual([]);
    expect(warningsOf({})).toEqual([]);
  });
});
