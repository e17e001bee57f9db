import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { okReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

type Answer = { matched: number; replayed: number; bulk_id: string | null; warnings: string[] };
interface Group {
  group: string;
  count: number;
  sample_email_id: string;
  [field: string]: unknown;
}

function replay(body: unknown, request: { as?: string; headers?: Record<string, string> } = {}) {
  return api.request<Answer>("POST", "/api/v1/dead-letters/replay", { body, ...request });
}

function groups(as: string, query = "") {
  return api.request<Group[]>("GET", `/api/v1/dead-letters/groups${query}`, { as });
}

/** Emails refused with words of their own; each test has an owner of its own. */
async function refused(as: string, domain: string, count: number, fields: object = {}) {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    const address = `a${n}${crypto.randomUUID().slice(0, 4)}@${domain}`;
    const id = await api.schedule({ recipients: [address], ...fields }, { as });
    const text = `<${address}> User unknown id=${crypto.randomUUID()}`;
    await api.deliver(id, { code: 550, enhanced: "5.1.1", text });
    ids.push(id);
  }
  return ids;
}

async function statusOf(id: string, as: string) {
  return (await api.request("GET", `/api/v1/status/${id}`, { as })).json.data;
}

describe("groups", () => {
  test("one per domain, with the words in clear for the owner, the most first", async () => {
    const ids = [...(await refused("g1", "x.test", 6)), ...(await refused("g1", "y.test", 3))];
    const answer = await groups("g1");
    expect(answer.status).toBe(200);
    expect(answer.json.page).toEqual({ limit: 20, offset: 0, total: 2, next_cursor: null });
    expect(answer.json.data).toMatchObject([
      {
        count: 6,
        by_status: { failed: 6 },
        smtp_code: 550,
        enhanced_code: "5.1.1",
        reply: expect.stringContaining("@x.test> User unknown id="),
        reply_pattern: "<address> user unknown id=<value>",
        domain: "x.test",
        first_at: expect.stringMatching(/Z$/),
        last_at: expect.stringMatching(/Z$/),
      },
      { count: 3, domain: "y.test" },
    ]);
    expect(ids).toContain(answer.json.data[0]?.sample_email_id ?? "");
    expect((await groups("eve")).json.data).toEqual([]);

    const [first, second] = answer.json.data;
    const listed = await api.request<{ id: string }[]>(
      "GET",
      `/api/v1/dead-letters?group=${first?.group}&smtp_code=550&status=failed`,
      { as: "g1" },
    );
    expect(listed.json.page).toMatchObject({ total: 6 });
    const one = await groups("g1", "?limit=1");
    const cursor = one.json.page?.next_cursor;
    expect((await groups("g1", `?limit=1&cursor=${cursor}`)).json).toMatchObject({
      data: [{ group: second?.group ?? "" }],
      page: { offset: 1, next_cursor: null },
    });
  });

  test.each(["?limit=0", "?cursor=x", "?offset=-1", "?tag=x"])("422 for %s", async (query) => {
    expect(await groups("g1", query)).toMatchObject({
      status: 422,
      json: { code: "invalid_query" },
    });
  });

  test("a status that is none of a dead letter lists nothing", async () => {
    const answer = await api.request<unknown[]>("GET", "/api/v1/dead-letters?status=sent", {
      as: "g1",
    });
    expect(answer.json.data).toEqual([]);
  });
});

