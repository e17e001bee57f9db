import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { type Product, startProduct } from "../testing/product/product.ts";

setDefaultTimeout(120_000);

const path = "/api/v1/schedule-mail";
/**
 * Another owner's POST, read and due email, each. A machine of its own keeps to half a second; this is
 * run beside other tests, and what it is to find took 10 s.
 */
const withinMs = 6_000;
const email = { recipients: ["bob@example.com"], subject: "Hello", body: "A few words." };

let product: Product;
let flood: string;
let bob: string;
beforeAll(async () => {
  product = await startProduct();
  [flood, bob] = await Promise.all([product.token("flood"), product.token("bob")]);
});
afterAll(() => product?.kill());

/** What an owner who does nothing special sees meanwhile. */
async function expectOthersGetThrough(): Promise<void> {
  const postedAt = performance.now();
  const posted = await product.api("POST", path, email, bob);
  expect([posted.status, performance.now() - postedAt < withinMs]).toEqual([201, true]);
  const url = `/api/v1/status/${posted.body.data.id}`;
  for (;;) {
    const readAt = performance.now();
    const { status, body } = await product.api("GET", url, undefined, bob);
    expect([status, performance.now() - readAt < withinMs]).toEqual([200, true]);
    if (body.data.status === "sent") break;
    // It is due at once; how often it is asked after bounds nothing.
    expect(performance.now() - postedAt).toBeLessThan(withinMs);
  }
  expect(performance.now() - postedAt).toBeLessThan(withinMs);
  expect((await fetch(`${product.url}/health/ready`)).status).toBe(200);
}

/** Asks again and again, so many at a time, until `during` is over. */
async function whileFlooding(
  atOnce: number,
  ask: (signal: AbortSignal) => Promise<unknown>,
  during: () => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  const flooding = Array.from({ length: atOnce }, async () => {
    // What the flood is answered is its own affair.
    while (!signal.aborted) await ask(signal).catch(() => {});
  });
  try {
    await Bun.sleep(500);
    await during();
  } finally {
    over.abort();
    await Promise.all(flooding);
  }
}

async function asFlood(
  [method, target]: [method: string, target: string],
  signal: AbortSignal,
  body?: string,
): Promise<void> {
  const headers = { authorization: `Bearer ${flood}`, "content-type": "application/json" };
  const init = { method, headers, signal, ...(body === undefined ? {} : { body }) };
  await (await fetch(`${product.url}${target}`, init)).text();
}

describe("one owner who takes all they can get leaves others theirs of", () => {
  test("memory: uploads that stall before their end, which are cut as well", async () => {
    const sizes = [...Array<number>(4).fill(32_000_000), ...Array<number>(12).fill(3_000_000)];
    const stalled: Socket[] = [];
    for (const size of sizes) stalled.push(await stall(size));
    await expectOthersGetThrough();
    const attachments = [{ filename: "a", content: Buffer.alloc(3_000_000).toString("base64") }];
    const large = await product.api("POST", path, { ...email, attachments }, bob);
    expect(large.status).toBe(201);
    await Promise.all(stalled.map((socket) => ended(socket)));
  });

  test("memory: large messages that are asked for and not read", async () => {
    const attachments = [{ filename: "a", content: Buffer.alloc(3_500_000).toString("base64") }];
    const kept = { ...email, attachments, scheduled_at: later };
    const { body } = await product.api("POST", path, kept, flood);
    const sockets = Array.from({ length: 24 }, () => {
      const socket = connect(product.port, "127.0.0.1");
      socket.on("error", () => {});
      socket.pause();
      const target = `/api/v1/emails/${body.data.id}/raw`;
      socket.write(`GET ${target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${flood}\r\n\r\n`);
      return socket;
    });
    await expectOthersGetThrough();
    const large = await product.api("POST", path, { ...email, attachments }, bob);
    expect(large.status).toBe(201);
    for (const socket of sockets) socket.destroy();
  });

  test("the event loop: bodies of very many values", async () => {
    const body = `{"metadata":[${"[],".repeat(180_000)}1]}`;
    await whileFlooding(
      6,
      (signal) => asFlood(["POST", path], signal, body),
      expectOthersGetThrough,
    );
  });

  test("the event loop: bodies of very many faults", async () => {
    const body = `{${Array.from({ length: 90_000 }, (_, n) => `"k${n}":"\\u0000"`).join()}}`;
    await whileFlooding(
      6,
      (signal) => asFlood(["POST", path], signal, body),
      expectOthersGetThrough,
    );
  });

  test("the database: whatever takes it longest", async () => {
    const emails = Array.from({ length: 500 }, () => ({ ...email, scheduled_at: later }));
    await product.api("POST", `${path}/batch`, { emails }, flood);
    const asked = [
      "audit/verify",
      "scheduled-emails?offset=2000000000&metadata.a=b",
      "queue-stats",
    ];
    let next = 0;
    const ask = (signal: AbortSignal) =>
      asFlood(["GET", `/api/v1/${asked[next++ % asked.length]}`], signal);
    await whileFlooding(60, ask, expectOthersGetThrough);
  });

  test("the queue, and places at the next hop: a thousand emails due at once", async () => {
    const body = JSON.stringify({ emails: Array.from({ length: 500 }, () => email) });
    const signal = AbortSignal.timeout(60_000);
    const batches = [1, 2].map(() => asFlood(["POST", `${path}/batch`], signal, body));
    await Promise.all(batches);
    await expectOthersGetThrough();
  });

  test("the sign-in: a thousand tokens that are not valid", async () => {
    const signIn = (token: string) =>
      fetch(`${product.url}/sign-in`, {
        method: "POST",
        redirect: "manual",
        headers: { origin: product.url },
        body: new URLSearchParams({ token }),
      });
    for (let tries = 0; tries < 1_000; tries += 50) {
      await Promise.all(Array.from({ length: 50 }, async () => (await signIn("x")).text()));
    }
    expect((await signIn("x")).status).toBe(429);
    expect((await signIn(bob)).status).toBe(303);
    await expectOthersGetThrough();
  });
});

const later = "2035-01-01T00:00:00Z";

/** A connection that sends all of its body but the end of it. */
async function stall(size: number): Promise<Socket> {
  const socket = connect(product.port, "127.0.0.1");
  socket.on("error", () => {});
  // An early answer has to be read for the end to be seen.
  socket.resume();
  const head = ["POST /api/v1/schedule-mail HTTP/1.1", "Host: a", `Authorization: Bearer ${flood}`];
  const lines = [...head, "Content-Type: application/json", `Content-Length: ${size}`, "", ""];
  socket.write(lines.join("\r\n"));
  const answered = new Promise((resolve) => socket.once("data", resolve));
  const drained = new Promise((resolve) => socket.write(Buffer.alloc(size - 1, " "), resolve));
  await Promise.race([answered, drained]);
  return socket;
}

/** Resolves when the other side has hung up. */
async function ended(socket: Socket): Promise<void> {
  if (socket.destroyed || socket.readableEnded) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once("close", () => resolve());
  socket.once("end", () => resolve());
  await promise;
}
