import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { missingScope, type Scope, scopes } from "../../auth/principal.ts";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { routesOf } from "../app.ts";

setDefaultTimeout(60_000);

const path = "/api/v1/api-keys";
const unknownId = "0190a000-0000-7000-8000-000000000000";

interface KeyAnswer {
  id: string;
  key?: string;
  prefix: string;
  revoked_at: string | null;
  [field: string]: unknown;
}

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

type Who = { as?: string; role?: "admin"; headers?: Record<string, string> };

function post(body: unknown, who: Who = {}) {
  return api.request<KeyAnswer>("POST", path, { body, ...who });
}

async function makeKey(list: Scope[], who: Who = {}, more: object = {}): Promise<KeyAnswer> {
  const made = await post({ name: "a key", scopes: list, ...more }, who);
  if (made.status !== 201) throw new Error(made.text);
  return made.json.data;
}

const withKey = (key: string | undefined) => ({ headers: { authorization: `Bearer ${key}` } });

function get(target: string, who: Who = {}) {
  return api.request<KeyAnswer[]>("GET", target, who);
}

describe("201", () => {
  test("shows the key once, and what it may do", async () => {
    const expires = "2040-01-01T00:00:00.000Z";
    const made = await makeKey(["send", "read"], {}, { expires_at: expires });
    expect(made).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      owner: "ada",
      name: "a key",
      prefix: made.key?.slice(0, 12) ?? "",
      scopes: ["send", "read"],
      created_at: expect.stringMatching(/Z$/),
      expires_at: expires,
      last_used_at: null,
      revoked_at: null,
      made_by: null,
      key: expect.stringMatching(/^tfm_[0-9A-Za-z]{46}$/),
    });
    const shown = await get(`${path}/${made.id}`);
    const { key: _, ...rest } = made;
    expect(shown.json.data as unknown).toEqual(rest);
    expect((await get(path)).text).not.toContain(made.key ?? "");
  });

  test("a key ends in a year unless it is said otherwise, and the answer says when", async () => {
    const made = await makeKey(["read"]);
    const [from, to] = [made.created_at, made.expires_at].map((text) => new Date(String(text)));
    from?.setUTCFullYear(from.getUTCFullYear() + 1);
    expect(to).toEqual(from as Date);
    expect(await makeKey(["read"], {}, { expires_at: "never" })).toMatchObject({
      expires_at: null,
    });
  });

  test("a key that a key has made names it, and ends with it", async () => {
    const root = { as: "root", role: "admin" } as const;
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    const parent = await makeKey(["admin"], root, { expires_at: soon });
    const made = await post({ name: "child", scopes: ["admin"] }, withKey(parent.key));
    const child = made.json.data as unknown as typeof parent;
    expect(child).toMatchObject({ made_by: parent.id, expires_at: soon });
    expect((await get(path, withKey(child.key))).status).toBe(200);
    await api.request("DELETE", `${path}/${parent.id}`, root);
    const shown = (await get(`${path}/${child.id}`, root)).json.data;
    expect(shown).toMatchObject({ revoked_at: expect.any(String) });
  });

  test("a key that may send and not read learns nothing of an email by changing it", async () => {
    const { key } = await makeKey(["send"], { as: "sue" });
    const body = { recipients: ["canary@example.com"], subject: "canary subject", body: "x" };
    const sent = await api.request<{ id: string }>("POST", "/api/v1/schedule-mail", {
      body: { ...body, scheduled_at: "2040-01-01T00:00:00Z", tags: ["canary"] },
      as: "sue",
    });
    const target = `/api/v1/emails/${sent.json.data.id}`;
    const changes = [
      ["PATCH", target, { scheduled_at: "2040-01-02T00:00:00Z" }],
      ["POST", `${target}/hold`, {}],
      ["POST", `${target}/release`, {}],
      ["POST", `${target}/send-now`, {}],
    ] as const;
    for (const [method, at, change] of changes) {
      const answered = await api.request(method, at, { body: change, ...withKey(key) });
      expect([at, answered.status]).toEqual([at, 200]);
      expect(answered.text).not.toContain("canary");
      expect(Object.keys(answered.json.data as object).sort()).toEqual(
        [..."id status scheduled_at next_attempt_at sent_at created_at version".split(" ")].sort(),
      );
    }
  });

  test("the key acts as its owner, whose emails it sees and nobody else's", async () => {
    const { key } = await makeKey(["send", "read"]);
    const id = await api.schedule({ scheduled_at: "2040-01-01T00:00:00Z" }, withKey(key));
    expect((await get(`/api/v1/status/${id}`, { as: "ada" })).status).toBe(200);
    const foreign = await makeKey(["read"], { as: "bob" });
    expect((await get(`/api/v1/status/${id}`, withKey(foreign.key))).status).toBe(404);
    const admin = await makeKey(["admin"], { as: "root", role: "admin" });
    expect((await get(`/api/v1/status/${id}`, withKey(admin.key))).status).toBe(200);
  });

  test("making, using and revoking it leave no trace of the key in the log", async () => {
    const made = await makeKey(["read"], { as: "olga" });
    await get(path, withKey(made.key));
    await api.request("DELETE", `${path}/${made.id}`, { as: "olga" });
    await get(path, withKey(`${made.key}x`));
    expect(JSON.stringify(api.lines)).not.toContain(made.key?.slice(12) ?? "");
  });

  test("last_used_at says when, to the minute", async () => {
    const made = await makeKey(["read"]);
    const shown = await get(`${path}/${made.id}`, withKey(made.key));
    expect(shown.status).toBe(200);
    const used = async () => {
      const { json } = await api.request<KeyAnswer>("GET", `${path}/${made.id}`);
      return json.data.last_used_at;
    };
    // Nobody waits for the note, so it is asked for until it is there.
    const until = performance.now() + 10_000;
    while ((await used()) === null && performance.now() < until) await Bun.sleep(5);
    expect(await used()).toMatch(/:00\.000Z$/);
  });
});

