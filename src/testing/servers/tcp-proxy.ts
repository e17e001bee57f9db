import { connect, createServer, type Server, type Socket } from "node:net";

/** `up`: what clients send to the server; `down`: what it answers. */
export type ProxyDirection = "up" | "down";

export interface ProxyCut {
  /** In which direction the bytes are looked for. */
  direction: ProxyDirection;
  bytes: string | Uint8Array;
  /**
   * `before`: nothing of the piece that holds the bytes passes; `after`: it passes; `reply`: it
   * passes, the server's answer is waited for and thrown away. Then both sides are reset.
   */
  moment: "before" | "after" | "reply";
  /** How many connections are cut; default 1. */
  times?: number;
}

/** Stands between the product and one of its servers, and does to the connection as it is told. */
export interface TcpProxy {
  readonly port: number;
  readonly connections: number;
  /** How many connections `cut` has ended. */
  readonly cuts: number;
  /** Every piece arrives this much later, in order. */
  delay(ms: number, jitterMs?: number): void;
  /** Connections stay open and nothing arrives any more, as when a route is lost. */
  blackhole(direction?: ProxyDirection | "both"): void;
  /** One byte at a time, which defeats timeouts that count inactivity. */
  drip(everyMs: number, direction?: ProxyDirection): void;
  cut(cut: ProxyCut): void;
  /** RST on every connection that is open now; new ones are served. */
  reset(): void;
  /** Resets all and refuses new ones, as when nobody listens. */
  refuse(): Promise<void>;
  /** Everything as on the first day; what a black hole swallowed is gone with its connection. */
  heal(): Promise<void>;
  /** New connections go there; those that are open stay. */
  target(port: number): void;
  close(): Promise<void>;
}

interface Weather {
  delayMs: number;
  jitterMs: number;
  isSwallowed: Record<ProxyDirection, boolean>;
  dripMs: Record<ProxyDirection, number>;
  cuts: (ProxyCut & { left: number; needle: Buffer })[];
}

interface Pair {
  client: Socket;
  server: Socket;
  /** The end of what passed in each direction, so that bytes are found across two pieces. */
  tails: Record<ProxyDirection, Buffer>;
  /** The last piece in each direction; the next waits for it, so that order is kept. */
  passed: Record<ProxyDirection, Promise<void>>;
  isAnswerAwaited: boolean;
  /** Bytes were swallowed: the stream has a hole and can only be reset. */
  hasHole: boolean;
}

function fairWeather(): Weather {
  return {
    delayMs: 0,
    jitterMs: 0,
    isSwallowed: { up: false, down: false },
    dripMs: { up: 0, down: 0 },
    cuts: [],
  };
}

export async function createTcpProxy(firstPort: number): Promise<TcpProxy> {
  let targetPort = firstPort;
  const pairs = new Set<Pair>();
  let weather = fairWeather();
  let cutCount = 0;
  let server: Server | null = null;

  function end(pair: Pair): void {
    pairs.delete(pair);
    pair.client.resetAndDestroy();
    pair.server.resetAndDestroy();
  }

  /** What to do with a piece of a stream: the first cut that finds its bytes in it decides. */
  function findCut(pair: Pair, direction: ProxyDirection, piece: Buffer) {
    const seen = Buffer.concat([pair.tails[direction], piece]);
    const longest = Math.max(0, ...weather.cuts.map(({ needle }) => needle.length - 1));
    pair.tails[direction] = seen.subarray(Math.max(0, seen.length - longest));
    const found = weather.cuts.find(
      (cut) => cut.direction === direction && cut.left > 0 && seen.includes(cut.needle),
    );
    if (found) {
      found.left -= 1;
      cutCount += 1;
    }
    return found ?? null;
  }

  async function pass(pair: Pair, direction: ProxyDirection, piece: Buffer): Promise<void> {
    if (weather.isSwallowed[direction]) {
      pair.hasHole = true;
      return;
    }
    if (pair.isAnswerAwaited && direction === "down") return end(pair);
    const cut = findCut(pair, direction, piece);
    if (cut?.moment === "before") return end(pair);
    if (cut?.moment === "reply") pair.isAnswerAwaited = true;
    const to = direction === "up" ? pair.server : pair.client;
    const delayMs = weather.delayMs + Math.random() * weather.jitterMs;
    if (delayMs > 0) await Bun.sleep(delayMs);
    await write(to, piece, weather.dripMs[direction]);
    if (cut?.moment === "after") end(pair);
  }

  function serve(client: Socket): void {
    const upstream = connect({ port: targetPort, host: "127.0.0.1" });
    const pair: Pair = {
      client,
      server: upstream,
      tails: { up: Buffer.alloc(0), down: Buffer.alloc(0) },
      passed: { up: Promise.resolve(), down: Promise.resolve() },
      isAnswerAwaited: false,
      hasHole: false,
    };
    pairs.add(pair);
    for (const [direction, from, to] of [
      ["up", client, upstream],
      ["down", upstream, client],
    ] as const) {
      from.setNoDelay(true);
      from.on("data", (piece: Buffer) => {
        pair.passed[direction] = pair.passed[direction].then(() => pass(pair, direction, piece));
      });
      from.on("end", () => {
        pair.passed[direction] = pair.passed[direction].then(() => {
          // Across a black hole nobody learns that the other side has gone.
          if (!weather.isSwallowed[direction]) to.end();
        });
      });
      from.on("error", () => {
        if (!weather.isSwallowed[direction]) end(pair);
      });
      from.on("close", () => {
        if (pair.client.destroyed && pair.server.destroyed) pairs.delete(pair);
      });
    }
  }

  async function open(port: number): Promise<number> {
    const listener = createServer(serve);
    server = listener;
    const listening = Promise.withResolvers<number>();
    listener.once("error", listening.reject);
    listener.listen(port, "127.0.0.1", () => {
      const address = listener.address();
      listening.resolve(typeof address === "object" && address ? address.port : 0);
    });
    return await listening.promise;
  }

  async function shut(): Promise<void> {
    const closed = Promise.withResolvers<void>();
    if (server) server.close(() => closed.resolve());
    else closed.resolve();
    server = null;
    for (const pair of [...pairs]) end(pair);
    await closed.promise;
  }

  const port = await open(0);
  return {
    port,
    get connections() {
      return pairs.size;
    },
    get cuts() {
      return cutCount;
    },
    delay(ms, jitterMs = 0) {
      weather.delayMs = ms;
      weather.jitterMs = jitterMs;
    },
    blackhole(direction = "both") {
      if (direction !== "down") weather.isSwallowed.up = true;
      if (direction !== "up") weather.isSwallowed.down = true;
    },
    drip(everyMs, direction = "down") {
      weather.dripMs[direction] = everyMs;
    },
    cut(cut) {
      weather.cuts.push({ ...cut, left: cut.times ?? 1, needle: Buffer.from(cut.bytes) });
    },
    reset() {
      for (const pair of [...pairs]) end(pair);
    },
    refuse: shut,
    async heal() {
      weather = fairWeather();
      for (const pair of [...pairs]) {
        if (pair.hasHole || pair.client.destroyed || pair.server.destroyed) end(pair);
      }
      if (!server) await open(port);
    },
    target(to) {
      targetPort = to;
    },
    close: shut,
  };
}

async function write(to: Socket, piece: Buffer, dripMs: number): Promise<void> {
  if (to.destroyed) return;
  if (dripMs === 0) {
    to.write(piece);
    return;
  }
  for (const byte of piece) {
    to.write(Uint8Array.of(byte));
    await Bun.sleep(dripMs);
  }
}
