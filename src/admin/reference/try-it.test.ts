import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import type { Principal } from "../../auth/principal.ts";
import { isSameOrigin } from "../session/same-origin.ts";
import { mountTryIt } from "./try-it.ts";

const ada: Principal = { ownerId: "ada", isAdmin: false, credential: "session" };
const asked: { method: string; url: string; body: string; ownerId: string }[] = [];
let visitor: Principal | null = ada;

const app = new Hono();
mountTryIt(app, {
  visitors: {
    recognise: async () => visitor,
    isOwnChange: (c) =>
      isSameOrigin(
        { secFetchSite: c.req.header("Sec-Fetch-Site"), origin: c.req.header("Origin") },
        [c.req.url],
      ),
  },
  call: async (request, { ownerId }) => {
    const { method, url } = request;
    asked.push({ method, url, body: await request.text(), ownerId });
    return Response.json({ success: true }, { status: 202 });
  },
});

const own = { Origin: "http://localhost", "Content-Type": "application/json" };
const send = async (json: unknown, headers: Record<string, string> = own) =>
  await app.request("/docs/api/try", { method: "POST", headers, body: JSON.stringify(json) });

test("202: whatever the API answers, to the visitor", async () => {
  asked.length = 0;
  const body = '{"to":"bob@example.com"}';
  const answer = await send({ method: "POST", path: "/api/v1/test-email?x=1", body });
  expect([answer.status, await answer.json()]).toEqual([202, { success: true }]);
  expect(asked).toEqual([
    { method: "POST", url: "http://localhost/api/v1/test-email?x=1", body, ownerId: "ada" },
  ]);
});

describe("refused, without the API being asked", () => {
  test.each([
    [403, "a page of another site", { ...own, Origin: "https://evil.example" }],
    [403, "a page of another site that says so", { ...own, "Sec-Fetch-Site": "cross-site" }],
    [403, "a request that tells nothing", { "Content-Type": "application/json" }],
  ] as const)("%i: %s", async (status, _, headers) => {
    asked.length = 0;
    expect((await send({ method: "GET", path: "/health" }, headers)).status).toBe(status);
    expect(asked).toEqual([]);
  });

  test("401: nobody is signed in", async () => {
    asked.length = 0;
    visitor = null;
    expect((await send({ method: "GET", path: "/api/v1/queue-stats" })).status).toBe(401);
    visitor = ada;
    expect(asked).toEqual([]);
  });

  test.each([
    ["no JSON object", null],
    ["another method", { method: "CONNECT", path: "/health" }],
    ["another host", { method: "GET", path: "//evil.example/" }],
    ["an address", { method: "GET", path: "https://evil.example/" }],
    ["a line break", { method: "GET", path: "/health\r\nX: y" }],
    ["pages of ours", { method: "POST", path: "/docs/api/try", body: "{}" }],
    ["a body that is no text", { method: "POST", path: "/api/v1/cancel", body: {} }],
  ])("400: %s", async (_, json) => {
    asked.length = 0;
    expect((await send(json)).status).toBe(400);
    expect(asked).toEqual([]);
  });
});
