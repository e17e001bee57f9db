import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { type Product, startProduct } from "../testing/product/product.ts";

setDefaultTimeout(240_000);

const path = "/api/v1/schedule-mail";
const closed = 0;
let product: Product;
let token: string;
beforeAll(async () => {
  product = await startProduct();
  token = await product.token("ada");
});
afterAll(() => product?.kill());

/** Resident memory of the running program. */
function memoryBytes(): number {
  const status = readFileSync(`/proc/${product.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

function open(): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect(product.port, "127.0.0.1", () => resolve(socket));
  socket.once("error", reject);
  return promise;
}

/** The status of each answer to these bytes, until the other side closes or we have waited. */
async function raw(bytes: string, { waitMs = 3_000 } = {}): Promise<number[]> {
  const socket = await open();
  let text = "";
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    // Our requests say that the connection ends after them; a refusal may keep it open.
    socket.end();
  });
  socket.on("close", () => resolve());
  socket.on("error", () => resolve());
  socket.setTimeout(waitMs, () => socket.destroy());
  socket.write(bytes);
  await promise;
  return [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
}

const head = (lines: string[]) =>
  [`POST ${path} HTTP/1.1`, "Host: a", `Authorization: Bearer ${token}`, ...lines, "", ""].join(
    "\r\n",
  );
const json = "Content-Type: application/json";
const whole = JSON.stringify({ recipients: ["bob@example.com"], subject: "a", body: "b" });
const smuggled = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";

/** What does not come as HTTP says it should: the bytes, and what may be answered. */
const framings: [string, () => string, number[]][] = [
  ["no length", () => `${head([json, "Connection: close"])}${whole}`, [400, 422, closed]],
  ["a shorter length", () => `${head([json, "Content-Length: 10"])}${whole}`, [400, closed]],
  ["a longer length", () => `${head([json, "Content-Length: 999"])}${whole}`, [400, closed]],
  ["a negative length", () => `${head([json, "Content-Length: -1"])}${whole}`, [400, closed]],
  [
    "a length that is no number",
    () => `${head([json, "Content-Length: 1e3"])}${whole}`,
    [400, closed],
  ],
  [
    "two lengths",
    () => `${head([json, "Content-Length: 5", `Content-Length: ${whole.length}`])}${whole}`,
    [400, closed],
  ],
  [
    "a length and chunks",
    () => `${head([json, "Content-Length: 4", "Transfer-Encoding: chunked"])}0\r\n\r\n${smuggled}`,
    [400, closed],
  ],
  [
    "chunks of no size",
    () => `${head([json, "Transfer-Encoding: chunked"])}zz\r\n${whole}\r\n0\r\n\r\n`,
    [400, closed],
  ],
  [
    "an unknown transfer encoding",
    () => `${head([json, "Transfer-Encoding: gzip"])}${whole}`,
    [400, 411, 415, 422, 501, closed],
  ],
  ["a header without a name", () => head([json, ": x", "Content-Length: 0"]), [400, closed]],
  ["a header folded", () => head([json, "X-A: b\r\n c", "Content-Length: 0"]), [400, closed]],
  ["NUL in a header", () => head([json, "X-A: b\0c", "Content-Length: 0"]), [400, 422, closed]],
  [
    "200 kB of a header",
    () => head([json, `X-A: ${"a".repeat(200_000)}`]),
    [400, 413, 431, closed],
  ],
  [
    "200 kB of a path",
    () => `GET /${"a".repeat(200_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    [400, 404, 414, 431, closed],
  ],
  ["a Host that shifts the path", () => "GET /zz/metrics HTTP/1.1\r\nHost: a b\r\n\r\n", [400]],
  ["a Host that holds a path", () => "GET /a HTTP/1.1\r\nHost: b/metrics?\r\n\r\n", [400]],
  ["a Host with a user", () => "GET /metrics HTTP/1.1\r\nHost: a@b\r\n\r\n", [400]],
  ["an empty Host", () => "GET /zz/metrics HTTP/1.1\r\nHost: \r\n\r\n", [400]],
  ["no Host", () => "GET /zz/metrics HTTP/1.0\r\n\r\n", [400]],
  ["two Hosts", () => "GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [400]],
  ["a path with a letter encoded", () => "GET /%6detrics HTTP/1.1\r\nHost: a\r\n\r\n", [404]],
  ["another protocol", () => "EHLO example.com\r\nMAIL FROM:<a@b.c>\r\n\r\n", [400, closed]],
  ["TLS to a port in clear", () => "\u0016\u0003\u0001\u0002\u0000\u0001", [400, closed]],
];

const email = (fields: object) => JSON.stringify({ ...JSON.parse(whole), ...fields });
const file = (content: string) => email({ attachments: [{ filename: "a", content }] });
/** JSON that is meant to hurt: the body, and the one right answer. */
const bodies: [string, () => string | Uint8Array, number][] = [
  ["100,000 levels", () => "[".repeat(100_000) + "]".repeat(100_000), 400],
  ["100,000 levels of objects", () => `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`, 400],
  ["a million keys", () => `{${Array.from({ length: 1e6 }, (_, i) => `"k${i}":0`).join()}}`, 400],
  ["a million times the same key", () => `{${'"subject":"a",'.repeat(1e6)}"body":"b"}`, 400],
  ["60 MB", () => email({ body: "a".repeat(60_000_000) }), 413],
  ["30 MB in one text", () => email({ body: "\u0000".repeat(5_000_000) }), 422],
  ["broken base64", () => file("a===="), 422],
  ["base64 that ends early", () => file("YWJj".repeat(1000).slice(0, -1)), 422],
  ["half a pair, escaped", () => whole.replace('"b"', '"\\ud800"'), 422],
  ["half a pair as a name", () => whole.replace('"body"', '"\\udc00":1,"body"'), 422],
  ["bytes that are no UTF-8", () => Buffer.from(whole.replace('"b"', '"\u00ff"'), "latin1"), 400],
  ["a byte order mark alone", () => "\ufeff", 400],
  ["a number of a million digits", () => whole.replace('"b"', "9".repeat(1e6)), 422],
  ["nothing", () => "", 400],
];

async function send(body: string | Uint8Array, isChunked = false): Promise<number> {
  const stream = () => new Blob([body as BlobPart]).stream();
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const init = { method: "POST", headers, body: isChunked ? stream() : (body as BodyInit) };
  return await fetch(`${product.url}${path}`, init).then(
    async (res) => {
      await res.text();
      return res.status;
    },
    // A server that refuses a large body may hang up before all of it was sent.
    () => closed,
  );
}

/** A caller like any other, meanwhile. */
async function ordinary(): Promise<{ status: number; tookMs: number }> {
  const startedAt = performance.now();
  const { status } = await product.api("GET", "/api/v1/queue-stats");
  return { status, tookMs: performance.now() - startedAt };
}

async function emailCount(): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const res = await fetch(`${product.url}/api/v1/scheduled-emails?limit=1&offset=0`, { headers });
  return ((await res.json()) as { page: { total: number } }).page.total;
}

describe("a request that is none", () => {
  test.each(framings)(
    "with %s is refused, and smuggles no second one in",
    async (_, bytes, allowed) => {
      const statuses = await raw(bytes());
      expect(statuses.length).toBeLessThanOrEqual(1);
      expect(allowed).toContain(statuses[0] ?? closed);
      expect((await ordinary()).status).toBe(200);
    },
  );
});

describe("a body", () => {
  test.each(bodies)("of %s is refused, with its length and without", async (_, body, status) => {
    for (const isChunked of [false, true]) {
      const answered = await send(body(), isChunked);
      expect(status === 413 ? [413, closed] : [status]).toContain(answered);
    }
    expect((await ordinary()).status).toBe(200);
  });

  test("however often they come, memory stays within bounds", async () => {
    const round = async () => {
      for (const [, body] of bodies) await send(body());
    };
    await round();
    const before = memoryBytes();
    for (let i = 0; i < 2; i++) await round();
    const grownMb = (memoryBytes() - before) / 1e6;
    // Two rounds bring some 250 MB in; a leak would show them.
    expect(grownMb).toBeLessThan(150);
  });
});

describe("a form of the console", () => {
  const forms: [string, string, Record<string, string>, number][] = [
    ["more than 16 kB", `token=${"a".repeat(17_000)}`, {}, 413],
    ["no multipart", "x", { "content-type": "multipart/form-data; boundary=y" }, 400],
    ["no boundary", "x", { "content-type": "multipart/form-data" }, 400],
  ];
  test.each(forms)("of %s is refused, and no fault of ours", async (_, body, headers, status) => {
    for (const page of ["/sign-in", "/sign-out"]) {
      const form = { "content-type": "application/x-www-form-urlencoded", origin: product.url };
      const init = { method: "POST", body, headers: { ...form, ...headers } };
      expect((await fetch(`${product.url}${page}`, init)).status).toBe(status);
    }
  });
});

test("600 connections that hardly say anything hold up nobody and cost little", async () => {
  const before = memoryBytes();
  const partial = head([json, "Content-Length: 30000000"]);
  const sockets = await Promise.all(Array.from({ length: 600 }, open));
  for (const socket of sockets) socket.on("error", () => {});
  // Half stop within the headers, half after one byte of an announced body of 30 MB.
  for (const [i, socket] of sockets.entries()) {
    socket.write(i % 2 === 0 ? partial.slice(0, 40) : `${partial}{`);
  }
  const slowest: number[] = [];
  for (let beat = 0; beat < 20; beat++) {
    for (const socket of sockets) socket.write(" ");
    const { status, tookMs } = await ordinary();
    expect(status).toBe(200);
    slowest.push(tookMs);
    expect((await product.api("POST", path, JSON.parse(whole))).status).toBe(201);
  }
  expect(Math.max(...slowest)).toBeLessThan(3_000);
  expect((memoryBytes() - before) / 1e6).toBeLessThan(100);
  for (const socket of sockets) socket.destroy();
  expect((await ordinary()).status).toBe(200);
});

test("after all that nothing was stored that was refused, and nothing went wrong inside", async () => {
  // The twenty of ordinary callers.
  expect(await emailCount()).toBe(20);
  const output = product.output();
  expect(output).not.toMatch(/"level":(50|60|"error"|"fatal")|internal_error|Unhandled|panic/i);
  expect(output).not.toMatch(/"status":5(?!03)\d\d/);
});
