import { until } from "./child-server.ts";
import { createRedisNodes, type RedisNodes, type RedisNodesOptions } from "./redis-nodes.ts";

/** Several Redis servers that stand in for each other. */
export interface SeveralRedis {
  /** Settings of the product: where they are, and what lets it in. */
  readonly env: Readonly<Record<string, string>>;
  readonly password: string;
  /** Kills the one that is written to now; resolves once another has its place. */
  failOver(): Promise<void>;
  stop(): void;
}

/** Servers that share the keys, which can be moved from one to another. */
export interface RedisCluster extends SeveralRedis {
  /** Moves the slot of the queue's keys to another primary while it is in use. */
  reshard(): Promise<void>;
}

/** A primary, a replica and three Sentinels that agree by two within a second. */
export async function startSentinels(
  name: string,
  options: RedisNodesOptions = {},
): Promise<SeveralRedis> {
  const servers = createRedisNodes(options);
  const { say } = servers;
  const [primary, replica] = [await servers.freePort(), await servers.freePort()];
  servers.start(primary, []);
  servers.start(replica, ["--replicaof", "127.0.0.1", `${primary}`]);
  await until("the replica follows", async () =>
    (await say(replica, "info", "replication").catch(() => "")).includes("master_link_status:up"),
  );
  const sentinels: number[] = [];
  for (let i = 0; i < 3; i++) {
    const port = await servers.freePort();
    sentinels.push(port);
    servers.startSentinel(port, name, primary);
  }
  const known = async (port: number) => await say(port, "sentinel", "masters").catch(() => "");
  await until("every Sentinel knows the others and the replica", async () =>
    (await Promise.all(sentinels.map(known))).every(
      (told) => /num-slaves,1\b/.test(told) && /num-other-sentinels,2\b/.test(told),
    ),
  );
  return {
    env: {
      ...servers.env,
      REDIS_SENTINELS: sentinels.map((port) => `127.0.0.1:${port}`).join(","),
      REDIS_SENTINEL_NAME: name,
      REDIS_SENTINEL_PASSWORD: servers.sentinelPassword,
    },
    password: servers.password,
    async failOver() {
      servers.kill(primary);
      await until(
        "the replica is promoted",
        async () => (await say(replica, "role").catch(() => "")).startsWith("master"),
        30_000,
      );
    },
    stop: servers.stop,
  };
}

/** Three primaries with a replica each, which take over within about two seconds. */
export async function startCluster(options: RedisNodesOptions = {}): Promise<RedisCluster> {
  const servers = createRedisNodes(options);
  const { say } = servers;
  const first = firstOfFreePorts(6);
  const ports = Array.from({ length: 6 }, (_, index) => first + index);
  const clustered = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
  for (const port of ports) servers.start(port, clustered);
  const isUp = async (port: number) => (await say(port, "ping").catch(() => "")) === "PONG";
  await until("every node answers", async () =>
    (await Promise.all(ports.map(isUp))).every(Boolean),
  );
  const nodes = ports.map((port) => `127.0.0.1:${port}`);
  servers.cli("--cluster", "create", ...nodes, "--cluster-replicas", "1", "--cluster-yes");
  const isWhole = async (port: number) =>
    (await say(port, "cluster", "info")).includes("cluster_state:ok") &&
    (await say(port, "cluster", "nodes")).split("slave").length - 1 === 3;
  await until("every node sees the whole", async () =>
    (await Promise.all(ports.map(isWhole))).every(Boolean),
  );
  return {
    env: { ...servers.env, REDIS_CLUSTER: nodes.join(",") },
    password: servers.password,
    async failOver() {
      const before = await ownerOfOurKeys(servers, first);
      const asked = ports.find((port) => port !== before) ?? first;
      servers.kill(before);
      await until(
        "its replica has its slots",
        async () => (await ownerOfOurKeys(servers, asked)) !== before,
        30_000,
      );
    },
    reshard: () => moveOurKeys(servers, first),
    stop: servers.stop,
  };
}

/** The first of free ports in a row; the nodes talk to each other on ports that are 10,000 higher. */
function firstOfFreePorts(count: number): number {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const ports = Array.from({ length: count }, (_, index) => first + index);
    if (ports.flatMap((port) => [port, port + 10_000]).every(isFree)) return first;
  }
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}

type SlotRange = [first: number, last: number, primary: [host: string, port: number, id: string]];

async function slotsOf({ ask }: RedisNodes, asked: number): Promise<SlotRange[]> {
  return (await ask(asked, "cluster", "slots")) as SlotRange[];
}

async function ourSlot({ say }: RedisNodes, asked: number): Promise<number> {
  return Number(await say(asked, "cluster", "keyslot", "{mailer}"));
}

/** The port of the primary that the queue's keys are on, as this node knows. */
async function ownerOfOurKeys(servers: RedisNodes, asked: number): Promise<number> {
  const slot = await ourSlot(servers, asked);
  const slots = await slotsOf(servers, asked);
  return slots.find(([first, last]) => first <= slot && slot <= last)?.[2][1] ?? 0;
}

/**
 * The steps of `redis-cli --cluster reshard` for the one slot that matters. In between keys are at both
 * nodes, where a script over several is told TRYAGAIN; that lasts long enough to be met.
 */
async function moveOurKeys(servers: RedisNodes, asked: number): Promise<void> {
  const { ask, say, password } = servers;
  const slot = String(await ourSlot(servers, asked));
  const primaries = (await slotsOf(servers, asked)).map(([, , primary]) => primary);
  const owner = await ownerOfOurKeys(servers, asked);
  const from = primaries.find(([, port]) => port === owner);
  const to = primaries.find(([, port]) => port !== owner);
  if (!from || !to) throw new Error("the Cluster has no two primaries");
  await ask(to[1], "cluster", "setslot", slot, "importing", from[2]);
  await ask(from[1], "cluster", "setslot", slot, "migrating", to[2]);
  for (;;) {
    const keys = (await ask(from[1], "cluster", "getkeysinslot", slot, "2")) as string[];
    if (keys.length === 0) break;
    const there = ["127.0.0.1", String(to[1]), "", "0", "5000", "REPLACE", "AUTH", password];
    await ask(from[1], "migrate", ...there, "KEYS", ...keys);
    await Bun.sleep(200);
  }
  for (const [, port] of [to, from, ...primaries]) {
    await say(port, "cluster", "setslot", slot, "node", to[2]);
  }
  await until("every primary knows the new place", async () => {
    const owners = await Promise.all(primaries.map(([, port]) => ownerOfOurKeys(servers, port)));
    return owners.every((port) => port === to[1]);
  });
}
