import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Hono } from "hono";
import { createByteSemaphore } from "../../runtime/byte-semaphore.ts";
import { mailBody, startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import type { ApiEnv } from "../api-env.ts";
import { sendLarge } from "./large-read.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let id: string;
beforeAll(async () => {
  api = await startTestApi();
  const content = Buffer.alloc(2_000_000, "a").toString("base64");
  const fields = { scheduled_at: "2035-01-01T00:00:00Z", body: "words ".repeat(100_000) };
  id = await api.schedule(mailBody({ ...fields, attachments: [{ filename: "a", content }] }));
});
afterAll(() => api?.close());

const inUse = () => api.deps.semaphore.inUse;

test.each(["", "/raw", "/attachments/0"])(
  "GET /emails/{id}%s of a large email is whole, and holds nothing afterwards",
  async (part) => {
    const { status, text } = await api.request("GET", `/api/v1/emails/${id}${part}`);
    expect([status, text.length > 500_000, inUse()]).toEqual([200, true, 0]);
  },
);

test("a read without room is refused, and one that fails gives back what it took", async () => {
  const all = api.deps.semaphore;
  const taken = all.tryAcquire(25_000_000, { ownerId: "ada" });
  expect((await api.request("GET", `/api/v1/emails/${id}/raw`, { as: "eve" })).status).toBe(404);
  expect(inUse()).toBe(25_000_000);
  taken?.();
  expect((await api.request("GET", `/api/v1/emails/${id}/attachments/7`)).status).toBe(404);
  expect(inUse()).toBe(0);
});

test("whoever takes nothing is hung up on, and their memory and turn are somebody else's", async () => {
  const semaphore = createByteSemaphore({ bytesMax: 64 * 1024 * 1024 });
  const ended = Promise.withResolvers<void>();
  const app = new Hono<ApiEnv>();
  app.get("/", async (c) => {
    c.set("turn", { isKept: false, end: ended.resolve });
    const large = { content: new Uint8Array(4_000_000), headers: new Headers() };
    return await sendLarge(c, { semaphore }, large, { stalledMs: 20 });
  });
  const reader = (await app.request("/")).body?.getReader();
  expect((await reader?.read())?.value?.length).toBe(64 * 1024);
  expect(semaphore.inUse).toBe(4_000_000);
  await ended.promise;
  expect(semaphore.inUse).toBe(0);
  expect(reader?.read()).rejects.toThrow("takes nothing");
});