describe("202", () => {
  test("a group is replayed at a pace, each of it once, and keeps its record", async () => {
    const ids = await refused("p1", "x.test", 4);
    await refused("p1", "y.test", 1);
    const [group] = (await groups("p1")).json.data;
    const body = { filter: { group: group?.group }, rate_per_minute: 60 };
    expect((await replay({ ...body, dry_run: true }, { as: "p1" })).json.data).toEqual({
      matched: 4,
      replayed: 0,
      bulk_id: null,
      warnings: [],
    });
    expect(await statusOf(ids[0] ?? "", "p1")).toMatchObject({ status: "failed" });

    const answer = await replay(body, { as: "p1" });
    expect(answer).toMatchObject({ status: 202, json: { data: { matched: 4, replayed: 4 } } });
    const dues = await Promise.all(
      ids.map(async (id) => {
        const { status, next_attempt_at: due } = await statusOf(id, "p1");
        expect(status).toBe("pending");
        return new Date(String(due)).getTime();
      }),
    );
    const from = dues[0] ?? 0;
    expect(dues.map((due) => due - from)).toEqual([0, 1000, 2000, 3000]);
    expect((await groups("p1")).json.data).toMatchObject([{ count: 1, domain: "y.test" }]);
    expect((await replay(body, { as: "p1" })).json.data).toMatchObject({ matched: 0, replayed: 0 });
    const { json } = await api.request<{ action: string; detail: object }[]>(
      "GET",
      `/api/v1/emails/${ids[0]}/events`,
      { as: "p1" },
    );
    expect(json.data.at(-1)).toMatchObject({ detail: { bulk: answer.json.data.bulk_id } });
  });

  test.each<[string, object]>([
    ["tag", { tag: "news" }],
    ["metadata", { metadata: { order: 7 } }],
    ["smtp_code and domain", { smtp_code: 550, domain: "Z.test" }],
    ["status and time", { status: "failed", scheduled_after: "2020-01-01T00:00:00Z", tag: "news" }],
  ])("by %s", async (name, filter) => {
    const as = `f-${name}`;
    const fields = { tags: ["news"], metadata: { order: 7 } };
    const [id = ""] = await refused(as, "z.test", 1, fields);
    await refused(as, "other.test", 1, { tags: [], metadata: { order: 8 } });
    expect((await replay({ filter }, { as })).json.data).toMatchObject({ matched: 1, replayed: 1 });
    expect(await statusOf(id, as)).toMatchObject({ status: "pending" });
  });

  test("by ids, and all only when it says so; nobody else's", async () => {
    const ids = await refused("i1", "x.test", 3);
    const named = { filter: { ids: ids.slice(0, 1) } };
    expect((await replay(named, { as: "eve" })).json.data).toMatchObject({ matched: 0 });
    expect((await replay(named, { as: "i1" })).json.data).toMatchObject({ replayed: 1 });
    expect((await replay({ filter: { all: true } }, { as: "i1" })).json.data).toMatchObject({
      matched: 2,
      replayed: 2,
    });
  });

  test("what is uncertain is left alone unless it is named, and then there is a warning", async () => {
    const as = "u1";
    const id = await api.schedule({ on_uncertain: "hold" }, { as });
    await api.deliver(id, { code: 0, enhanced: null, text: "nonsense" });
    expect(await statusOf(id, as)).toMatchObject({ status: "uncertain" });
    expect((await replay({ filter: { all: true } }, { as })).json.data).toMatchObject({
      matched: 0,
    });
    const answer = await replay({ filter: { status: "uncertain" } }, { as });
    expect(answer.json.data).toMatchObject({ matched: 1, replayed: 1 });
    expect(answer.json.data.warnings).toEqual([expect.stringContaining("may double")]);
  });

  test("the same Idempotency-Key gets the first answer, and nothing is replayed again", async () => {
    const as = "k1";
    const [id = ""] = await refused(as, "x.test", 1);
    const headers = { "idempotency-key": "once" };
    const body = { filter: { all: true }, scheduled_at: new Date(Date.now() + 60_000) };
    const first = await replay(body, { as, headers });
    const again = await replay(body, { as, headers });
    expect(first.json.data.replayed).toBe(1);
    expect(again.json.data).toEqual(first.json.data);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(await statusOf(id, as)).toMatchObject({ version: 2 });
    const other = await replay({ filter: { tag: "x" } }, { as, headers });
    expect(other).toMatchObject({ status: 422, json: { code: "idempotency_key_reused" } });
  });
});

describe("422, and nothing changes, for", () => {
  test.each<[unknown, string]>([
    [{}, "/filter"],
    [{ filter: {} }, "/filter"],
    [{ filter: { all: false } }, "/filter"],
    [{ filter: [] }, "/filter"],
    [{ filter: { tags: "x" } }, "/filter/tags"],
    [{ filter: { status: "sent" } }, "/filter/status"],
    [{ filter: { group: "no group!" } }, "/filter/group"],
    [{ filter: { smtp_code: 99 } }, "/filter/smtp_code"],
    [{ filter: { domain: "a b" } }, "/filter/domain"],
    [{ filter: { metadata: {} } }, "/filter/metadata"],
    [{ filter: { metadata: { a: {} } } }, "/filter/metadata"],
    [{ filter: { ids: [] } }, "/filter/ids"],
    [{ filter: { ids: ["x"] } }, "/filter/ids/0"],
    [{ filter: { ids: Array.from({ length: 1001 }, () => crypto.randomUUID()) } }, "/filter/ids"],
    [{ filter: { scheduled_after: "soon" } }, "/filter/scheduled_after"],
    [{ filter: { all: true }, rate_per_minute: 0 }, "/rate_per_minute"],
    [{ filter: { all: true }, scheduled_at: "2020-01-01T00:00:00Z" }, "/scheduled_at"],
    [{ filter: { all: true }, dry_run: "yes" }, "/dry_run"],
    [{ filter: { all: true }, rate: 1 }, "/rate"],
  ])("%j", async (body, pointer) => {
    const answer = await replay(body);
    expect(answer.status).toBe(422);
    expect(answer.json.errors?.map((fault) => fault.pointer)).toContain(pointer);
  });
});

test("401 without a credential, 400 for what is no JSON", async () => {
  const path = "/api/v1/dead-letters/replay";
  expect((await api.request("POST", path, { as: null, body: {} })).status).toBe(401);
  expect((await replay("{")).status).toBe(400);
});

test("an email that was replayed and sent is no dead letter any more", async () => {
  const [id = ""] = await refused("s1", "x.test", 1);
  await replay({ filter: { all: true } }, { as: "s1" });
  await api.deliver(id, okReply);
  expect(await statusOf(id, "s1")).toMatchObject({ status: "sent" });
  expect((await groups("s1")).json.data).toEqual([]);
});
