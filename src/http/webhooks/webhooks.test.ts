import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { openWebhookStage, type WebhookStage } from "../../testing/product/webhook-stage.ts";

setDefaultTimeout(60_000);

let stage: WebhookStage;
beforeAll(async () => {
  stage = await openWebhookStage();
});
afterAll(() => stage.close());

const path = "/api/v1/webhooks";
const hook = () => `http://127.0.0.1:${stage.target.port}/hook`;
const post = (body: unknown, more: { as?: string; role?: "admin"; key?: string } = {}) => {
  const { key, ...by } = more;
  const headers = key === undefined ? {} : { headers: { "idempotency-key": key } };
  return stage.api.request<Record<string, unknown>>("POST", path, { body, ...by, ...headers });
};
const admin = { as: "root", role: "admin" } as const;

describe("201", () => {
  test("has every field and the secret, which no later answer has", async () => {
    const made = await post({ url: hook() });
    expect(made).toMatchObject({ status: 201, json: { success: true } });
    const { secret, ...shown } = made.json.data;
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(shown).toEqual({
      ...{ id: expect.any(String), url: hook(), description: null, owner: "ada" },
      ...{ events: ["email.*"], tags: [], enabled: true, all_owners: false },
      ...{ created_at: expect.stringMatching(/Z$/), disabled_at: null, disabled_reason: null },
      ...{ failures: 0, failing_since: null, last_success_at: null, old_secret_until: null },
    });
    const got = await stage.api.request("GET", `${path}/${shown.id}`);
    expect(got.json.data).toEqual(shown);
    const listed = await stage.api.request<unknown[]>("GET", path);
    expect(listed.json.data[0]).toEqual(shown);
  });

  test("is replayed under the same Idempotency-Key, secret included", async () => {
    const [one, again] = [
      await post({ url: hook() }, { key: "hook-1" }),
      await post({ url: hook() }, { key: "hook-1" }),
    ];
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(again.json.data).toEqual(one.json.data);
    expect((await post({ url: `${hook()}/x` }, { key: "hook-1" })).json).toMatchObject({
      code: "idempotency_key_reused",
    });
  });

  test("an admin's hears of the system, and is tested with what it would hear", async () => {
    const made = await post({ url: hook(), all_owners: true, events: ["system.*"] }, admin);
    expect(made.status).toBe(201);
    const one = `${path}/${made.json.data.id}/test`;
    const body = { type: "system.transport_down" };
    const tested = await stage.api.request("POST", one, { body, ...admin });
    expect(tested).toMatchObject({ status: 200, json: { data: { outcome: "delivered" } } });
    expect(JSON.parse(stage.seen.at(-1)?.body ?? "")).toMatchObject({
      type: "system.transport_down",
      data: { owner_id: "taskforce-mailer:system", test: true },
    });
  });
});

describe("403 and 404", () => {
  test("everybody's events are for admins; another owner's webhook is none", async () => {
    expect(await post({ url: hook(), all_owners: true })).toMatchObject({ status: 403 });
    const { id } = (await post({ url: hook() }, { as: "bob" })).json.data;
    for (const one of [id, "nope", "00000000-0000-7000-8000-000000000000"]) {
      for (const [method, more] of [
        ["GET", ""],
        ["DELETE", ""],
        ["GET", "/deliveries"],
        ["POST", "/test"],
        ["POST", "/rotate-secret"],
      ] as const) {
        const { status } = await stage.api.request(method, `${path}/${one}${more}`);
        expect([method, more, status]).toEqual([method, more, 404]);
      }
    }
  });
});

/** Each makes a webhook send something, or says where to. */
const directing: [method: string, more: string, body: object][] = [
  ["PATCH", "", { url: "https://elsewhere.example/" }],
  ["PATCH", "", { enabled: true }],
  ["POST", "/rotate-secret", {}],
  ["POST", "/test", {}],
  ["POST", "/replay", { from: "2020-01-01T00:00:00Z" }],
  ["POST", "/deliveries/msg_1/replay", {}],
];

