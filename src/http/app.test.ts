import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { clientFiles } from "../../scripts/client-types.ts";
import { createApiKey } from "../auth/api-key.ts";
import { AppError } from "../errors.ts";
import { mailBody, startTestApi, type TestApi } from "../testing/product/test-api.ts";
import { routesOf } from "./app.ts";
import { operations } from "./openapi/operations.ts";
import { isResendPath } from "./resend/failure.ts";

setDefaultTimeout(60_000);

const schedulePath = "/api/v1/schedule-mail";
const id = "0190a000-0000-7000-8000-000000000000";
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const concrete = (path: string) => path.replace(":id", id).replace(":n", "0").replace(":kid", "k");

test("every route is described in openapi/operations.ts", () => {
  const described = operations.map(({ method, path }) => `${method} ${path}`);
  const routes = routesOf(api.deps).map(({ method, path }) => `${method} ${path}`);
  expect(routes.filter((route) => !described.includes(route))).toEqual([]);
  expect(described.filter((route) => !routes.includes(route))).toEqual([]);
});

test("src/client has the types of now: bun scripts/client-types.ts --write", async () => {
  for (const [name, text] of Object.entries(await clientFiles())) {
    const stored = await Bun.file(`${import.meta.dirname}/../client/${name}`).text();
    // Not the texts themselves: their difference would be thousands of lines.
    expect([name, stored === text]).toEqual([name, true]);
  }
});

describe("every answer", () => {
  test("carries the caller's request id, or a new one when that is not fit", async () => {
    for (const path of ["/health", "/nowhere", "/api/v1/queue-stats"]) {
      const given = await api.request("GET", path, { headers: { "x-request-id": "abc-1" } });
      expect(given.headers.get("x-request-id")).toBe("abc-1");
      for (const bad of ["a b", "x".repeat(129), ""]) {
        const fresh = await api.request("GET", path, { headers: { "x-request-id": bad } });
        expect(fresh.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
      }
    }
  });

  test("is not kept, not sniffed, not framed", async () => {
    for (const path of ["/health", "/nowhere", "/api/v1/queue-stats"]) {
      const { headers } = await api.request("GET", path);
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("x-frame-options")).toBe("DENY");
    }
  });
});

describe("a failure", () => {
  test("is problem+json with exactly the fields of the contract", async () => {
    const answer = await api.request("GET", `/api/v1/status/${id}`, {
      headers: { "x-request-id": "r1" },
    });
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.json as unknown).toEqual({
      success: false,
      type: "/docs/problems/not_found",
      title: "Not found",
      status: 404,
      detail: "There is no email with this id.",
      instance: `/api/v1/status/${id}`,
      code: "not_found",
      request_id: "r1",
    });
  });

  test("of our own says nothing of what happened; the log does", async () => {
    const broken = await startTestApi({
      countWorkers: async () => {
        throw new Error("the secret inside");
      },
    });
    try {
      const answer = await broken.request("GET", "/api/v1/queue-stats");
      expect(answer).toMatchObject({ status: 500, json: { code: "internal_error" } });
      expect(answer.text).not.toContain("secret");
      const line = broken.lines.find(({ level }) => level === "error");
      expect(line).toMatchObject({ event: "request", status: 500, path: "/api/v1/queue-stats" });
      expect(JSON.stringify(line)).toContain("the secret inside");
    } finally {
      await broken.close();
    }
  });
});

describe("401", () => {
  test("on every route but the probes, without a credential and with a bad one", async () => {
    for (const { method, path, auth } of routesOf(api.deps)) {
      const none = await api.request(method, concrete(path), { as: null });
      expect([path, none.status]).toEqual([path, auth === "none" ? 200 : 401]);
      if (auth === "none") continue;
      // RFC 6750: who shows nothing is told no error.
      expect(none.headers.get("www-authenticate")).toBe('Bearer realm="taskforce-mailer"');
      const headers = { authorization: "Bearer not.a.token" };
      const bad = await api.request(method, concrete(path), { headers });
      expect(bad.status).toBe(401);
      expect(bad.headers.get("www-authenticate")).toEndWith('error="invalid_token"');
    }
  });

  test.each([
    [undefined, "missing"],
    ["Basic YTpi", "malformed"],
    ["Bearer not.a.token", "malformed"],
    [`Bearer ${createApiKey().key}`, "api_key_unknown"],
    ["Bearer tfm_typed", "api_key_malformed"],
  ])("the log says of %p why, and nothing of the credential", async (authorization, reason) => {
    const { lines } = api;
    const from = lines.length;
    const headers = authorization === undefined ? {} : { authorization };
    await api.request("GET", "/api/v1/queue-stats", { as: null, headers });
    const line = lines.slice(from).find(({ status }) => status === 401);
    expect(line).toMatchObject({ code: "unauthorized", reason });
    expect(JSON.stringify(line)).not.toContain(authorization?.split(" ")[1] ?? "Bearer");
  });
});

