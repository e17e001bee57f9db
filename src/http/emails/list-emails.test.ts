import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
/** Newest first. */
let ids: string[];
beforeAll(async () => {
  api = await startTestApi();
  const fields = [
    { tags: ["a"], metadata: { order: 1 }, scheduled_at: "2030-01-01T00:00:00Z" },
    { tags: ["b"], metadata: { order: 2, "x.y": "z" }, scheduled_at: "2030-02-01T00:00:00Z" },
    { cc: ["Eve <eve@Example.com>"], scheduled_at: "2030-03-01T00:00:00Z" },
    {},
    {},
  ];
  ids = [];
  for (const one of fields) ids.unshift(await api.schedule(one));
  await api.deliver(ids[1] ?? "", { code: 451, enhanced: "4.3.0", text: "later" });
  await api.deliver(ids[0] ?? "", noUserReply);
});
afterAll(() => api?.close());

type Listed = { id: string; attempts?: unknown[] }[];

async function list(query = "", as = "ada", path = "/api/v1/scheduled-emails") {
  return api.request<Listed>("GET", `${path}${query}`, { as });
}

async function idsOf(query: string): Promise<string[]> {
  const answer = await list(query);
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.json.data.map(({ id }) => id);
}

describe("GET /scheduled-emails", () => {
  test("newest first, status objects without attempts, twenty unless asked otherwise", async () => {
    const { status, json } = await list();
    expect(status).toBe(200);
    expect(json.data.map(({ id }) => id)).toEqual(ids);
    expect(json.data.every((email) => !("attempts" in email))).toBe(true);
    expect(json.page).toEqual({ limit: 20, offset: 0, total: 5, next_cursor: null });
  });

  test("pages by cursor hold every email once", async () => {
    const seen: string[] = [];
    let query = "?limit=2";
    for (let pages = 0; pages < 4 && query !== ""; pages++) {
      const { json } = await list(query);
      seen.push(...json.data.map(({ id }) => id));
      const cursor = json.page?.next_cursor;
      query = cursor ? `?limit=2&cursor=${cursor}` : "";
      if (pages > 0) expect(json.page).toEqual({ limit: 2, next_cursor: cursor });
    }
    expect(seen).toEqual(ids);
  });

  test("by due time, the earliest first, every email once", async () => {
    const seen: string[] = [];
    let query = "?sort=scheduled_at&limit=2";
    for (let pages = 0; pages < 4 && query !== ""; pages++) {
      const { json } = await list(query);
      seen.push(...json.data.map(({ id }) => id));
      const cursor = json.page?.next_cursor;
      query = cursor ? `?sort=scheduled_at&limit=2&cursor=${cursor}` : "";
    }
    // The last two of the fixture are due at once, in the order in which they came.
    expect(seen).toEqual([1, 0, 4, 3, 2].map((place) => ids[place] ?? ""));
    expect(await idsOf("?sort=-created_at")).toEqual(ids);
  });

  test("what the journal has an entry of since then", async () => {
    const since = new Date();
    expect(await idsOf(`?updated_after=${since.toISOString()}`)).toEqual([]);
    const body = { tags: ["a", "changed"] };
    await api.request("PATCH", `/api/v1/emails/${ids[4]}`, { body });
    expect(await idsOf(`?updated_after=${since.toISOString()}`)).toEqual([ids[4] ?? ""]);
    expect(await idsOf("?updated_after=2020-01-01T00:00:00Z")).toEqual(ids);
    expect((await list("?updated_after=2020-01-01T00:00:00Z", "eve")).json.data).toEqual([]);
  });

  test("pages by offset tell the total", async () => {
    const { json } = await list("?limit=2&offset=4");
    expect(json.data.map(({ id }) => id)).toEqual(ids.slice(4));
    expect(json.page).toEqual({ limit: 2, offset: 4, total: 5, next_cursor: null });
  });

  test.each<[string, number[]]>([
    ["?status=pending", [1, 2, 3, 4]],
    ["?status=failed", [0]],
    ["?status=deferred", [1]],
    ["?status=sent", []],
    ["?status=failed,sent", [0]],
    ["?status=deferred,failed", [0, 1]],
    ["?status=failed,failed", [0]],
    ["?status=pending,failed&tag=a", [4]],
    ["?tag=a", [4]],
    ["?metadata.order=2", [3]],
    ["?metadata.order=2&metadata.x.y=z", [3]],
    ["?metadata.order=2&metadata.x.y=a", []],
    ["?metadata.__proto__=2", []],
    ["?recipient=eve@example.com", [2]],
    ["?recipient=Somebody%20%3Ceve%40EXAMPLE.com%3E", [2]],
    ["?recipient=eva@example.com", []],
    ["?scheduled_after=2030-02-01T00:00:00Z", [2, 3]],
    ["?scheduled_after=2030-01-15T00:00:00Z&scheduled_before=2030-03-01T00:00:00Z", [3]],
    ["?tag=b&status=failed", []],
    ["?tag=%27%20or%20true--", []],
  ])("%s finds what fits and nothing else", async (query, places) => {
    expect(await idsOf(query)).toEqual(places.map((place) => ids[place] ?? ""));
  });

  test("nobody sees anybody else's; an admin sees all", async () => {
    expect((await list("", "eve")).json.page).toMatchObject({ total: 0 });
    const admin = await api.request<Listed>("GET", "/api/v1/scheduled-emails", {
      as: "root",
      role: "admin",
    });
    expect(admin.json.data).toHaveLength(5);
  });

  test.each<[string, string[]]>([
    ["?limit=0", ["/limit"]],
    ["?limit=101", ["/limit"]],
    ["?limit=1.5", ["/limit"]],
    ["?limit=", ["/limit"]],
    ["?limit=%2B5", ["/limit"]],
    ["?offset=-1", ["/offset"]],
    ["?offset=99999999999", ["/offset"]],
    ["?cursor=abc", ["/cursor"]],
    ["?cursor=WyJhIiwiYiJd", ["/cursor"]],
    [`?cursor=${cursorOf("2030-01-01 00:00:00+00'", crypto.randomUUID())}`, ["/cursor"]],
    [`?offset=1&cursor=${cursorOf("2030-01-01 00:00:00+00", crypto.randomUUID())}`, ["/cursor"]],
    ["?status=gone", ["/status"]],
    ["?status=", ["/status"]],
    ["?status=failed,", ["/status"]],
    ["?status=failed,gone", ["/status"]],
    ["?sort=created_at", ["/sort"]],
    ["?updated_after=yesterday", ["/updated_after"]],
    ["?owner=", ["/owner"]],
    [
      `?sort=scheduled_at&cursor=${cursorOf("2030-01-01 00:00:00+00", crypto.randomUUID())}`,
      ["/cursor"],
    ],
    ["?scheduled_after=2030-01-01", ["/scheduled_after"]],
    ["?scheduled_before=x&limit=x", ["/scheduled_before", "/limit"]],
    ["?recipient=x", ["/recipient"]],
    ["?statuss=sent", ["/statuss"]],
    ["?metadata=1", ["/metadata"]],
    ["?metadata.=1", ["/metadata."]],
    ["?__proto__=1", ["/__proto__"]],
    ["?tag=a&tag=b", ["/tag"]],
    ["?tag=%00", ["/tag"]],
    ["?metadata.%00=1", ["/metadata.\0"]],
  ])("%s is refused", async (query, pointers) => {
    const answer = await list(query);
    expect(answer).toMatchObject({ status: 422, json: { code: "invalid_query" } });
    expect(answer.json.errors?.map(({ pointer }) => pointer)).toEqual(pointers);
  });
});

describe("GET /dead-letters", () => {
  test("what waits for a person, with the full record of attempts", async () => {
    const { status, json } = await list("", "ada", "/api/v1/dead-letters");
    expect(status).toBe(200);
    expect(json.data).toMatchObject([
      {
        id: ids[0],
        status: "failed",
        attempts: [{ number: 1, outcome: "bounced", smtp_code: 550, reply: "No such user" }],
      },
    ]);
    expect(json.page).toMatchObject({ limit: 20, offset: 0, total: 1 });
  });

  test("nobody sees anybody else's", async () => {
    expect((await list("", "eve", "/api/v1/dead-letters")).json.data).toEqual([]);
  });
});

function cursorOf(createdAt: string, id: string): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString("base64url");
}