describe("403 to direct the events of a webhook", () => {
  test("of everybody, for its owner who is no admin, who may disable and delete it", async () => {
    const { id } = (await post({ url: hook(), all_owners: true }, admin)).json.data;
    const as = { as: "root" };
    const seen = stage.seen.length;
    for (const [method, more, body] of directing) {
      const answered = await stage.api.request(method, `${path}/${id}${more}`, { body, ...as });
      expect([more, answered.status]).toEqual([more, 403]);
      expect(answered.text).toContain("Only an admin may change a webhook");
    }
    // Whatever the program asks: the database looks as well.
    const { webhooks } = stage.api.deps;
    const user = { role: "user", sub: "root" } as const;
    const change = { url: "https://elsewhere.example/" };
    expect(await webhooks.change(String(id), change, user, null)).toBeNull();
    expect(stage.seen).toHaveLength(seen);
    const off = { body: { enabled: false }, ...as };
    const disabled = await stage.api.request("PATCH", `${path}/${id}`, off);
    expect(disabled).toMatchObject({ status: 200, json: { data: { enabled: false } } });
    expect((await stage.api.request("DELETE", `${path}/${id}`, as)).status).toBe(200);
  });

  test("for a key that may send and not read", async () => {
    const { id } = (await post({ url: hook() })).json.data;
    const made = await stage.api.request<{ key: string }>("POST", "/api/v1/api-keys", {
      body: { name: "sends", scopes: ["send"] },
    });
    const headers = { authorization: `Bearer ${made.json.data.key}` };
    for (const [method, more, body] of directing) {
      const answered = await stage.api.request(method, `${path}/${id}${more}`, { body, headers });
      expect([more, answered.status]).toEqual([more, 403]);
      expect(answered.json).toMatchObject({ code: "forbidden" });
      expect(answered.text).not.toContain(hook());
    }
  });
});

test("404: a name in the path that no database could hold", async () => {
  const { id } = (await post({ url: hook() })).json.data;
  for (const name of ["%00", "a%00b", "x".repeat(300), "nope"]) {
    const { status } = await stage.api.request("POST", `${path}/${id}/deliveries/${name}/replay`);
    expect([name, status]).toEqual([name, 404]);
  }
});

describe("422", () => {
  const cases: [name: string, body: () => object, pointer: string, words: string][] = [
    ["no URL", () => ({}), "/url", "got nothing"],
    ["a tag beyond ASCII", () => ({ url: hook(), tags: ["a", "ä"] }), "/tags/1", 'got "ä"'],
    ["an empty tag", () => ({ url: hook(), tags: [""] }), "/tags/0", "1 to 64 ASCII"],
    ["no event", () => ({ url: hook(), events: [] }), "/events", "got a list of 0"],
    ["a type that is none", () => ({ url: hook(), events: ["email.x"] }), "/events/0", '"email.x"'],
    [
      "a type for operators",
      () => ({ url: hook(), events: ["email.sent", "system.paused"] }),
      "/events/1",
      "only a webhook with all_owners",
    ],
    ["a misspelt field", () => ({ url: hook(), event: [] }), "/event", 'did you mean "events"?'],
    ["null", () => ({ url: hook(), tags: null }), "/tags", "got null"],
    ["a secret too short", () => ({ url: hook(), secret: "whsec_eA==" }), "/secret", "24 to 64"],
  ];
  test.each(cases)("%s is refused by name", async (_name, body, pointer, words) => {
    const before = await stage.api.request("GET", path);
    const { status, json } = await post(body());
    expect([status, json.errors?.[0]?.pointer]).toEqual([422, pointer]);
    expect(json.errors?.[0]?.detail).toContain(words);
    expect((await stage.api.request("GET", path)).json.page).toEqual(before.json.page);
  });

  test("PATCH refuses the same, and a test a type that the webhook never hears of", async () => {
    const { id } = (await post({ url: hook() })).json.data;
    for (const [method, more, body, pointer] of [
      ["PATCH", "", { tags: ["ü"] }, "/tags/0"],
      ["PATCH", "", { events: ["system.*"] }, "/events/0"],
      ["POST", "/test", { type: "system.paused" }, "/type"],
      ["POST", "/test", { type: "email.x" }, "/type"],
    ] as const) {
      const answer = await stage.api.request(method, `${path}/${id}${more}`, { body });
      expect([answer.status, answer.json.errors?.[0]?.pointer]).toEqual([422, pointer]);
    }
  });
});
