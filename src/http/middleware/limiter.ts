import { createHash } from "node:crypto";
import type { Cluster, Redis } from "ioredis";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { Logger } from "../../log.ts";

/** Counts what each key does in a minute; a minute begins with its first use. */
export interface Limiter {
  /**
   * Spends one. Never rejects: with Redis down each process counts for itself, which is as many
   * times more as there are processes.
   */
  take(key: string): Promise<Taken>;
  /** What `take` would refuse as far as this process knows, without spending; null: nothing. */
  exhausted(key: string): Taken | null;
}

export interface Taken {
  isAllowed: boolean;
  /** Points left of this minute; with several processes a little more may be. */
  remaining: number;
  /** Until the minute is over. */
  resetMs: number;
}

export interface LimiterOptions {
  /** Stands in Redis. */
  name: string;
  perMinute: number;
  /** Shared by the processes of a region; null: this process counts for itself. */
  redis: Redis | Cluster | null;
  log: Logger;
  now?: () => number;
}

const seconds = 60;
/**
 * The part of the rest that is taken from Redis at once and spent here: a key at its full rate asks
 * it for every sixth request or so, and what an idle process holds back is little.
 */
const leaseShare = 0.05;
/** A Redis that fails is left alone for this long; a hanging one costs one timeout each time. */
const downMs = 1_000;
const sweepAbove = 1_000;

/** Points taken from the store and not spent yet. */
interface Lease {
  left: number;
  /** In the store, when it was asked. */
  beyond: number;
  endsAt: number;
}

export function createLimiter(options: LimiterOptions): Limiter {
  return new LeasedLimiter(options);
}

class LeasedLimiter implements Limiter {
  private readonly leases = new Map<string, Lease>();
  private readonly renewals = new Map<string, { waiting: number; done: Promise<void> }>();
  private readonly store: Store;
  private readonly now: () => number;
  private sweptAt = 0;

  constructor(options: LimiterOptions) {
    this.now = options.now ?? (() => performance.now());
    this.store = createStore(options, this.now);
  }

  async take(key: string): Promise<Taken> {
    for (;;) {
      const lease = this.leases.get(key);
      if (lease !== undefined && lease.endsAt > this.now()) {
        const isAllowed = lease.left > 0;
        if (isAllowed) lease.left -= 1;
        if (isAllowed || lease.beyond === 0) {
          const remaining = lease.left + lease.beyond;
          return { isAllowed, remaining, resetMs: lease.endsAt - this.now() };
        }
      }
      await this.renew(key);
    }
  }

  exhausted(key: string): Taken | null {
    const lease = this.leases.get(key);
    const isOver = lease === undefined || lease.endsAt <= this.now();
    if (isOver || lease.left > 0 || lease.beyond > 0) return null;
    return { isAllowed: false, remaining: 0, resetMs: lease.endsAt - this.now() };
  }

  /** Many requests of one key at one moment ask once, for all of them. */
  private renew(key: string): Promise<void> {
    const running = this.renewals.get(key);
    if (running !== undefined) {
      running.waiting += 1;
      return running.done;
    }
    const renewal = { waiting: 1, done: Promise.resolve() };
    this.renewals.set(key, renewal);
    renewal.done = this.lease(key, renewal).finally(() => this.renewals.delete(key));
    return renewal.done;
  }

  private async lease(key: string, renewal: { waiting: number }): Promise<void> {
    // The next tick, so that all of this moment are counted.
    await Promise.resolve();
    const beyond = this.leases.get(key)?.beyond ?? 0;
    const asked = Math.max(renewal.waiting, Math.floor(beyond * leaseShare));
    const { granted, remaining, resetMs } = await this.store.take(key, asked);
    this.leases.set(key, { left: granted, beyond: remaining, endsAt: this.now() + resetMs });
    this.sweep();
  }

  private sweep(): void {
    const now = this.now();
    if (this.leases.size < sweepAbove || now - this.sweptAt < seconds * 1_000) return;
    this.sweptAt = now;
    for (const [key, { endsAt }] of this.leases) if (endsAt <= now) this.leases.delete(key);
  }
}

interface Store {
  take(
    key: string,
    asked: number,
  ): Promise<{ granted: number; remaining: number; resetMs: number }>;
}

function createStore({ name, perMinute, redis, log }: LimiterOptions, now: () => number): Store {
  // The braces keep all keys of the program in one slot of a Redis Cluster.
  const options = { keyPrefix: `{mailer}:limit:${name}`, points: perMinute, duration: seconds };
  const memory = new RateLimiterMemory(options);
  const shared =
    redis === null
      ? null
      : new RateLimiterRedis({ ...options, storeClient: redis, rejectIfRedisNotReady: true });
  let downUntil = Number.NEGATIVE_INFINITY;
  let isDown = false;
  const component = `rate limit of ${name}`;

  async function consume(key: string, asked: number): Promise<RateLimiterRes> {
    if (shared === null || now() < downUntil) return await consumed(memory, key, asked);
    // Before the question, so that one request alone finds out whether Redis is back.
    if (isDown) downUntil = now() + downMs;
    try {
      const res = await consumed(shared, key, asked);
      if (isDown) log.info("rate limits are shared again", { component });
      isDown = false;
      downUntil = Number.NEGATIVE_INFINITY;
      return res;
    } catch (error) {
      if (!isDown)
        log.warn("each process keeps the rate limit for itself", { component, err: error });
      isDown = true;
      downUntil = now() + downMs;
      return await consumed(memory, key, asked);
    }
  }

  return {
    async take(key, asked) {
      const res = await consume(hashOf(key), asked);
      const before = res.consumedPoints - asked;
      return {
        // Also of a question that was refused, the part that was there is ours: it counts as spent.
        granted: Math.min(asked, Math.max(0, perMinute - before)),
        remaining: Math.max(0, perMinute - res.consumedPoints),
        resetMs: Math.max(1, res.msBeforeNext),
      };
    },
  };
}

/** The library throws what it refuses. */
async function consumed(
  limiter: RateLimiterMemory | RateLimiterRedis,
  key: string,
  points: number,
): Promise<RateLimiterRes> {
  try {
    return await limiter.consume(key, points);
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) return refusal;
    throw refusal;
  }
}

/** Hashes a key: Redis must not know who writes mail, and from where. */
function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("base64url").slice(0, 22);
}
