import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mailBody, startTestApi, type TestApi } from "../testing/product/test-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ knownRegions: () => ["ams", "local"] });
}, 60_000);
afterAll(() => api.close());

function post(fields: Record<string, unknown>) {
  return api.request("POST", "/api/v1/schedule-mail", { body: mailBody(fields) });
}

describe("201", () => {
  test("an email for another region is stored for it, and left to its dispatchers", async () => {
    const before = api.delivery.told.length;
    const answer = await post({ region: "ams" });
    expect(answer.status).toBe(201);
    const id = answer.json.data.id;
    const status = await api.request("GET", `/api/v1/status/${id}`);
    expect(status.json.data).toMatchObject({ region: "ams", status: "pending" });
    expect(api.delivery.told.length).toBe(before);
    await post({ region: "local" });
    expect(api.delivery.told.slice(before)).toEqual([{ delayMs: 0 }]);
  });
});

describe("422", () => {
  test("a region that nobody has heard of is refused, and the known ones are named", async () => {
    const answer = await post({ region: "mars" });
    expect(answer).toMatchObject({
      status: 422,
      json: {
        code: "invalid_content",
        errors: [
          {
            pointer: "/region",
            detail: 'expected a region that is known (ams, local), got "mars"',
          },
        ],
      },
    });
  });
});
