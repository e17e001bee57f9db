import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createApiKey } from "../../auth/api-key.ts";
import { createLogger } from "../../log.ts";
import { mailBody, startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { createRateLimits, networkOf } from "./rate-limits.ts";

setDefaultTimeout(60_000);

const log = createLogger({ level: "silent" });
let api: TestApi | null = null;
afterEach(async () => {
  await api?.close();
  api = null;
});

async function startLimited(perMinute: number): Promise<TestApi> {
  api = await startTestApi({ rateLimits: createRateLimits({ perMinute, redis: null, log }) });
  return api;
}

const headersOf = (headers: Headers) =>
  Object.fromEntries([...headers].filter(([name]) => /^(ratelimit|retry-after)/.test(name)));

describe("200", () => {
  test("every answer says what is left of the minute, a failure's too", async () => {
    const { request } = await startLimited(10);
    const first = await request("GET", "/api/v1/queue-stats");
    expect(headersOf(first.headers)).toEqual({
      "ratelimit-policy": '"read";q=10;w=60',
      ratelimit: '"read";r=9;t=60',
      "ratelimit-limit": "10",
      "ratelimit-remaining": "9",
      "ratelimit-reset": "60",
    });
    const failure = await request("GET", "/api/v1/status/made-up");
    expect(failure.status).toBe(404);
    expect(failure.headers.get("ratelimit-remaining")).toBe("8");
  });

  test("writing, reading and every credential have a budget of their own; admin's routes none", async () => {
    const { request } = await startLimited(2);
    const post = () => request("POST", "/api/v1/schedule-mail", { body: mailBody() });
    const made = await request<{ key: string }>("POST", "/api/v1/api-keys", {
      body: { name: "one", scopes: ["read"] },
    });
    const withKey = { headers: { authorization: `Bearer ${made.json.data.key}` } };
    expect([(await post()).status, (await post()).status]).toEqual([201, 429]);
    const reads = [{}, {}, {}, withKey, withKey, withKey, { as: "bob" }];
    const statuses: number[] = [];
    for (const read of reads) {
      statuses.push((await request("GET", "/api/v1/queue-stats", read)).status);
    }
    expect(statuses).toEqual([200, 200, 429, 200, 200, 429, 200]);
    for (let n = 0; n < 5; n++) {
      const examined = await request("GET", "/api/v1/doctor", { role: "admin" });
      expect([examined.status, examined.headers.has("ratelimit")]).toEqual([200, false]);
      expect((await request("GET", "/health")).status).toBe(200);
    }
  });

  test("with 0 nothing is limited and no header says so", async () => {
    const { request } = await startLimited(0);
    const { status, headers } = await request("GET", "/api/v1/queue-stats");
    expect([status, headersOf(headers)]).toEqual([200, {}]);
  });
});

describe("429", () => {
  test("names the limit and when to try again; nothing is stored", async () => {
    const { request } = await startLimited(1);
    await request("POST", "/api/v1/schedule-mail", { body: mailBody() });
    const refused = await request("POST", "/api/v1/schedule-mail", { body: mailBody() });
    expect(refused.status).toBe(429);
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    const seconds = Number(refused.headers.get("retry-after"));
    expect(seconds).toBeGreaterThan(50);
    expect(refused.json.code).toBe("rate_limited");
    expect(refused.json.detail).toBe(
      `No more than 1 write requests a minute are taken; try again in ${seconds} s.`,
    );
    expect(headersOf(refused.headers)).toMatchObject({
      "ratelimit-remaining": "0",
      ratelimit: `"write";r=0;t=${seconds}`,
    });
    const list = await request<unknown[]>("GET", "/api/v1/scheduled-emails");
    expect(list.json.data.length).toBe(1);
  });

  test("whoever shows 300 bad credentials in a minute is refused; a good one from there is not", async () => {
    const { request } = await startLimited(0);
    const bad = { headers: { authorization: "Bearer made-up" } };
    const statuses = new Map<number, number>();
    for (let n = 0; n < 305; n++) {
      const { status } = await request("GET", "/api/v1/queue-stats", bad);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    expect([...statuses]).toEqual([
      [401, 300],
      [429, 5],
    ]);
    expect((await request("GET", "/api/v1/queue-stats")).status).toBe(200);
  });
});

test("IPv6 counts by its first 64 bits, IPv4 by its address, mapped or not", () => {
  const cases: [string | null, string][] = [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::6", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    [null, "unknown"],
  ];
  for (const [address, network] of cases) expect(networkOf(address)).toBe(network);
});

describe("429", () => {
  const madeUp = () => ({ headers: { authorization: `Bearer ${createApiKey().key}` } });

  test("made-up API keys cost no call of the database once there were too many", async () => {
    const { request, database } = await startLimited(1_000);
    const made = await request<{ key: string }>("POST", "/api/v1/api-keys", {
      body: { name: "one", scopes: ["read"] },
    });
    const known = { headers: { authorization: `Bearer ${made.json.data.key}` } };
    expect((await request("GET", "/api/v1/queue-stats", known)).status).toBe(200);
    const looked = { keys: 0 };
    const rpc = database.rpc.bind(database);
    database.rpc = (name, ...rest) => {
      if (name === "find_api_key") looked.keys += 1;
      return rpc(name, ...rest);
    };
    const statuses: number[] = [];
    for (let n = 0; n < 310; n++) {
      statuses.push((await request("GET", "/api/v1/queue-stats", madeUp())).status);
    }
    expect([statuses[0], statuses.at(-1)]).toEqual([401, 429]);
    const before = looked.keys;
    for (let n = 0; n < 20; n++) await request("GET", "/api/v1/queue-stats", madeUp());
    expect([before, looked.keys]).toEqual([300, 300]);
    // A key that was right before, and tokens, come from the same place.
    expect((await request("GET", "/api/v1/queue-stats", known)).status).toBe(200);
    expect((await request("GET", "/api/v1/queue-stats")).status).toBe(200);
  });

  test("all keys of an owner together have four times the budget of one", async () => {
    const { request } = await startLimited(5);
    const keys: string[] = [];
    for (let n = 0; n < 5; n++) {
      const who = { as: "ada" };
      const body = { name: `key ${n}`, scopes: ["read"] };
      keys.push(
        (await request<{ key: string }>("POST", "/api/v1/api-keys", { body, ...who })).json.data
          .key,
      );
    }
    const statuses: number[] = [];
    for (const key of keys) {
      for (let n = 0; n < 5; n++) {
        const headers = { authorization: `Bearer ${key}` };
        statuses.push((await request("GET", "/api/v1/queue-stats", { headers })).status);
      }
    }
    expect(statuses.filter((status) => status === 200).length).toBe(20);
    expect(statuses.slice(20)).toEqual([429, 429, 429, 429, 429]);
    expect((await request("GET", "/api/v1/queue-stats", { as: "bob" })).status).toBe(200);
  });

  test("what costs much is asked for twenty times a minute by one owner", async () => {
    const { request } = await startLimited(1_000);
    const statuses: number[] = [];
    for (let n = 0; n < 21; n++)
      statuses.push((await request("GET", "/api/v1/audit/verify")).status);
    expect(statuses.slice(19)).toEqual([200, 429]);
  });
});
