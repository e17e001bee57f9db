import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createFigureReader } from "../../store/figures.ts";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

async function failed(fields: Record<string, unknown> = {}, as = "ada"): Promise<string> {
  const id = await api.schedule(fields, { as });
  await api.deliver(id, noUserReply);
  return id;
}

const dismiss = (id: string, body?: unknown, as = "ada") =>
  api.request("POST", `/api/v1/dead-letters/${id}/dismiss`, {
    as,
    ...(body === undefined ? {} : { body }),
  });

async function deadLetters(as = "ada"): Promise<string[]> {
  const { json } = await api.request<{ id: string }[]>("GET", "/api/v1/dead-letters", { as });
  return json.data.map(({ id }) => id);
}

describe("POST /dead-letters/{id}/dismiss", () => {
  test("200: it keeps its status and waits for nobody any more", async () => {
    const id = await failed();
    const figures = createFigureReader(api.database);
    const before = (await figures.read()).byStatus.failed;
    const answer = await dismiss(id, { reason: "the address is of a test" });
    expect(answer.status).toBe(200);
    expect(answer.json.data).toMatchObject({
      id,
      status: "failed",
      dismissed_at: expect.any(String),
    });
    expect(await deadLetters()).not.toContain(id);
    const groups = await api.request<{ count: number }[]>("GET", "/api/v1/dead-letters/groups");
    expect(groups.json.data).toEqual([]);
    expect((await figures.read()).byStatus.failed).toBe(before - 1);
    const list = await api.request<{ id: string }[]>(
      "GET",
      "/api/v1/scheduled-emails?status=failed",
    );
    expect(list.json.data.map((email) => email.id)).toContain(id);
    const events = await api.request("GET", `/api/v1/emails/${id}/events`);
    expect((events.json.data as unknown as object[]).at(-1)).toMatchObject({
      action: "email.dismissed",
      detail: { status: "failed", reason: "the address is of a test" },
    });
  });

  test("again is no change; a replay is possible, and what fails again waits again", async () => {
    const id = await failed();
    const first = await dismiss(id);
    expect((await dismiss(id)).json.data).toEqual(first.json.data);
    const replayed = await api.request("POST", `/api/v1/dead-letters/${id}/replay`);
    expect(replayed.json.data).toMatchObject({ status: "pending" });
    expect(replayed.json.data).not.toHaveProperty("dismissed_at");
    await api.deliver(id, noUserReply);
    expect(await deadLetters()).toContain(id);
  });

  test("409 for what is no dead letter, 404 for somebody else's, 422 for another body", async () => {
    const pending = await api.schedule({ scheduled_at: "2035-01-01T00:00:00Z" });
    expect(await dismiss(pending)).toMatchObject({
      status: 409,
      json: { code: "not_a_dead_letter" },
    });
    const id = await failed();
    expect((await dismiss(id, {}, "eve")).status).toBe(404);
    expect((await dismiss("x")).status).toBe(404);
    for (const body of [{ reason: "" }, { reason: "a\nb" }, { reason: null }, { why: "x" }]) {
      expect((await dismiss(id, body)).status).toBe(422);
    }
    expect(await deadLetters()).toContain(id);
  });
});

describe("POST /dead-letters/dismiss", () => {
  test("many at once, by the filter of replay", async () => {
    const as = "b1";
    const ids = [await failed({ tags: ["x"] }, as), await failed({ tags: ["x"] }, as)];
    const other = await failed({}, as);
    const path = "/api/v1/dead-letters/dismiss";
    const body = { filter: { tag: "x" }, reason: "old" };
    const dry = await api.request("POST", path, { as, body: { ...body, dry_run: true } });
    expect(dry.json.data).toMatchObject({ matched: 2, dismissed: 0 });
    expect(await deadLetters(as)).toHaveLength(3);
    const answer = await api.request("POST", path, { as, body });
    expect(answer).toMatchObject({ status: 200, json: { data: { matched: 2, dismissed: 2 } } });
    expect(await deadLetters(as)).toEqual([other]);
    // A replay by a filter leaves them alone, too; one by id means them.
    const replay = (filter: object) =>
      api.request("POST", "/api/v1/dead-letters/replay", { as, body: { filter, dry_run: true } });
    expect((await replay({ all: true })).json.data).toMatchObject({ matched: 1 });
    expect((await replay({ ids })).json.data).toMatchObject({ matched: 2 });
  });

  test.each<[unknown, string]>([
    [{}, "/filter"],
    [{ filter: {} }, "/filter"],
    [{ filter: { tags: ["x"] } }, "/filter/tags"],
    [{ filter: { all: true }, reason: 1 }, "/reason"],
  ])("422 for %j", async (body, pointer) => {
    const answer = await api.request("POST", "/api/v1/dead-letters/dismiss", { body });
    expect(answer).toMatchObject({ status: 422, json: { errors: [{ pointer }] } });
  });
});
