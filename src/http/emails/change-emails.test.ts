import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const at = "2035-01-01T00:00:00.000Z";
type Answer = Record<string, number> & { bulk_id: string; warnings: string[] };

function post(path: string, body: unknown, as: string, headers: Record<string, string> = {}) {
  return api.request<Answer>("POST", `/api/v1/${path}`, { body, as, headers });
}

async function read(id: string, as: string) {
  return (await api.request("GET", `/api/v1/status/${id}`, { as })).json.data;
}

async function lastEntry(id: string, as: string) {
  const { json } = await api.request("GET", `/api/v1/emails/${id}/events`, { as });
  return (json.data as unknown as { action: string; actor: string; detail: object }[]).at(-1);
}

describe("200", () => {
  test("a campaign is held, released and postponed, after dry runs that change nothing", async () => {
    const as = "h1";
    const fields = { tags: ["news"], scheduled_at: at };
    const ids = await Promise.all([1, 2].map(() => api.schedule(fields, { as })));
    const other = await api.schedule({ scheduled_at: at }, { as });
    const states = async () =>
      (await Promise.all([...ids, other].map((id) => read(id, as)))).map(({ status }) => status);

    expect((await post("hold", { tag: "news", dry_run: true }, as)).json.data).toMatchObject({
      matched: 2,
      held: 0,
    });
    expect(await states()).toEqual(["pending", "pending", "pending"]);
    const held = await post("hold", { tag: "news" }, as);
    expect(held.json.data).toMatchObject({ matched: 2, held: 2, warnings: [] });
    expect(await states()).toEqual(["held", "held", "pending"]);
    expect(await lastEntry(ids[0] ?? "", as)).toMatchObject({
      action: "email.held",
      actor: as,
      detail: { status: "held", reason: "by_person", bulk: held.json.data.bulk_id },
    });

    expect((await post("release", { tag: "news" }, as)).json.data).toMatchObject({ released: 2 });
    expect(await states()).toEqual(["pending", "pending", "pending"]);
    expect(await read(ids[0] ?? "", as)).toMatchObject({ scheduled_at: at, next_attempt_at: at });

    const shifted = await post("reschedule", { tag: "news", shift_seconds: 3_600 }, as);
    expect(shifted.json.data).toMatchObject({ matched: 2, rescheduled: 2 });
    const then = "2035-01-01T01:00:00.000Z";
    const after = await read(ids[1] ?? "", as);
    expect(after).toMatchObject({ scheduled_at: then, next_attempt_at: then, version: 4 });
    expect((await read(other, as)).scheduled_at).toBe(at);
  });

  test("to one moment; max_lateness moves along, and what would end before is left alone", async () => {
    const as = "r1";
    const tags = ["x"];
    const moved = await api.schedule({ tags, scheduled_at: at, max_lateness: 60 }, { as });
    const ends = await api.schedule(
      { tags, scheduled_at: at, expires_at: "2035-06-01T00:00:00Z" },
      { as },
    );
    const then = "2036-01-01T00:00:00.000Z";
    const answer = await post("reschedule", { tag: "x", scheduled_at: then }, as);
    expect(answer.json.data).toMatchObject({ matched: 1, rescheduled: 1 });
    const { json } = await api.request("GET", `/api/v1/emails/${moved}`, { as });
    expect(json.data).toMatchObject({ scheduled_at: then, expires_at: "2036-01-01T00:01:00.000Z" });
    expect((await read(ends, as)).scheduled_at).toBe(at);
    expect(await lastEntry(moved, as)).toMatchObject({
      action: "email.rescheduled",
      detail: { fields: ["scheduled_at"], version: 2 },
    });
  });

  test("what a shift would put into the past is left alone", async () => {
    const as = "p1";
    const id = await api.schedule({ tags: ["x"], scheduled_at: at }, { as });
    const far = { tag: "x", shift_seconds: -315_360_000 };
    expect((await post("reschedule", far, as)).json.data).toMatchObject({ matched: 0 });
    expect((await read(id, as)).scheduled_at).toBe(at);
  });

  test("of a request that is repeated with its key nothing is shifted twice", async () => {
    const as = "i1";
    const id = await api.schedule({ tags: ["x"], scheduled_at: at }, { as });
    const body = { tag: "x", shift_seconds: 60 };
    const headers = { "idempotency-key": "shift" };
    const first = await post("reschedule", body, as, headers);
    const again = await post("reschedule", body, as, headers);
    expect(again.json.data).toEqual(first.json.data);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    // As if the answer had been lost: the same change under the same id.
    const wanted = { change: "reschedule", shiftSeconds: 60 } as const;
    const chunk = { ids: [id], bulk: first.json.data.bulk_id, origin: null };
    const claims = { role: "user", sub: as } as const;
    expect(await api.deps.bulkChange.change(wanted, chunk, claims)).toBe(0);
    expect((await read(id, as)).scheduled_at).toBe("2035-01-01T00:01:00.000Z");
  });

  test("nobody's but the caller's", async () => {
    const id = await api.schedule({ tags: ["x"], scheduled_at: at }, { as: "o1" });
    for (const path of ["hold", "release", "reschedule"]) {
      const more = path === "reschedule" ? { shift_seconds: 60 } : {};
      const answer = await post(path, { tag: "x", ...more }, "eve");
      expect(answer.json.data).toMatchObject({ matched: 0 });
    }
    expect(await read(id, "o1")).toMatchObject({ status: "pending", scheduled_at: at, version: 1 });
  });
});

describe("422 for", () => {
  test.each<[string, unknown, string]>([
    ["hold", {}, ""],
    ["hold", { dry_run: true }, ""],
    ["release", { tags: ["x"] }, "/tags"],
    ["release", { tag: null }, "/tag"],
    ["reschedule", { tag: "x" }, ""],
    ["reschedule", { shift_seconds: 60 }, ""],
    ["reschedule", { tag: "x", shift_seconds: 0 }, "/shift_seconds"],
    ["reschedule", { tag: "x", shift_seconds: 1.5 }, "/shift_seconds"],
    ["reschedule", { tag: "x", shift_seconds: null }, "/shift_seconds"],
    ["reschedule", { tag: "x", shift_seconds: 60, scheduled_at: at }, "/shift_seconds"],
    ["reschedule", { tag: "x", scheduled_at: null }, "/scheduled_at"],
    ["reschedule", { tag: "x", scheduled_at: "2020-01-01T00:00:00Z" }, "/scheduled_at"],
  ])("%s %j", async (path, body, pointer) => {
    const answer = await post(path, body, "ada");
    expect(answer).toMatchObject({ status: 422, json: { errors: [{ pointer }] } });
  });
});
