import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import type { SeenRequest } from "../app-deps.ts";

setDefaultTimeout(60_000);

const token = "a-token-for-prometheus-only";
const text = "# HELP up It is.\nup 1\n";
const seen: SeenRequest[] = [];
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({
    metrics: { text: async () => text, contentType: "text/plain; version=0.0.4", token },
    observeRequest: (request) => seen.push(request),
  });
});
afterAll(() => api.close());

function bearer(value: string) {
  return { as: null, headers: { authorization: `Bearer ${value}` } };
}

describe("200", () => {
  test("for METRICS_TOKEN and for an admin, as text that nobody caches", async () => {
    for (const given of [bearer(token), { role: "admin" as const }]) {
      const answer = await api.request("GET", "/metrics", given);
      expect([answer.status, answer.text]).toEqual([200, text]);
      expect(answer.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
      expect(answer.headers.get("cache-control")).toBe("no-store");
    }
  });
});

describe("401", () => {
  test("without a credential, and for a token that is not quite the right one", async () => {
    for (const given of [{ as: null }, bearer(`${token}x`), bearer(token.slice(1)), bearer("x")]) {
      const answer = await api.request("GET", "/metrics", given);
      expect([answer.status, answer.json.code]).toEqual([401, "unauthorized"]);
    }
  });

  test("METRICS_TOKEN opens nothing else", async () => {
    for (const path of ["/api/v1/queue-stats", "/api/v1/dead-letters"]) {
      expect((await api.request("GET", path, bearer(token))).status).toBe(401);
    }
  });

  test("without METRICS_TOKEN no text passes for it", async () => {
    const other = await startTestApi();
    for (const value of ["null", "undefined", " "]) {
      expect((await other.request("GET", "/metrics", bearer(value))).status).toBe(401);
    }
    await other.close();
  });
});

describe("403", () => {
  test("for a user's token", async () => {
    const answer = await api.request("GET", "/metrics");
    expect([answer.status, answer.json.code]).toEqual([403, "forbidden"]);
  });
});

test("a request is observed by the pattern of its route, never by what a caller typed", async () => {
  seen.length = 0;
  await api.request("GET", "/api/v1/status/my-secret-id");
  await api.request("GET", "/my-secret-page");
  expect(seen).toMatchObject([
    { method: "GET", route: "/api/v1/status/:id", status: 404 },
    { method: "GET", route: null, status: 404 },
  ]);
  expect(JSON.stringify(seen)).not.toContain("secret");
});
