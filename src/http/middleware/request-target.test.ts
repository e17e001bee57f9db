import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { pathOf } from "./request-target.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const get = (path: string, host: string) =>
  api.request("GET", path, { headers: { host }, as: null });

describe("a Host", () => {
  const sound = ["a", "mail.example.com", "my_mailer:3000", "[::1]:3000", "127.0.0.1", "a.b.:80"];
  test.each(sound)("%s is served", async (host) => {
    expect((await get("/health/live", host)).status).toBe(200);
  });

  test.each([
    ...["", "a b", "[", "%", "a%2fb", "a/health/live?", "a#", "a?", "user@a", "user:word@a"],
    ...["a:99999", "a:1e3", "a:", "a, b", "a\\b", "bücher.example", "a".repeat(300), "-a", "[::1"],
  ])("%p is 400 before any route", async (host) => {
    const seen = api.lines.length;
    const answer = await get("/health/live", host);
    expect(answer).toMatchObject({ status: 400, json: { code: "malformed_request" } });
    expect(api.lines.slice(seen).every((line) => line.path === "(no route)")).toBe(true);
  });
});

describe("the path", () => {
  test.each([
    ["http://a/metrics?x=/y#z", "/metrics"],
    ["http://a/%6detrics", "/%6detrics"],
    ["http://a//metrics", "//metrics"],
    ["http://a/%2fmetrics", "/%2fmetrics"],
    ["http://a", "/"],
    ["https://a:1/b/c#/d", "/b/c"],
    // A target that is no URL is no route either.
    ["/zz/metrics", "/"],
  ])("of %s is %s, as it was sent", (url, path) => {
    expect(pathOf({ url } as Request)).toBe(path);
  });

  test.each([
    "/%6detrics",
    "/%2fmetrics",
    "//metrics",
    "/health%2flive",
    "/metrics/",
    "/metrics;a",
  ])("%s is no other name of a route", async (path) => {
    expect((await get(path, "a")).status).toBe(404);
  });
});