describe("404 and 405", () => {
  test("a path nobody serves", async () => {
    for (const path of ["/api", "/api/v1", "/api/v1/nothing", "/api/v1/status", "/x%ff"]) {
      expect(await api.request("GET", path)).toMatchObject({
        status: 404,
        json: { code: "not_found" },
      });
    }
  });

  test("a method the path does not take, with those it does", async () => {
    const answer = await api.request("PUT", schedulePath, { body: {} });
    expect(answer).toMatchObject({ status: 405, json: { code: "method_not_allowed" } });
    expect(answer.headers.get("allow")).toBe("POST");
    const other = await api.request("DELETE", `/api/v1/status/${id}`);
    expect(other.headers.get("allow")).toBe("GET, HEAD");
    expect((await api.request("OPTIONS", schedulePath)).status).toBe(405);
    expect((await api.request("GET", "/api/v1/schedule-mail/batch")).status).toBe(405);
  });

  test("HEAD is GET without a body", async () => {
    const answer = await api.request("HEAD", "/api/v1/queue-stats");
    expect([answer.status, answer.text]).toEqual([200, ""]);
  });
});

describe("422", () => {
  test("a query parameter no route knows", async () => {
    for (const { method, path, query } of routesOf(api.deps)) {
      const target = `${concrete(path)}?surely_unknown=1`;
      const answer = await api.request(method, target, { role: "admin" });
      const named = isResendPath(path) ? { name: "validation_error" } : { code: "invalid_query" };
      if (query) expect(answer).toMatchObject({ status: 422, json: named });
    }
  });
});

