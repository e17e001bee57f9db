import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { loadConfig } from "../config.ts";
import { mailBody, startTestApi, type TestApi } from "../testing/product/test-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ knownRegions: () => ["ams", "local", "EU_west.1"] });
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

/** Everything that takes a name of a region, besides what reads REGION itself. */
const asked = {
  "an email": (region: string) => post({ region }),
  "a pause": (region: string) =>
    api.request("POST", "/api/v1/pause", { role: "admin", body: { region, reason: "a test" } }),
  "a resume": (region: string) =>
    api.request("POST", "/api/v1/resume", { role: "admin", body: { region } }),
};
const isRegion = (name: string) => {
  try {
    return loadConfig({ REGION: name }).region === name;
  } catch {
    return false;
  }
};

describe("what REGION may be named", () => {
  test.each(Object.entries(asked))("can be named by %s", async (_, ask) => {
    expect(isRegion("EU_west.1")).toBe(true);
    expect((await ask("EU_west.1")).status).toBeWithin(200, 202);
    const longest = "Z".repeat(63);
    expect(isRegion(longest)).toBe(true);
    // No name that is unknown, but one that may be: the words are not those of a pattern.
    expect((await ask(longest)).text).not.toContain("1 to 63");
  });

  test.each(Object.entries(asked))("and nothing else by %s", async (_, ask) => {
    for (const name of ["A B", "-a", ".a", "é", "Z".repeat(64), "a\n"]) {
      expect([name, isRegion(name)]).toEqual([name, false]);
      const { status, json } = await ask(name);
      expect([status, json.errors?.[0]]).toEqual([
        422,
        { pointer: "/region", detail: expect.stringContaining("expected a region of 1 to 63") },
      ]);
    }
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
            detail: 'expected a region that is known (EU_west.1, ams, local), got "mars"',
          },
        ],
      },
    });
  });
});
