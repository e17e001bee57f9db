import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createJournal } from "../../store/journal.ts";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await api.schedule({}, { as: "ada" });
  await api.schedule({ scheduled_at: "2035-01-01T00:00:00Z" }, { as: "bob" });
  const failed = await api.schedule({}, { as: "bob" });
  await api.deliver(failed, noUserReply);
  const journal = createJournal(api.database);
  while ((await journal.seal(100)).hasMore);
});
afterAll(() => api?.close());

const admin = { as: "root", role: "admin" } as const;
const owners = (query = "") => api.request<object[]>("GET", `/api/v1/owners${query}`, admin);

describe("GET /owners", () => {
  test("200: everybody by name, with usage, quotas and last activity", async () => {
    const { status, json } = await owners();
    expect(status).toBe(200);
    const quotas = { emails_per_day: null, pending: null };
    const last_activity_at = expect.stringMatching(/Z$/);
    expect(json.data).toEqual([
      { owner: "ada", usage: { accepted_today: 1, pending: 1 }, quotas, last_activity_at },
      { owner: "bob", usage: { accepted_today: 2, pending: 1 }, quotas, last_activity_at },
    ]);
    expect(json.page).toEqual({ limit: 20, offset: 0, total: 2, next_cursor: null });
  });

  test("pages by cursor", async () => {
    const first = await owners("?limit=1");
    expect(first.json.data).toMatchObject([{ owner: "ada" }]);
    const second = await owners(`?limit=1&cursor=${first.json.page?.next_cursor}`);
    expect(second.json.data).toMatchObject([{ owner: "bob" }]);
    expect(second.json.page).toEqual({ limit: 1, next_cursor: null });
  });

  test("403 for everybody else; 422 for another cursor", async () => {
    expect((await api.request("GET", "/api/v1/owners")).status).toBe(403);
    for (const cursor of ["x", "e30", "bnVsbA"]) {
      expect((await owners(`?cursor=${cursor}`)).status).toBe(422);
    }
  });
});

describe("?owner=", () => {
  test.each(["scheduled-emails", "dead-letters", "dead-letters/groups"])(
    "narrows GET /%s for an admin, and is refused to others",
    async (path) => {
      const list = async (query: string) =>
        (await api.request<unknown[]>("GET", `/api/v1/${path}${query}`, admin)).json.data;
      const expected = path === "scheduled-emails" ? [2, 3] : [1, 1];
      expect([(await list("?owner=bob")).length, (await list("")).length]).toEqual(expected);
      expect(await list("?owner=nobody")).toEqual([]);
      const own = await api.request("GET", `/api/v1/${path}?owner=ada`, { as: "ada" });
      expect(own.status).toBe(200);
      const foreign = await api.request("GET", `/api/v1/${path}?owner=bob`, { as: "ada" });
      expect(foreign).toMatchObject({ status: 403, json: { code: "forbidden" } });
    },
  );
});