describe("200", () => {
  test("a list is the owner's own, newest first, in pages", async () => {
    const ids = [];
    for (const name of ["one", "two", "three"]) {
      ids.unshift((await makeKey(["read"], { as: "pia" }, { name })).id);
    }
    await makeKey(["read"], { as: "pit" });
    const first = await get(`${path}?limit=2`, { as: "pia" });
    expect(first.json.data.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(first.json.page).toMatchObject({ limit: 2, offset: 0, total: 3 });
    const cursor = String(first.json.page?.next_cursor);
    const second = await get(`${path}?limit=2&cursor=${cursor}`, { as: "pia" });
    expect(second.json.data.map(({ id }) => id)).toEqual(ids.slice(2));
    expect(second.json.page).toEqual({ limit: 2, next_cursor: null });
    const all = await get(`${path}?limit=100`, { as: "root", role: "admin" });
    const owners = new Set(all.json.data.map(({ owner }) => owner));
    expect([owners.has("pia"), owners.has("pit")]).toEqual([true, true]);
  });

  test("revoking ends it, says so in the list, and again is no change", async () => {
    const made = await makeKey(["read"]);
    const revoke = () => api.request<KeyAnswer>("DELETE", `${path}/${made.id}`);
    const first = await revoke();
    expect(first).toMatchObject({ status: 200, json: { data: { id: made.id } } });
    expect(first.json.data.revoked_at).toMatch(/Z$/);
    expect((await revoke()).json.data).toEqual(first.json.data);
    expect((await get(path, withKey(made.key))).status).toBe(401);
  });

  test("an admin revokes anybody's", async () => {
    const made = await makeKey(["read"]);
    const who = { as: "root", role: "admin" } as const;
    expect((await api.request("DELETE", `${path}/${made.id}`, who)).status).toBe(200);
  });
});

describe("401", () => {
  test("a key that is revoked after it was used, at once in the process that was asked", async () => {
    const made = await makeKey(["read"]);
    expect((await get(path, withKey(made.key))).status).toBe(200);
    await api.request("DELETE", `${path}/${made.id}`);
    expect((await get(path, withKey(made.key))).status).toBe(401);
  });

  test("a key that has expired", async () => {
    const soon = new Date(Date.now() + 400).toISOString();
    const made = await makeKey(["read"], {}, { expires_at: soon });
    const until = Date.now() + 10_000;
    while ((await get(path, withKey(made.key))).status !== 401) {
      expect(Date.now()).toBeLessThan(until);
      await Bun.sleep(50);
    }
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(soon));
  });
});

