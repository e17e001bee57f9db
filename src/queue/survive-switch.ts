import type { Redis } from "ioredis";

/**
 * Makes a connection that asks Sentinels outlive a switch; answers with the same connection. ioredis 6
 * ends a client for good when a Sentinel tells of the switch while the client is asking where to connect:
 * the detector's disconnect ends the attempt as if the owner had closed it, and no other follows. That
 * moment is short in clear and long by TLS, where every question takes a handshake. So an end that the
 * owner did not ask for is followed by another attempt, after the first wait of `retryStrategy`.
 */
export function surviveSwitch(redis: Redis): Redis {
  let isClosing = false;
  let next: Timer | null = null;
  const [disconnect, quit, duplicate] = [
    redis.disconnect.bind(redis),
    redis.quit.bind(redis),
    redis.duplicate.bind(redis),
  ];
  function close(): void {
    isClosing = true;
    if (next) clearTimeout(next);
  }
  redis.on("end", () => {
    const waitMs = redis.options.retryStrategy?.(1);
    if (isClosing || typeof waitMs !== "number") return;
    next = setTimeout(() => {
      // What goes wrong is told by the event `error`; ended again, it begins again.
      if (redis.status === "end") redis.connect().catch(() => undefined);
    }, waitMs);
  });
  return Object.assign(redis, {
    disconnect(reconnect = false) {
      if (!reconnect) close();
      disconnect(reconnect);
    },
    quit() {
      close();
      return quit();
    },
    // BullMQ makes the connection that blocks from the one it is given.
    duplicate: (override?: Parameters<typeof duplicate>[0]) => surviveSwitch(duplicate(override)),
  }) as Redis;
}
