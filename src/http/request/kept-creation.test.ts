import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { type DirectSql, directSql } from "../../testing/servers/direct-sql.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let sql: DirectSql;
beforeAll(async () => {
  api = await startTestApi();
  sql = await directSql(api.database);
});
afterAll(async () => {
  await sql?.close();
  await api?.close();
});

type Made = { id: string; key?: string; secret?: string };

const asked = {
  "/api/v1/api-keys": { name: "deploy", scopes: ["read"] },
  "/api/v1/webhooks": { url: "https://example.com/hook", enabled: false },
};

describe.each(Object.entries(asked))("POST %s with one Idempotency-Key", (path, body) => {
  let as: string;
  const keyed = () => ({ as, body, headers: { "idempotency-key": "once" } });
  const listed = async () => (await api.request<Made[]>("GET", path, { as })).json.data;
  /** What the journal says was done for the owner. */
  const actions = async () =>
    (await sql.query("select action from mailer.journal where owner_id = $1", [as])).map(
      ({ action }) => action,
    );

  test("at several processes at once makes one object and answers it to all", async () => {
    as = `at-once${path}`;
    const processes = Array.from({ length: 4 }, () => api.another());
    const answers = await Promise.all(processes.map((ask) => ask<Made>("POST", path, keyed())));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
    expect(new Set(answers.map(({ json }) => JSON.stringify(json.data))).size).toBe(1);
    const [first] = answers;
    expect((await listed()).map(({ id }) => id)).toEqual([first?.json.data.id ?? ""]);
    expect(await actions()).toHaveLength(1);
    const replayed = answers.filter(({ headers }) => headers.get("idempotent-replayed") === "true");
    expect(replayed).toHaveLength(3);
  });

  test("is made once though the process dies before its answer was kept", async () => {
    as = `died-late${path}`;
    const { emails } = api.deps;
    const dying = api.another({
      emails: {
        ...emails,
        keepIdempotent: async (ownerId, claim) => {
          if (claim.replaces !== undefined) throw new Error("died");
          await emails.keepIdempotent(ownerId, claim);
        },
      },
    });
    expect((await dying("POST", path, keyed())).status).toBe(500);
    const [made] = await listed();
    for (const ask of [api.another(), api.another()]) {
      const again = await ask<Made>("POST", path, keyed());
      expect(again).toMatchObject({ status: 201, json: { data: { id: made?.id } } });
      expect(again.headers.get("idempotent-replayed")).toBe("true");
    }
    expect(await listed()).toHaveLength(1);
    expect(await actions()).toHaveLength(1);
  });

  test("is made by the next request when the process died before it was made", async () => {
    as = `died-early${path}`;
    const died = async () => {
      throw new Error("died");
    };
    const { apiKeys, endpoints } = api.deps;
    const dying = api.another({
      apiKeys: { ...apiKeys, create: died },
      endpoints: { ...endpoints, create: died },
    });
    expect((await dying("POST", path, keyed())).status).toBe(500);
    expect(await listed()).toEqual([]);
    const again = await api.request<Made>("POST", path, keyed());
    expect(again.status).toBe(201);
    expect(again.headers.get("idempotent-replayed")).toBeNull();
    expect((await listed()).map(({ id }) => id)).toEqual([again.json.data.id]);
  });

  test("is refused with another body, and a body at fault leaves the key free", async () => {
    as = `reused${path}`;
    const faulty = await api.request("POST", path, { ...keyed(), body: { ...body, nonsense: 1 } });
    expect(faulty).toMatchObject({ status: 422, json: { code: "invalid_content" } });
    expect((await api.request("POST", path, keyed())).status).toBe(201);
    const other = path.endsWith("keys") ? { name: "other" } : { description: "other" };
    const reused = await api.request("POST", path, { ...keyed(), body: { ...body, ...other } });
    expect(reused).toMatchObject({ status: 422, json: { code: "idempotency_key_reused" } });
  });
});

test("an end that is past leaves the key free", async () => {
  const path = "/api/v1/api-keys";
  const given = { as: "corrects", headers: { "idempotency-key": "x" } };
  const endingAt = (expires_at: string) =>
    api.request("POST", path, { ...given, body: { ...(asked[path] as object), expires_at } });
  expect((await endingAt("2020-01-01T00:00:00Z")).json).toMatchObject({ code: "invalid_content" });
  expect((await endingAt("2040-01-01T00:00:00Z")).status).toBe(201);
});

test("the key that several processes answered opens the API", async () => {
  const path = "/api/v1/api-keys";
  const given = { as: "opens", body: asked[path], headers: { "idempotency-key": "x" } };
  const answers = await Promise.all(
    [api.another(), api.another()].map((ask) => ask<Made>("POST", path, given)),
  );
  for (const { json } of answers) {
    const headers = { authorization: `Bearer ${json.data.key}` };
    expect((await api.request("GET", "/api/v1/scheduled-emails", { headers })).status).toBe(200);
  }
});

test("the kept secret of a webhook for everybody's events is an admin's alone", async () => {
  const path = "/api/v1/webhooks";
  const body = { url: "https://example.com/all", all_owners: true };
  const given = { as: "root", body, headers: { "idempotency-key": "all" } };
  expect((await api.request("POST", path, { ...given, role: "admin" })).status).toBe(201);
  expect((await api.request("POST", path, given)).status).toBe(403);
});

test("a webhook that was deleted is not made again by its key", async () => {
  const path = "/api/v1/webhooks";
  const given = { as: "gone", body: asked[path], headers: { "idempotency-key": "gone" } };
  const first = await api.request<Made>("POST", path, given);
  await api.request("DELETE", `${path}/${first.json.data.id}`, { as: "gone" });
  expect((await api.request("POST", path, given)).json.data).toEqual(first.json.data as never);
  expect((await api.request("GET", path, { as: "gone" })).json.data).toEqual([] as never);
});
