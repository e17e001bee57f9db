import { afterEach, expect, test } from "bun:test";
import { Redis } from "ioredis";
import { until } from "../testing/servers/child-server.ts";
import { surviveSwitch } from "./survive-switch.ts";

const open: { disconnect(): void }[] = [];
let server: ReturnType<typeof startServer> | null = null;
afterEach(() => {
  for (const redis of open.splice(0)) redis.disconnect();
  server?.stop();
});

/** Speaks as much RESP 2 as it takes to be the primary and its only Sentinel. */
function startServer() {
  const sockets = new Set<Bun.Socket>();
  const subscribers = new Set<Bun.Socket>();
  const held: (() => void)[] = [];
  const state = { isHolding: false, port: 0 };
  const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;
  const list = (...parts: string[]) => `*${parts.length}\r\n${parts.join("")}`;
  function answer(socket: Bun.Socket, words: string[]): void {
    const [command = "", topic = ""] = words.map((word) => word.toLowerCase());
    if (command === "info") socket.write(bulk("redis_version:7.0.0\r\nloading:0\r\n"));
    else if (command === "subscribe") {
      subscribers.add(socket);
      socket.write(list(bulk("subscribe"), bulk("+switch-master"), ":1\r\n"));
    } else if (command === "sentinel" && topic === "sentinels") socket.write(list());
    else if (command === "sentinel") {
      const say = () => void socket.write(list(bulk("127.0.0.1"), bulk(`${state.port}`)));
      if (state.isHolding) held.push(say);
      else say();
    } else socket.write("+OK\r\n");
  }
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void sockets.add(socket),
      close: (socket) => void [sockets, subscribers].map((set) => set.delete(socket)),
      data(socket, bytes) {
        for (const words of commandsOf(bytes.toString())) answer(socket, words);
      },
    },
  });
  state.port = listener.port;
  return {
    port: listener.port,
    held,
    /** From now on nobody is told where the primary is. */
    hold() {
      state.isHolding = true;
    },
    /** Ends every connection that is no subscriber's. */
    cut() {
      for (const socket of sockets) if (!subscribers.has(socket)) socket.end();
    },
    tellOfSwitch() {
      for (const socket of subscribers)
        socket.write(list(bulk("message"), bulk("+switch-master"), bulk("mails")));
    },
    letGo() {
      state.isHolding = false;
      for (const say of held.splice(0)) say();
    },
    stop: () => listener.stop(true),
  };
}

/** Each command is an array of bulk strings; whole ones only, as a test sends them. */
function commandsOf(text: string): string[][] {
  const commands: string[][] = [];
  let words: string[] = [];
  const lines = text.split("\r\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    if (line.startsWith("*")) {
      words = [];
      commands.push(words);
    } else if (line.startsWith("$")) words.push(lines[++i] ?? "");
  }
  return commands;
}

function connectTo(port: number): Redis {
  return new Redis({
    ...{ sentinels: [{ host: "127.0.0.1", port }], name: "mails", protocol: 2 },
    ...{ failoverDetector: true, maxRetriesPerRequest: null },
    retryStrategy: (times) => Math.min(times * 20, 100),
    sentinelRetryStrategy: () => 50,
  }).on("error", () => undefined);
}

/** A switch is told while the client asks where the primary is. */
async function switchWhileAsking(redis: Redis, running: NonNullable<typeof server>) {
  open.push(redis.on("error", () => undefined));
  let subscribed = 0;
  redis.on("failoverSubscribed" as "ready", () => {
    subscribed += 1;
  });
  await until("it is connected", () => redis.status === "ready" && subscribed > 0);
  running.hold();
  running.cut();
  await until("it asks where to connect", () => running.held.length > 0);
  running.tellOfSwitch();
  // The message has come when another answer on the same process has.
  await until("the attempt is given up", async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return (
      (redis as unknown as { connector: { connecting: boolean } }).connector.connecting === false
    );
  });
  running.letGo();
}

test("ioredis alone ends for good: the reason for all this", async () => {
  server = startServer();
  const redis = connectTo(server.port);
  await switchWhileAsking(redis, server);
  await until("it has ended", () => redis.status === "end");
});

test("a switch that is told while it asks where to connect does not end it", async () => {
  server = startServer();
  const redis = surviveSwitch(connectTo(server.port));
  await switchWhileAsking(redis, server);
  await until("it is connected again", () => redis.status === "ready");
});

test("a duplicate of it, which BullMQ makes, does the same", async () => {
  server = startServer();
  const first = surviveSwitch(connectTo(server.port));
  open.push(first);
  const redis = first.duplicate({ connectionName: "blocks" });
  expect(redis.options.connectionName).toBe("blocks");
  await switchWhileAsking(redis, server);
  await until("it is connected again", () => redis.status === "ready");
});

test("closed by its owner it stays closed", async () => {
  server = startServer();
  const redis = surviveSwitch(connectTo(server.port));
  await until("it is connected", () => redis.status === "ready");
  redis.disconnect();
  await until("it has ended", () => redis.status === "end");
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, 100);
  await promise;
  expect(redis.status).toBe("end");
});