describe("503", () => {
  test("while stopping, new POSTs are turned away; reading and cancelling go on", async () => {
    const stopping = await startTestApi({ isDraining: () => true });
    try {
      for (const { method, path } of routesOf(stopping.deps)) {
        if (method !== "POST") continue;
        const answer = await stopping.request(method, concrete(path), { body: {} });
        const name = isResendPath(path) ? { name: "application_error" } : { code: "shutting_down" };
        expect(answer).toMatchObject({ status: 503, json: name });
        expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
      }
      expect((await stopping.request("GET", "/api/v1/queue-stats")).status).toBe(200);
      expect((await stopping.request("DELETE", `/api/v1/cancel/${id}`)).status).toBe(404);
      expect((await stopping.request("GET", "/health/live")).status).toBe(200);
      const ready = await stopping.request("GET", "/health/ready");
      expect([ready.status, ready.headers.get("retry-after")]).toEqual([503, "5"]);
    } finally {
      await stopping.close();
    }
  });

  test("with the database gone, every route says so within five seconds", async () => {
    const gone = await startTestApi();
    await gone.close();
    const startedAt = performance.now();
    const resendBody = {
      from: "a@example.org",
      to: "bob@example.com",
      subject: "Hello",
      text: "A few words.",
    };
    const bodies: Record<string, unknown> = {
      "/api/v1/schedule-mail/batch": { emails: [mailBody()] },
      "/api/v1/test-email": { to: "bob@example.com" },
      "/api/v1/dead-letters/:id/replay": {},
      "/api/v1/emails/:id/hold": {},
      "/api/v1/pause": { reason: "a flood" },
      "/api/v1/resume": {},
      "/api/v1/erase": { recipient: "bob@example.com" },
      "/api/v1/sessions/end": { all: true },
      "/api/v1/tokens/end": { sub: "ada" },
      "/api/v1/emails/:id/release": {},
      "/api/v1/emails/:id/send-now": {},
      "/api/v1/dead-letters/replay": { filter: { all: true } },
      "/api/v1/cancel": { tag: "news" },
      "/emails": resendBody,
      "/emails/batch": [resendBody],
      "/emails/:id": { scheduled_at: "2035-01-01T00:00:00Z" },
      "/api/v1/hold": { tag: "news" },
      "/api/v1/release": { tag: "news" },
      "/api/v1/reschedule": { tag: "news", shift_seconds: 60 },
      "/api/v1/dead-letters/dismiss": { filter: { all: true } },
      "/api/v1/dead-letters/:id/dismiss": {},
      "/api/v1/api-keys": { name: "a key", scopes: ["read"] },
      "/api/v1/webhooks": { url: "https://example.com/hook" },
      "/api/v1/webhooks/:id": { enabled: false },
      "/api/v1/webhooks/:id/rotate-secret": {},
      "/api/v1/webhooks/:id/test": {},
      "/api/v1/webhooks/:id/replay": { from: "2026-01-01T00:00:00Z" },
    };
    // These tell of what is broken, or ask for nothing, and so answer all the same.
    const tellers = ["/api/v1/doctor", "/api/v1/reconcile", "/api/v1/events/token"];
    tellers.push("/api/v1/backup");
    // Of the configuration alone.
    tellers.push("/domains");
    for (const { method, path, auth } of routesOf(gone.deps)) {
      if (auth !== "bearer" || tellers.includes(path)) continue;
      const body = bodies[path] ?? mailBody();
      const asked = method === "POST" || method === "PATCH" ? { body } : {};
      const answer = await gone.request(method, concrete(path), { ...asked, role: "admin" });
      const named = answer.json as { code?: string; name?: string };
      const name = isResendPath(path) ? "application_error" : "database_unavailable";
      expect([path, answer.status, named.code ?? named.name]).toEqual([path, 503, name]);
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    }
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

describe("the log", () => {
  test("has one line for each request: pattern and status, never content or query", async () => {
    const body = mailBody({ subject: "canary subject", recipients: ["canary@example.com"] });
    await api.request("POST", schedulePath, { body, headers: { "x-request-id": "log-1" } });
    await api.request("GET", "/api/v1/scheduled-emails?recipient=canary@example.com");
    await api.request("GET", "/api/v1/status/canary@example.com");
    await api.request("POST", schedulePath, { body: { ...body, cc: ["canary"] } });
    const line = api.lines.find(({ request_id }) => request_id === "log-1");
    expect(line).toMatchObject({
      event: "request",
      method: "POST",
      path: schedulePath,
      status: 201,
      owner: "ada",
      email_id: expect.any(String),
      duration_ms: expect.any(Number),
    });
    expect(JSON.stringify(api.lines)).not.toContain("canary");
  });

  test("a failure's line names its code", async () => {
    await api.request("GET", `/api/v1/status/${id}`, { headers: { "x-request-id": "log-2" } });
    const line = api.lines.find(({ request_id }) => request_id === "log-2");
    expect(line).toMatchObject({ status: 404, code: "not_found", level: "info" });
  });
});

describe("health", () => {
  test.each([
    [{ status: "ok", accepting: true }, 200, 200],
    [{ status: "degraded", accepting: true }, 200, 200],
    [{ status: "down", accepting: false }, 503, 503],
    [{ status: "degraded", accepting: false }, 200, 503],
  ] as const)("%j", async (health, whole, ready) => {
    const components = { database: { status: health.status, driver: "pglite" } };
    const other = await startTestApi({ health: async () => ({ ...health, components }) });
    try {
      const answer = await other.request("GET", "/health", { as: null });
      expect(answer.status).toBe(whole);
      expect(answer.json as unknown).toEqual({ status: health.status, components });
      expect((await other.request("GET", "/health/ready", { as: null })).status).toBe(ready);
      expect((await other.request("GET", "/health/live", { as: null })).status).toBe(200);
    } finally {
      await other.close();
    }
  });

  test("a part that throws is down, not an error", async () => {
    const broken = {
      health: () => Promise.reject(new AppError("overloaded", { publicDetail: "" })),
    };
    const other = await startTestApi(broken);
    try {
      expect((await other.request("GET", "/health")).status).toBe(503);
    } finally {
      await other.close();
    }
  });
});

test("a mounted room serves its own pages under the same headers", async () => {
  const other = await startTestApi({ mounts: [(app) => app.get("/", (c) => c.html("<p>hi</p>"))] });
  try {
    const answer = await other.request("GET", "/", { as: null });
    expect([answer.status, answer.text]).toEqual([200, "<p>hi</p>"]);
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("content-security-policy")).toBeNull();
  } finally {
    await other.close();
  }
});
