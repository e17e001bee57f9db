import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { directSql } from "../../testing/servers/direct-sql.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ knownRegions: () => ["ams"] });
});
afterAll(() => api?.close());

const olga = { as: "olga", role: "admin" } as const;
const post = (path: string, body?: unknown) =>
  api.request("POST", `/api/v1/${path}`, { ...olga, ...(body === undefined ? {} : { body }) });

/** Ids of what a dispatcher of this region gets now. */
async function claim(): Promise<string[]> {
  const asked = { region: "local", limit: 9, aheadMs: 0, perOwner: 9, holds: {}, after: "" };
  const { emails } = await api.delivery.deps.attempts.claimDue({ ...asked, suspects: false });
  return emails.map(({ id }) => id);
}

/** What the journal has of pauses, newest last, and whose it is. */
async function journal(): Promise<Record<string, unknown>[]> {
  const sql = await directSql(api.database);
  const rows = await sql.query(
    `select owner_id, actor, origin, action, detail from mailer.journal
     where action ~ '^sending' order by id`,
  );
  await sql.close();
  return rows;
}

describe("200", () => {
  test("a pause stops this process's region until it is resumed, and both are journalled", async () => {
    const before = (await journal()).length;
    const paused = await post("pause", { reason: "wrong template" });
    expect([paused.status, paused.json.data as unknown]).toEqual([
      200,
      {
        kind: "region",
        name: "local",
        paused_at: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
        paused_by: "olga",
        reason: "wrong template",
      },
    ]);
    const id = await api.schedule();
    expect(await claim()).toEqual([]);

    const resumed = await post("resume", { reason: "template is right" });
    expect([resumed.status, resumed.json.data as unknown]).toEqual([
      200,
      { kind: "region", name: "local", was_paused: true },
    ]);
    expect(await claim()).toEqual([id]);
    const entry = { owner_id: "olga", actor: "olga", origin: "192.0.2.7" };
    expect((await journal()).slice(before)).toEqual([
      {
        ...entry,
        action: "sending.paused",
        detail: { region: "local", reason: "wrong template" },
      },
      {
        ...entry,
        action: "sending.resumed",
        detail: expect.objectContaining({ region: "local", reason: "template is right" }),
      },
    ]);
  });

  test("a pause of an owner stops nobody else, and stands in that owner's journal", async () => {
    await post("pause", { owner: "bob", reason: "a flood" });
    const [hers, his] = [await api.schedule(), await api.schedule({}, { as: "bob" })];
    expect(await claim()).toEqual([hers]);
    expect((await journal()).at(-1)).toMatchObject({
      owner_id: "bob",
      actor: "olga",
      action: "sending.paused",
    });
    expect((await post("resume", { owner: "bob" })).json.data).toMatchObject({ was_paused: true });
    expect(await claim()).toEqual([his]);
  });

  test("the first pause stays, and a resume of what is not paused says so", async () => {
    const first = await post("pause", { region: "ams", reason: "the first" });
    const second = await post("pause", { region: "ams", reason: "the second" });
    expect(second.json.data).toEqual(first.json.data);
    const asked = { region: "ams" };
    expect((await post("resume", asked)).json.data).toMatchObject({ was_paused: true });
    const before = (await journal()).length;
    expect((await post("resume", asked)).json.data).toEqual({
      kind: "region",
      name: "ams",
      was_paused: false,
    });
    expect(await journal()).toHaveLength(before);
  });

  test("a resume needs no body and no region that still lives", async () => {
    expect((await post("resume")).json.data).toMatchObject({ name: "local", was_paused: false });
    expect((await post("resume", { region: "gone" })).status).toBe(200);
  });
});

describe("403", () => {
  test("for everybody but admins, and nothing is paused", async () => {
    for (const path of ["pause", "resume"]) {
      const body = { reason: "mine" };
      expect((await api.request("POST", `/api/v1/${path}`, { body })).status).toBe(403);
      expect((await api.request("POST", `/api/v1/${path}`, { body, as: null })).status).toBe(401);
    }
    expect(api.deps.pauses.last).toEqual([]);
  });
});

describe("422", () => {
  test.each([
    ["no reason", "pause", {}, "/reason"],
    ["an empty reason", "pause", { reason: "" }, "/reason"],
    ["a reason of two lines", "pause", { reason: "a\nb" }, "/reason"],
    ["a reason that is too long", "pause", { reason: "a".repeat(501) }, "/reason"],
    ["both", "pause", { region: "local", owner: "ada", reason: "a" }, "/owner"],
    ["both", "resume", { region: "local", owner: "ada" }, "/owner"],
    ["a region nobody has heard of", "pause", { region: "mars", reason: "a" }, "/region"],
    ["no name of a region", "pause", { region: "A b", reason: "a" }, "/region"],
    ["no id of an owner", "resume", { owner: "" }, "/owner"],
    ["null for a region", "pause", { region: null, reason: "a" }, "/region"],
    ["null for an owner", "pause", { owner: null, reason: "a" }, "/owner"],
    ["null for an owner", "resume", { owner: null }, "/owner"],
    ["a misspelt field", "pause", { regions: "ams", reason: "a" }, "/regions"],
  ])("%s: %s %j", async (_, path, body, pointer) => {
    const { status, json } = await post(path, body);
    expect([status, json.code, json.errors?.map((fault) => fault.pointer)]).toEqual([
      422,
      "invalid_content",
      [pointer],
    ]);
    expect(api.deps.pauses.last).toEqual([]);
  });
});