describe("403", () => {
  test("a key without the scope that the route asks for, on every route, by its name", async () => {
    for (const scope of scopes) {
      const who = { as: "kim", ...(scope === "admin" ? { role: "admin" as const } : {}) };
      const { key } = await makeKey([scope], who);
      const principal = {
        ownerId: "kim",
        isAdmin: scope === "admin",
        credential: "api_key" as const,
        key: { id: "k", scopes: [scope], expiresAt: null },
      };
      for (const route of routesOf(api.deps)) {
        if (route.auth !== "bearer") continue;
        const target = route.path.replace(/:k?id/, unknownId).replace(":n", "0");
        const answer = await api.request(route.method, target, withKey(key));
        const missing = missingScope(principal, route.needs);
        // Resend's routes say it as Resend does: 401 `restricted_api_key`.
        const isResend = !route.path.startsWith("/api/") && route.path !== "/metrics";
        const isRefused = isResend
          ? answer.status === 401 &&
            (answer.json as { name?: string }).name === "restricted_api_key"
          : answer.status === 403;
        expect({ scope, route: route.path, method: route.method, isRefused }).toEqual({
          scope,
          route: route.path,
          method: route.method,
          isRefused: missing !== null,
        });
        if (missing === null || isResend) continue;
        expect(answer.json.code).toBe("forbidden");
        expect(answer.headers.get("www-authenticate")).toEndWith(
          `error="insufficient_scope", scope="${missing}"`,
        );
      }
    }
  });

  test("nothing that changes something is open to a key with read alone", () => {
    const open = routesOf(api.deps).filter(
      (route) => route.auth === "bearer" && route.method !== "GET" && route.needs === "read",
    );
    // Stores nothing: it signs a token for a minute's reading of what the key may read anyway.
    expect(open.map(({ path: route }) => route)).toEqual(["/api/v1/events/token"]);
  });

  test("a user makes no admin's key, nor does an admin's key one that outlives it", async () => {
    const asked = { name: "x", scopes: ["admin"] };
    expect(await post(asked)).toMatchObject({ status: 403, json: { code: "forbidden" } });
    const root = { as: "root", role: "admin" } as const;
    const end = { expires_at: "2040-01-01T00:00:00Z" };
    const { key } = await makeKey(["admin"], root, end);
    const later = { expires_at: "2040-01-01T00:00:01Z" };
    const endless = { expires_at: "never" };
    expect((await post({ ...asked, ...endless }, withKey(key))).status).toBe(403);
    expect((await post({ ...asked, ...later }, withKey(key))).status).toBe(403);
    expect((await post({ ...asked, ...end }, withKey(key))).status).toBe(201);
  });

  test("a user's key makes and revokes none, not even with all its scopes", async () => {
    const made = await makeKey(["send", "read"]);
    const asked = { name: "x", scopes: ["read"] };
    expect((await post(asked, withKey(made.key))).status).toBe(403);
    const revoke = await api.request("DELETE", `${path}/${made.id}`, withKey(made.key));
    expect(revoke.status).toBe(403);
  });
});

describe("404", () => {
  test("an id that is unknown, malformed or somebody else's", async () => {
    const { id } = await makeKey(["read"], { as: "bob" });
    for (const one of [unknownId, "nonsense", "%00", id]) {
      for (const method of ["GET", "DELETE"]) {
        const answer = await api.request(method, `${path}/${one}`);
        expect(answer).toMatchObject({ status: 404, json: { code: "not_found" } });
      }
    }
  });
});

