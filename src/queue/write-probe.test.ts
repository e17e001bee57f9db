import { afterEach, describe, expect, test } from "bun:test";
import { Redis } from "ioredis";
import { type RedisServer, startRedis } from "../testing/servers/redis-server.ts";
import { createWriteProbe, healthOfReply } from "./write-probe.ts";

describe("a Redis that answers PING", () => {
  let server: RedisServer;
  let redis: Redis;
  afterEach(async () => {
    redis.disconnect();
    await server.stop();
  });

  async function probeOf() {
    server = await startRedis();
    redis = new Redis(server.url, { maxRetriesPerRequest: 0, commandTimeout: 2_000 });
    return createWriteProbe(redis, "{mailer}:probe:here");
  }

  test("and takes writes is well; what was written disappears by itself", async () => {
    const probe = await probeOf();
    expect((await probe.check()).state).toBe("ok");
    expect(await redis.pttl("{mailer}:probe:here")).toBeWithin(1, 60_001);
  });

  test("and is at its maxmemory, or a replica, refuses writes, until it takes them again", async () => {
    const probe = await probeOf();
    await redis.config("SET", "maxmemory", "1");
    expect(await probe.check()).toMatchObject({
      state: "refusing",
      detail: "Redis refuses writes (OOM): it is at its maxmemory",
      advice: expect.stringContaining("raise maxmemory"),
    });
    await redis.config("SET", "maxmemory", "0");
    expect((await probe.check()).state).toBe("ok");
    await redis.call("REPLICAOF", "127.0.0.1", "1");
    expect((await probe.check()).detail).toStartWith("Redis refuses writes (READONLY)");
    expect(await redis.ping()).toBe("PONG");
    await redis.call("REPLICAOF", "NO", "ONE");
    expect((await probe.check()).state).toBe("ok");
  });

  test("and is gone a moment later is silent", async () => {
    const probe = await probeOf();
    expect((await probe.check()).state).toBe("ok");
    redis.on("error", () => {});
    await server.kill();
    expect((await probe.check()).state).toBe("silent");
  });
});

test("a node of a Cluster can never be the queue, and its address is not shown", () => {
  for (const reply of [
    "MOVED 3999 10.1.2.3:6381",
    "CLUSTERDOWN Hash slot not served",
    "CROSSSLOT Keys in request don't hash to the same slot",
  ]) {
    const health = healthOfReply(reply);
    expect(health).toMatchObject({
      state: "unusable",
      advice: expect.stringMatching(/REDIS_URL.*nothing is sent/),
    });
    expect(health?.detail).not.toContain("10.1.2.3");
  }
});

test("each refusal says why and what to do; words of the connection's are none", () => {
  for (const word of ["MISCONF", "NOREPLICAS", "NOPERM", "LOADING", "WRONGPASS", "NOAUTH", "ERR"]) {
    const health = healthOfReply(`${word} whatever it says`);
    expect(health?.detail).toContain(`(${word}): `);
    expect(health?.advice).not.toBe("");
  }
  expect(healthOfReply("Connection is closed.")).toBeNull();
  expect(healthOfReply("connect ECONNREFUSED 127.0.0.1:6379")).toBeNull();
});
