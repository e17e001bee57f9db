import type { Config } from "../config.ts";
import { isRedisExposed } from "../config-exposure.ts";
import type { RedisPlace } from "../config-redis.ts";
import { inspectRedis, type RedisFacts } from "../queue/inspect-redis.ts";
import { poolerWords, poolsTransactions } from "../store/pooler.ts";
import { type Finding, failed, ok, reasonOf, warning } from "./finding.ts";

/** Where the queue lives; with Redis also its clock, for the check that compares clocks. */
export async function checkQueue({
  queue,
}: Config): Promise<{ findings: Finding[]; redis: RedisFacts | null }> {
  if (queue.driver === "postgres") return { findings: [await checkPooler(queue.url)], redis: null };
  try {
    const redis = await inspectRedis(queue.place);
    const findings = [judgeVersion(redis), ...judgeWrites(redis), judgePolicy(redis)];
    return { findings: [...findings, judgeAof(redis), judgeEncryption(queue.place)], redis };
  } catch (error) {
    const advice = /WRONGPASS|NOAUTH|AUTH/.test(reasonOf(error))
      ? "Check the password in REDIS_URL or REDIS_PASSWORD."
      : "Check REDIS_URL (or REDIS_HOST and REDIS_PORT), that Redis runs, and the firewall.";
    return {
      findings: [failed("queue", `cannot connect: ${reasonOf(error)}`, advice)],
      redis: null,
    };
  }
}

/** BullMQ LISTENs, and a pooler in transaction mode lends a connection for one transaction. */
async function checkPooler(url: string | null): Promise<Finding> {
  if (url === null) return ok("queue", "lives in the embedded database");
  try {
    if (!(await poolsTransactions(url))) return ok("queue", "lives in the database");
    return failed("queue", poolerWords.saw, poolerWords.advice);
  } catch (error) {
    return failed("queue", `cannot connect: ${reasonOf(error)}`, "See the check of the database.");
  }
}

function judgeVersion({ product, version, tookMs }: RedisFacts): Finding {
  const saw = `${product === "valkey" ? "Valkey" : "Redis"} ${version} answers in ${Math.round(tookMs)} ms`;
  if (Number.parseInt(version, 10) >= 7) return ok("queue", saw);
  return failed("queue", saw, "Move to Redis 7 or newer, or to Valkey.");
}

/** One that refuses writes answers everything else as ever. */
function judgeWrites({ health: { state, detail, advice } }: RedisFacts): Finding[] {
  if (state === "ok") return [];
  return [failed("queue", detail, `${advice.charAt(0).toUpperCase()}${advice.slice(1)}.`)];
}

function judgeEncryption(place: RedisPlace): Finding {
  const check = "redis tls";
  if (!isRedisExposed(place)) return ok(check, "the connection is encrypted, or stays nearby");
  const saw = "Redis is on another machine and the connection is not encrypted";
  return warning(check, saw, "Use rediss:// in REDIS_URL, or REDIS_TLS=true.");
}

function judgePolicy({ policy }: RedisFacts): Finding {
  const check = "redis policy";
  if (policy === "noeviction") return ok(check, "maxmemory-policy is noeviction");
  const advice =
    "Set maxmemory-policy to noeviction: an evicted job is found late, by the database.";
  if (policy === null) return warning(check, "maxmemory-policy cannot be seen", advice);
  return failed(check, `maxmemory-policy is ${policy}`, advice);
}

function judgeAof({ isAppendOnly }: RedisFacts): Finding {
  const check = "redis persistence";
  if (isAppendOnly) return ok(check, "the append-only file is on");
  const saw = isAppendOnly === null ? "cannot be seen" : "the append-only file is off";
  const advice =
    "Set appendonly yes: without it a restart empties the queue, and what is due meanwhile is " +
    "sent up to a second late.";
  return warning(check, saw, advice);
}
