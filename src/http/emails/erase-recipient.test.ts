import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type ApiRequest, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

interface Erased {
  erased: number;
  not_finished: number;
  dry_run: boolean;
}

const erase = (body: object, more: Partial<ApiRequest> = {}) =>
  api.request<Erased>("POST", "/api/v1/erase", { body, ...more });

/** An email to this person that has been sent. */
async function sentTo(recipients: string[], as = "ada"): Promise<string> {
  const id = await api.schedule({ recipients }, { as });
  await api.deliver(id);
  return id;
}

async function subjectOf(id: string): Promise<unknown> {
  const path = `/api/v1/emails/${id}`;
  return (await api.request<{ subject: unknown }>("GET", path, { role: "admin" })).json.data
    .subject;
}

describe("200", () => {
  test("destroys one's own emails to a person, however the address is written, and nobody else's", async () => {
    const person = "Gone@Example.test";
    const mine = [await sentTo([person]), await sentTo(["other@example.test", person])];
    const [others, theirs] = [await sentTo(["other@example.test"]), await sentTo([person], "bob")];
    const waiting = await api.schedule({
      recipients: [person],
      scheduled_at: new Date(Date.now() + 3_600_000).toISOString(),
    });
    const asked = { recipient: "gone@example.test" };
    const dry = await erase({ ...asked, dry_run: true });
    expect(dry.json.data).toEqual({ erased: 2, not_finished: 1, dry_run: true });
    for (const id of mine) expect(await subjectOf(id)).not.toBeNull();

    const done = await erase(asked);
    expect([done.status, done.json.data]).toEqual([
      200,
      { erased: 2, not_finished: 1, dry_run: false },
    ]);
    for (const id of mine) expect(await subjectOf(id)).toBeNull();
    for (const id of [others, theirs, waiting]) expect(await subjectOf(id)).not.toBeNull();
    expect((await erase(asked)).json.data).toMatchObject({ erased: 0, not_finished: 1 });
    const path = `/api/v1/emails/${mine[0]}/events`;
    const events = await api.request<{ type: string }[]>("GET", path);
    expect(JSON.stringify(events.json)).toContain("shredded");
  });

  test("an admin's are everybody's, or one owner's, over more than one step", async () => {
    const person = "many@example.test";
    const ids = await Promise.all(
      Array.from({ length: 12 }, (_, n) => sentTo([person], `owner-${n % 3}`)),
    );
    const one = await erase({ recipient: person, owner: "owner-1" }, { role: "admin" });
    expect(one.json.data.erased).toBe(4);
    const all = await erase({ recipient: person }, { role: "admin" });
    expect(all.json.data).toEqual({ erased: 8, not_finished: 0, dry_run: false });
    for (const id of ids) expect(await subjectOf(id)).toBeNull();
  });
});

test("403 for another one's emails, unless by an admin", async () => {
  const { status } = await erase({ recipient: "a@example.test", owner: "bob" });
  expect(status).toBe(403);
});

describe("422", () => {
  test.each([
    [{}, "/recipient"],
    [{ recipient: "nobody" }, "/recipient"],
    [{ recipient: "a@example.test", dry_run: null }, "/dry_run"],
    [{ recipient: "a@example.test", owner: "" }, "/owner"],
    [{ recipients: ["a@example.test"] }, "/recipients"],
  ])("%p", async (body, pointer) => {
    const { status, json } = await erase(body);
    expect(status).toBe(422);
    expect(JSON.stringify(json)).toContain(`"pointer":"${pointer}"`);
  });
});
