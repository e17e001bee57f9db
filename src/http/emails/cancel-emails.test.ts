import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

type Answer = { matched: number; cancelled: number };

function cancel(body: unknown, as = "ada", headers: Record<string, string> = {}) {
  return api.request<Answer>("POST", "/api/v1/cancel", { body, as, headers });
}

async function statusOf(id: string, as: string) {
  return (await api.request("GET", `/api/v1/status/${id}`, { as })).json.data.status;
}

describe("200", () => {
  test("cancels what has the tag and leaves the rest, after a dry run that changes nothing", async () => {
    const as = "t1";
    const later = { scheduled_at: "2035-01-01T00:00:00Z" };
    const tagged = await Promise.all(
      [1, 2, 3].map(() => api.schedule({ ...later, tags: ["news"] }, { as })),
    );
    const other = await api.schedule(later, { as });
    const body = { tag: "news" };
    expect((await cancel({ ...body, dry_run: true }, as)).json.data).toMatchObject({
      matched: 3,
      cancelled: 0,
    });
    expect(await statusOf(tagged[0] ?? "", as)).toBe("pending");
    expect(await cancel(body, "eve")).toMatchObject({ json: { data: { matched: 0 } } });
    const answer = await cancel(body, as);
    expect(answer).toMatchObject({
      status: 200,
      json: { data: { matched: 3, cancelled: 3, warnings: [] } },
    });
    expect(await Promise.all(tagged.map((id) => statusOf(id, as)))).toEqual(
      Array(3).fill("cancelled"),
    );
    expect(await statusOf(other, as)).toBe("pending");
  });

  test("by metadata and by the time they were scheduled for", async () => {
    const as = "m1";
    const ids = await Promise.all(
      ["2035-01-01T00:00:00Z", "2036-01-01T00:00:00Z", "2037-01-01T00:00:00Z"].map((at, order) =>
        api.schedule({ scheduled_at: at, metadata: { order } }, { as }),
      ),
    );
    const between = {
      scheduled_after: "2036-01-01T00:00:00Z",
      scheduled_before: "2037-01-01T00:00:00Z",
    };
    expect((await cancel(between, as)).json.data).toMatchObject({ matched: 1, cancelled: 1 });
    expect((await cancel({ metadata: { order: 0 } }, as)).json.data).toMatchObject({
      cancelled: 1,
    });
    expect(await Promise.all(ids.map((id) => statusOf(id, as)))).toEqual([
      "cancelled",
      "cancelled",
      "pending",
    ]);
  });

  test("what was sent, failed, or may have been sent is not matched", async () => {
    const as = "s1";
    const tags = ["x"];
    const sent = await api.schedule({ tags }, { as });
    await api.deliver(sent);
    // Nonsense after the body: nobody knows, and it will be tried again.
    const retried = await api.schedule({ tags }, { as });
    await api.deliver(retried, { code: 0, enhanced: null, text: "nonsense" });
    expect(await statusOf(retried, as)).toBe("pending");
    expect((await cancel({ tag: "x" }, as)).json.data).toMatchObject({ matched: 0, cancelled: 0 });
  });

  test("the same Idempotency-Key gets the first answer", async () => {
    const as = "k1";
    await api.schedule({ tags: ["x"], scheduled_at: "2035-01-01T00:00:00Z" }, { as });
    const headers = { "idempotency-key": "c" };
    const first = await cancel({ tag: "x" }, as, headers);
    await api.schedule({ tags: ["x"], scheduled_at: "2035-01-01T00:00:00Z" }, { as });
    const again = await cancel({ tag: "x" }, as, headers);
    expect(again.json.data).toEqual(first.json.data);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
  });
});

describe("422 for", () => {
  test.each<[unknown, string]>([
    [{}, ""],
    [{ dry_run: true }, ""],
    [{ tag: "" }, "/tag"],
    [{ tag: 1 }, "/tag"],
    [{ tags: ["x"] }, "/tags"],
    [{ metadata: [] }, "/metadata"],
    [{ scheduled_after: "2030-01-01" }, "/scheduled_after"],
    [[], ""],
  ])("%j", async (body, pointer) => {
    expect(await cancel(body)).toMatchObject({ status: 422, json: { errors: [{ pointer }] } });
  });
});
