import type { RedisConnection } from "./open-redis.ts";
import { type QueueHealth, queueOk } from "./queue-health.ts";

/** Finds out whether a Redis takes writes, by writing. */
export interface WriteProbe {
  /** Never rejects; as long as the connection's commands may take. */
  check(): Promise<QueueHealth>;
}

/** A probe that nobody reads any more disappears. */
const expireMs = 60_000;
/** After a refusal ioredis may connect anew, and meanwhile knows no more than that. */
const refusalStaysMs = 5_000;

/** Writes `key`; it has to begin as the queue's keys do, so that the same node and rights serve it. */
export function createWriteProbe(redis: RedisConnection, key: string): WriteProbe {
  let refusal: { health: QueueHealth; at: number } | null = null;

  function judge(error: unknown): QueueHealth {
    const health = healthOfReply(error instanceof Error ? error.message : "");
    if (health !== null) {
      refusal = { health, at: performance.now() };
      return health;
    }
    if (refusal && performance.now() - refusal.at < refusalStaysMs) return refusal.health;
    return {
      state: "silent",
      detail: "Redis does not answer",
      advice: `see the log; ${meanwhile}, by processes that have reached it before`,
    };
  }

  return {
    async check() {
      const value = crypto.randomUUID();
      try {
        await redis.set(key, value, "PX", expireMs);
        // A proxy may send reads elsewhere than writes; there they can come later.
        await redis.get(key);
        refusal = null;
        return queueOk;
      } catch (error) {
        return judge(error);
      }
    },
  };
}

const meanwhile = "due emails are sent without it, about a second late";

/** What an error reply to a write begins with: what is the matter, and what to do about it. */
const refusals: Record<string, [why: string, advice: string]> = {
  OOM: ["it is at its maxmemory", "raise maxmemory, or free memory"],
  READONLY: ["it is a replica", "point REDIS_URL to the primary, or promote it"],
  MISCONF: ["it cannot save to its disk", "see Redis' log and the space of its disk"],
  NOREPLICAS: ["too few replicas follow it", "see min-replicas-to-write and the replicas"],
  LOADING: ["it reads its data from the disk", "wait"],
  MASTERDOWN: ["it is a replica without its primary", "point REDIS_URL to the primary"],
  BUSY: ["a script blocks it", "end the script with SCRIPT KILL"],
  NOPERM: ["its user may not", "allow the user all commands on the keys {mailer}:* (ACL SETUSER)"],
  WRONGPASS: ["the password is wrong", "check REDIS_URL or REDIS_PASSWORD"],
  NOAUTH: ["it wants a password", "set REDIS_PASSWORD"],
  ERR: ["it says that the command fails", "see its log"],
};

/** Replies of a Cluster's node about a key or keys that it does not serve. */
const clusterReplies = ["MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT", "TRYAGAIN"];

/**
 * What an error says about the queue's Redis, without the addresses that a reply may name. Null:
 * it is no reply of a Redis but the connection's, so nothing is known but that it is silent.
 */
export function healthOfReply(message: string): QueueHealth | null {
  const word = /^[A-Z]{2,}/.exec(message)?.[0] ?? "";
  if (clusterReplies.includes(word)) {
    return {
      state: "unusable",
      detail: `Redis refuses our keys (${word}): it is a node of a Redis Cluster`,
      // Nor does anybody know whether the queue is paused, so nothing is sent without it.
      advice: "name its nodes by REDIS_CLUSTER instead of REDIS_URL; until then nothing is sent",
    };
  }
  const [why, advice] = refusals[word] ?? [];
  if (why === undefined) return null;
  return {
    state: "refusing",
    detail: `Redis refuses writes (${word}): ${why}`,
    advice: `${advice}; ${meanwhile}`,
  };
}
