import { afterEach, expect, test } from "bun:test";
import { connect, createServer, type Server, type Socket } from "node:net";
import { createTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

/** Answers every piece with itself in brackets, and keeps what it got. */
async function echo() {
  const got: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (piece) => {
      got.push(piece.toString());
      socket.write(`[${piece.toString()}]`);
    });
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : 0);
    });
  });
  open.push({
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  const proxy = await createTcpProxy(port);
  open.push(proxy);
  return { got, proxy };
}

/** A client that remembers what it saw; `ended` tells how it ended. */
function dial(proxy: TcpProxy) {
  const socket = connect({ port: proxy.port, host: "127.0.0.1" });
  open.push({ close: () => socket.destroy() });
  let seen = "";
  const waiting: { text: string; resolve: () => void }[] = [];
  const ended = new Promise<string>((resolve) => {
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    socket.on("close", () => resolve("closed"));
  });
  socket.on("data", (piece) => {
    seen += piece.toString();
    for (const { text, resolve } of waiting) if (seen.includes(text)) resolve();
  });
  return {
    say: (text: string) => socket.write(text),
    sees: (text: string) =>
      new Promise<void>((resolve) => {
        if (seen.includes(text)) resolve();
        else waiting.push({ text, resolve });
      }),
    ended,
    seen: () => seen,
  };
}

test("passes everything on until it is told otherwise", async () => {
  const { proxy } = await echo();
  const client = dial(proxy);
  client.say("hello");
  await client.sees("[hello]");
});

test("a black hole swallows without a word, and what it touched is reset by healing", async () => {
  const { got, proxy } = await echo();
  const client = dial(proxy);
  client.say("one");
  await client.sees("[one]");
  proxy.blackhole("down");
  client.say("two");
  while (!got.includes("two")) await Bun.sleep(5);
  await Bun.sleep(20);
  expect(client.seen()).toBe("[one]");
  await proxy.heal();
  expect(await client.ended).toBe("ECONNRESET");
  const next = dial(proxy);
  next.say("three");
  await next.sees("[three]");
});

test("cuts before, after, or at the reply to the bytes it was given, across pieces", async () => {
  const { got, proxy } = await echo();
  proxy.cut({ direction: "up", bytes: "xyz", moment: "before" });
  const before = dial(proxy);
  before.say("x");
  await before.sees("[x]");
  before.say("yz");
  expect(await before.ended).toBe("ECONNRESET");
  expect(got).toEqual(["x"]);

  proxy.cut({ direction: "up", bytes: "commit", moment: "reply" });
  const reply = dial(proxy);
  reply.say("commit");
  expect(await reply.ended).toBe("ECONNRESET");
  expect(got).toEqual(["x", "commit"]);
  expect(reply.seen()).toBe("");

  proxy.cut({ direction: "down", bytes: "[354]", moment: "after" });
  const after = dial(proxy);
  after.say("354");
  await after.sees("[354]");
  expect(await after.ended).toBe("ECONNRESET");
  expect(proxy.cuts).toBe(3);
  const once = dial(proxy);
  once.say("commit");
  await once.sees("[commit]");
});

test("refuses while it is shut, and serves on the same port again", async () => {
  const { proxy } = await echo();
  await proxy.refuse();
  expect(await dial(proxy).ended).toBe("ECONNREFUSED");
  await proxy.heal();
  const client = dial(proxy);
  client.say("back");
  await client.sees("[back]");
});

test("delays every piece, and drips byte by byte", async () => {
  const { proxy } = await echo();
  proxy.delay(100);
  const client = dial(proxy);
  const startedAt = performance.now();
  client.say("late");
  await client.sees("[late]");
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(199);
  await proxy.heal();
  proxy.drip(10);
  client.say("slow");
  const drippedAt = performance.now();
  await client.sees("[slow]");
  expect(performance.now() - drippedAt).toBeGreaterThanOrEqual(50);
});
