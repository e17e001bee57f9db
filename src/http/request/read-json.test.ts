import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { createByteSemaphore } from "../../runtime/byte-semaphore.ts";
import type { ApiEnv } from "../api-env.ts";
import { problemResponse, toAppError } from "../problem.ts";
import { bodyBytesMax, readJson, readOptionalJson } from "./read-json.ts";

const mebibyte = 1024 * 1024;
const deps = {
  config: { messageBytesMax: 8 * mebibyte } as Parameters<typeof bodyBytesMax>[0],
  semaphore: createByteSemaphore({ bytesMax: 64 * mebibyte }),
} as Parameters<typeof readJson>[1];
const bytesMax = bodyBytesMax(deps.config);

async function post(
  body: BodyInit | null,
  headers: Record<string, string> = { "content-type": "application/json" },
  read = readJson,
  with_ = deps,
): Promise<{ status: number; json: unknown }> {
  const app = new Hono<ApiEnv>();
  app.post("/", async (c) => c.json(await read(c, with_)));
  app.onError((error) => problemResponse(toAppError(error), { instance: "/", requestId: "" }));
  const res = await app.request("/", { method: "POST", headers, body });
  return { status: res.status, json: await res.json() };
}

function streamOf(chunks: number, bytes: number): ReadableStream<Uint8Array> {
  let left = chunks;
  return new ReadableStream({
    pull(controller) {
      if (left-- === 0) controller.close();
      else controller.enqueue(new Uint8Array(bytes).fill(0x20));
    },
  });
}

describe("read", () => {
  test.each([
    ["application/json"],
    ["Application/JSON; charset=utf-8"],
    ['application/json;charset="UTF-8"'],
  ])("%s", async (type) => {
    expect(await post('\ufeff{"ü":[1,null]}', { "content-type": type })).toEqual({
      status: 200,
      json: { ü: [1, null] },
    });
  });

  test("no body at all is an empty object where one is optional", async () => {
    expect(await post(null, {}, readOptionalJson)).toEqual({ status: 200, json: {} });
    expect((await post("{}", { "content-type": "text/plain" }, readOptionalJson)).status).toBe(415);
  });

  test("32 levels", async () => {
    expect((await post("[".repeat(32) + "]".repeat(32))).status).toBe(200);
  });
});

describe("400", () => {
  test.each([
    ["nothing", ""],
    ["half", '{"a":'],
    ["two", "{} {}"],
    ["single quotes", "{'a':1}"],
    ["a comma too many", '{"a":1,}'],
    ["NaN", '{"a":NaN}'],
    ["33 levels", "[".repeat(33) + "]".repeat(33)],
    ["a million levels", "[".repeat(1e6)],
    ["a million levels of objects", '{"a":'.repeat(1e6)],
    ["half a million names", `{${Array.from({ length: 5e5 }, (_, i) => `"k${i}":1`).join(",")}}`],
    ["a million lists", `[${"[],".repeat(1e6)}[]]`],
  ])("%s", async (_, body) => {
    const startedAt = performance.now();
    expect(await post(body)).toMatchObject({ status: 400, json: { code: "malformed_json" } });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  test("bytes that are no UTF-8", async () => {
    expect((await post(new Uint8Array([0x22, 0xff, 0x22]))).status).toBe(400);
  });
});

describe("413", () => {
  test("more bytes than are allowed, with and without Content-Length", async () => {
    const chunk = mebibyte;
    const tooMany = Math.ceil(bytesMax / chunk) + 1;
    expect((await post(streamOf(tooMany, chunk))).status).toBe(413);
    expect((await post(new Uint8Array(bytesMax + 1))).status).toBe(413);
    const headers = { "content-type": "application/json", "content-length": `${bytesMax + 1}` };
    expect((await post("{}", headers)).status).toBe(413);
  });
});

describe("415", () => {
  test.each([
    [{}],
    [{ "content-type": "text/plain" }],
    [{ "content-type": "application/x-www-form-urlencoded" }],
    [{ "content-type": "application/jsonp" }],
    [{ "content-type": "application/json; charset=latin1" }],
    [{ "content-type": "application/json", "content-encoding": "gzip" }],
  ])("%j", async (headers) => {
    const bytes = new TextEncoder().encode("{}");
    expect((await post(bytes, headers as Record<string, string>)).status).toBe(415);
  });
});

describe("503", () => {
  test("when bodies already hold all the memory there is, and room again afterwards", async () => {
    const semaphore = createByteSemaphore({ bytesMax: 2 * mebibyte });
    const small = { ...deps, semaphore };
    const giveBack = semaphore.tryAcquire(2 * mebibyte);
    const json = { "content-type": "application/json" };
    const large = `"${"a".repeat(mebibyte)}"`;
    expect((await post(large, json, readJson, small)).status).toBe(503);
    expect((await post("{}", json, readJson, small)).status).toBe(200);
    giveBack?.();
    expect((await post(large, json, readJson, small)).status).toBe(200);
    expect(semaphore.inUse).toBe(0);
  });

  test("before the upload, when what is announced would find no room", async () => {
    const semaphore = createByteSemaphore({ bytesMax: 4 * mebibyte });
    semaphore.tryAcquire(3 * mebibyte);
    const announced = { "content-type": "application/json", "content-length": `${2 * mebibyte}` };
    const body = streamOf(32, 64 * 1024);
    const answer = await post(body, announced, readJson, { ...deps, semaphore });
    expect(answer.status).toBe(503);
    // One piece is read ahead by the stream itself.
    const { value } = await body.getReader().read();
    expect(value).toBeDefined();
  });
});
