import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { emptyRound } from "../../delivery/reconcile-report.ts";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

const finding = { check: "smtp", status: "failed", saw: "535", advice: "Check it." } as const;
let rounds = 0;
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({
    examine: async () => [finding],
    reconcile: async () => {
      rounds += 1;
      return { ...emptyRound(), takenOver: 3, orphansSettled: 1 };
    },
  });
});
afterAll(() => api.close());

describe("200", () => {
  test("an admin is told what a round of the reconciler found", async () => {
    const { status, json } = await api.request("POST", "/api/v1/reconcile", { role: "admin" });
    expect(status).toBe(200);
    expect(json.data).toEqual({
      dead_workers: 0,
      taken_over: 3,
      orphans_settled: 1,
      poison_held: 0,
    });
  });

  test("an admin sees what a look at every part found", async () => {
    const { status, json } = await api.request("GET", "/api/v1/doctor", { role: "admin" });
    expect([status, json.data as unknown]).toEqual([200, [finding]]);
  });
});

describe("403", () => {
  test("for everybody else, and nothing runs", async () => {
    const before = rounds;
    for (const [method, path] of [
      ["POST", "/api/v1/reconcile"],
      ["GET", "/api/v1/doctor"],
    ] as const) {
      expect((await api.request(method, path)).status).toBe(403);
      expect((await api.request(method, path, { as: null })).status).toBe(401);
    }
    expect(rounds).toBe(before);
  });
});