describe("409", () => {
  test("the hundred and first key that counts; a revoked one counts no more", async () => {
    const who = { as: "hoarder" };
    let last = "";
    for (let number = 0; number < 100; number++) last = (await makeKey(["read"], who)).id;
    const asked = { name: "x", scopes: ["read"] };
    expect(await post(asked, who)).toMatchObject({ status: 409, json: { code: "too_many_keys" } });
    await api.request("DELETE", `${path}/${last}`, who);
    expect((await post(asked, who)).status).toBe(201);
  });
});

describe("422", () => {
  test.each<[object, string]>([
    [{}, "/name"],
    [{ name: "" }, "/name"],
    [{ name: "a".repeat(101) }, "/name"],
    [{ name: "a\nb" }, "/name"],
    [{ name: "a\0b" }, "/name"],
    [{ name: "a\u2028b" }, "/name"],
    [{ name: 7 }, "/name"],
    [{ name: "x" }, "/scopes"],
    [{ name: "x", scopes: [] }, "/scopes"],
    [{ name: "x", scopes: "send" }, "/scopes"],
    [{ name: "x", scopes: ["sent"] }, "/scopes/0"],
    [{ name: "x", scopes: ["send", "send"] }, "/scopes"],
    [{ name: "x", scopes: ["send"], expires_at: "2001-01-01T00:00:00Z" }, "/expires_at"],
    [{ name: "x", scopes: ["send"], expires_at: "tomorrow" }, "/expires_at"],
    [{ name: "x", scopes: ["send"], owner: "bob" }, "/owner"],
  ])("%j names %s", async (body, pointer) => {
    const answer = await post(body);
    expect(answer.status).toBe(422);
    expect(answer.json.errors?.map((fault) => fault.pointer)).toContain(pointer);
  });
});

describe("Idempotency-Key", () => {
  const headers = { "idempotency-key": "deploy-7" };

  test("the same key and body make one key, and answer it again", async () => {
    const who = { as: "twice", headers };
    const asked = { name: "x", scopes: ["read"] };
    const first = await post(asked, who);
    const again = await post(asked, who);
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.json.data).toEqual(first.json.data);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect((await get(path, { as: "twice" })).json.data).toHaveLength(1);
    const reused = await post({ ...asked, name: "y" }, who);
    expect(reused).toMatchObject({ status: 422, json: { code: "idempotency_key_reused" } });
  });

  test("an answer that is kept is for those alone who may make such a key", async () => {
    const asked = { name: "x", scopes: ["admin"] };
    const admin = { as: "olga", role: "admin", headers } as const;
    expect((await post(asked, admin)).status).toBe(201);
    expect((await post(asked, { as: "olga", headers })).status).toBe(403);
  });
});

describe("?owner=", () => {
  test("narrows what an admin sees; a user may name itself alone", async () => {
    await makeKey(["read"], { as: "narrow" });
    await makeKey(["read"], { as: "another" });
    const root = { as: "root", role: "admin" } as const;
    const { json } = await get(`${path}?owner=narrow`, root);
    expect([json.data.map(({ owner }) => owner), json.page?.total]).toEqual([["narrow"], 1]);
    expect((await get(`${path}?owner=narrow`, { as: "narrow" })).json.data).toHaveLength(1);
    expect((await get(`${path}?owner=narrow`, { as: "another" })).status).toBe(403);
    expect((await get(`${path}?owner=`, root)).status).toBe(422);
  });
});

describe("signing keys", () => {
  test("are dropped by an admin, once and for good, and listed", async () => {
    const root = { as: "root", role: "admin" } as const;
    const kid = encodeURIComponent("a/kid of theirs");
    const target = `/api/v1/signing-keys/${kid}`;
    expect((await api.request("DELETE", target)).status).toBe(403);
    for (let time = 0; time < 2; time++) {
      expect(await api.request("DELETE", target, root)).toMatchObject({
        status: 200,
        json: { data: { kid: "a/kid of theirs", status: "dropped" } },
      });
    }
    const { json } = await api.request("GET", "/api/v1/signing-keys", root);
    expect(json.data as unknown).toContainEqual({
      kid: "a/kid of theirs",
      algorithm: null,
      dropped_at: expect.stringMatching(/Z$/),
    });
  });
});
