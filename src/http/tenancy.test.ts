import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createApiKey } from "../auth/api-key.ts";
import type { Right } from "../auth/principal.ts";
import { mailBody, noUserReply, startTestApi, type TestApi } from "../testing/product/test-api.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { walls } from "../testing/walls.ts";
import { type Route, routesOf } from "./app.ts";
import { isResendPath } from "./resend/failure.ts";

setDefaultTimeout(120_000);

type Thing = "pending" | "held" | "failed" | "key" | "webhook";

interface Row {
  needs: Right;
  /** Of whom the path names something; absent: the path names nobody's. */
  of?: Thing;
  body?: (thing: { canary: string }) => unknown;
  query?: (thing: { canary: string }) => string;
  /** What its owner is answered, and an admin who asks after it. */
  own: number;
  /** Whether the answer is about all the caller's own rows, and so must tell nothing of others'. */
  isOverview?: boolean;
}

const admin: Row = { needs: "admin", own: 403 };
const byTag = ({ canary }: { canary: string }) => `?tag=${canary}`;

const resendBody = {
  from: "shop@example.org",
  to: "bob@example.com",
  subject: "Hello",
  text: "A few words.",
};
const dryRun = ({ canary }: { canary: string }) => ({ tag: canary, dry_run: true });

/** Every route that takes a credential; one without a line fails. */
const rows: Record<string, Row> = {
  "POST /api/v1/schedule-mail": { needs: "send", body: () => mailBody(), own: 201 },
  "POST /api/v1/schedule-mail/batch": {
    needs: "send",
    body: () => ({ emails: [mailBody()], mode: "strict" }),
    own: 201,
  },
  "GET /api/v1/status/:id": { needs: "read", of: "pending", own: 200 },
  "GET /api/v1/emails/:id": { needs: "read", of: "pending", own: 200 },
  "PATCH /api/v1/emails/:id": {
    needs: "send",
    of: "pending",
    body: () => ({ subject: "changed" }),
    own: 200,
  },
  "POST /api/v1/emails/:id/hold": { needs: "send", of: "pending", own: 200 },
  "POST /api/v1/emails/:id/release": { needs: "send", of: "held", own: 200 },
  "POST /api/v1/emails/:id/send-now": { needs: "send", of: "pending", own: 200 },
  "GET /api/v1/emails/:id/raw": { needs: "read", of: "pending", own: 200 },
  "GET /api/v1/emails/:id/attachments/:n": { needs: "read", of: "pending", own: 200 },
  "GET /api/v1/emails/:id/events": { needs: "read", of: "pending", own: 200 },
  // Nothing is sealed here; list-events.test.ts has events.
  "GET /api/v1/events": { needs: "read", own: 200 },
  "POST /api/v1/events/token": { needs: "read", own: 201 },
  "DELETE /api/v1/emails/:id/content": { needs: "send", of: "failed", own: 200 },
  "DELETE /api/v1/cancel/:id": { needs: "send", of: "pending", own: 200 },
  "DELETE /api/v1/emails/:id": { needs: "send", of: "pending", own: 200 },
  "POST /api/v1/cancel": {
    needs: "send",
    body: ({ canary }) => ({ tag: canary, dry_run: true }),
    own: 200,
    isOverview: true,
  },
  "POST /api/v1/hold": { needs: "send", body: dryRun, own: 200, isOverview: true },
  "POST /api/v1/release": { needs: "send", body: dryRun, own: 200, isOverview: true },
  "POST /api/v1/reschedule": {
    needs: "send",
    body: ({ canary }) => ({ tag: canary, dry_run: true, shift_seconds: 60 }),
    own: 200,
    isOverview: true,
  },
  "POST /api/v1/dead-letters/dismiss": {
    needs: "send",
    body: ({ canary }) => ({ filter: { tag: canary }, dry_run: true }),
    own: 200,
    isOverview: true,
  },
  "POST /api/v1/dead-letters/:id/dismiss": { needs: "send", of: "failed", own: 200 },
  "GET /api/v1/owners": admin,
  "GET /api/v1/scheduled-emails": { needs: "read", query: byTag, own: 200, isOverview: true },
  "GET /api/v1/dead-letters": { needs: "read", query: byTag, own: 200, isOverview: true },
  "GET /api/v1/dead-letters/groups": { needs: "read", own: 200, isOverview: true },
  "POST /api/v1/dead-letters/replay": {
    needs: "send",
    body: ({ canary }) => ({ filter: { tag: canary }, dry_run: true }),
    own: 202,
    isOverview: true,
  },
  "POST /api/v1/dead-letters/:id/replay": { needs: "send", of: "failed", own: 200 },
  // Nobody works here, so what is sent is refused before it is waited for.
  "POST /api/v1/test-email": { needs: "send", body: () => ({ to: 7 }), own: 422 },
  "GET /api/v1/queue-stats": { needs: "any", own: 200, isOverview: true },
  // Nothing is sealed here; list-audit.test.ts has entries.
  "GET /api/v1/audit": { needs: "read", own: 200 },
  "GET /api/v1/audit/verify": { needs: "read", own: 200 },
  "GET /api/v1/audit/checkpoint": { needs: "read", own: 200 },
  "GET /api/v1/audit/checkpoints": admin,
  "POST /api/v1/api-keys": {
    needs: "keys",
    body: () => ({ name: "one more", scopes: ["read"] }),
    own: 201,
  },
  "GET /api/v1/api-keys": { needs: "read", own: 200, isOverview: true },
  "GET /api/v1/api-keys/:id": { needs: "read", of: "key", own: 200 },
  "DELETE /api/v1/api-keys/:id": { needs: "keys", of: "key", own: 200 },
  "POST /emails": { needs: "send", body: () => resendBody, own: 200 },
  "POST /emails/batch": { needs: "send", body: () => [resendBody], own: 200 },
  "GET /emails": { needs: "read", own: 200 },
  "GET /emails/:id": { needs: "read", of: "pending", own: 200 },
  "PATCH /emails/:id": {
    needs: "send",
    of: "pending",
    body: () => ({ scheduled_at: "2035-01-01T00:00:00Z" }),
    own: 200,
  },
  "POST /emails/:id/cancel": { needs: "send", of: "pending", own: 200 },
  "GET /domains": { needs: "read", own: 200 },
  "POST /api/v1/webhooks": {
    needs: "send_and_read",
    body: () => ({ url: "https://example.com/hook" }),
    own: 201,
  },
  "GET /api/v1/webhooks": { needs: "read", own: 200, isOverview: true },
  "GET /api/v1/webhooks/:id": { needs: "read", of: "webhook", own: 200 },
  "PATCH /api/v1/webhooks/:id": {
    needs: "send_and_read",
    of: "webhook",
    body: () => ({ description: "changed" }),
    own: 200,
  },
  "DELETE /api/v1/webhooks/:id": { needs: "send", of: "webhook", own: 200 },
  "POST /api/v1/webhooks/:id/rotate-secret": { needs: "send_and_read", of: "webhook", own: 200 },
  "POST /api/v1/webhooks/:id/test": { needs: "send_and_read", of: "webhook", own: 200 },
  "POST /api/v1/webhooks/:id/replay": {
    needs: "send_and_read",
    of: "webhook",
    body: () => ({ from: "2026-01-01T00:00:00Z" }),
    own: 202,
  },
  "GET /api/v1/webhooks/:id/deliveries": { needs: "read", of: "webhook", own: 200 },
  // Nothing was delivered here; deliverer.test.ts replays what was.
  "POST /api/v1/webhooks/:id/deliveries/:delivery/replay": {
    needs: "send_and_read",
    of: "webhook",
    own: 404,
  },
  "GET /api/v1/signing-keys": admin,
  "DELETE /api/v1/signing-keys/:kid": admin,
  "GET /api/v1/doctor": admin,
  "POST /api/v1/erase": {
    needs: "send",
    body: () => ({ recipient: "nobody@example.test" }),
    own: 200,
  },
  "POST /api/v1/reconcile": admin,
  "POST /api/v1/backup": admin,
  "POST /api/v1/pause": { ...admin, body: () => ({ owner: "nobody", reason: "a test" }) },
  "POST /api/v1/sessions/end": { ...admin, body: () => ({ owner: "nobody" }) },
  "POST /api/v1/tokens/end": { ...admin, body: () => ({ sub: "nobody" }) },
  "POST /api/v1/resume": { ...admin, body: () => ({ owner: "nobody" }) },
};
/** No credential of a caller: what watches the service may ask these. */
const open = [
  ...["GET /health", "GET /health/live", "GET /health/ready", "GET /metrics"],
  "GET /openapi.json",
];

const nameOf = ({ method, path }: Pick<Route, "method" | "path">) => `${method} ${path}`;
const unknown = "0190a000-0000-7000-8000-000000000000";

describe.each(Object.entries(walls))("what is ada's is hers alone %s", (_, { down }) => {
  let api: TestApi;
  /** A word in every text of ada's, and in no other. */
  const canary = "canary-of-ada";
  /** What the overviews say while there is nothing. */
  const empty: Record<string, string> = {};
  beforeAll(async () => {
    api = await startTestApi();
    const sql = await directSql(api.database);
    for (const statement of down) await sql.query(statement);
    await sql.close();
    for (const [name, { isOverview }] of Object.entries(rows)) {
      if (isOverview) empty[name] = withoutNoise((await ask(name, "", "dora")).json.data);
    }
    for (const thing of ["pending", "held", "failed", "key", "webhook"] as const) await make(thing);
  });
  afterAll(() => api?.close());

  /** Something new of ada's; its id. */
  async function make(thing: Thing): Promise<string> {
    if (thing === "key") {
      const body = { name: canary, scopes: ["send", "read"] };
      return (await api.request<{ id: string }>("POST", "/api/v1/api-keys", { body })).json.data.id;
    }
    if (thing === "webhook") {
      const body = { url: "http://127.0.0.1:9/", description: canary };
      return (await api.request<{ id: string }>("POST", "/api/v1/webhooks", { body })).json.data.id;
    }
    const attachment = { filename: `${canary}.txt`, content: "YWRh", contentType: "text/plain" };
    const id = await api.schedule({
      subject: canary,
      tags: [canary],
      metadata: { canary },
      attachments: [attachment],
    });
    if (thing === "failed") await api.deliver(id, noUserReply);
    if (thing === "held") await api.request("POST", `/api/v1/emails/${id}/hold`);
    return id;
  }

  async function ask(name: string, id: string, as: string | null, role?: "admin") {
    const [method = "", path = ""] = name.split(" ");
    const { body, query } = rows[name] ?? {};
    const target = path
      .replace(":id", id)
      .replace(":n", "0")
      .replace(":kid", "kid")
      .replace(":delivery", "msg_none");
    const request = { as, ...(role && { role }), ...(body && { body: body({ canary }) }) };
    const answer = await api.request(method, `${target}${query?.({ canary }) ?? ""}`, request);
    return { status: answer.status, text: answer.text, json: answer.json };
  }

  /** How ada sees it, its timeline included. */
  async function look(thing: Thing, id: string): Promise<string> {
    if (thing === "webhook") return (await api.request("GET", `/api/v1/webhooks/${id}`)).text;
    const path = thing === "key" ? "/api/v1/api-keys" : "/api/v1/emails";
    const events = thing === "key" ? "" : (await api.request("GET", `${path}/${id}/events`)).text;
    return (await api.request("GET", `${path}/${id}`)).text + events;
  }

  test("every route has a line, which names the right that the route asks for", () => {
    const asked = routesOf(api.deps).map((route) => [
      nameOf(route),
      route.auth === "bearer" ? route.needs : "open",
    ]);
    const decided = Object.entries(rows).map(([name, { needs }]) => [name, needs]);
    const all = [...decided, ...open.map((name) => [name, "open"])];
    expect(asked.toSorted()).toEqual(all.toSorted());
  });

  test.each(Object.entries(rows).filter(([, row]) => row.of !== undefined))(
    "%s: hers, somebody else's, unknown, malformed",
    async (name, { of: thing = "pending", own }) => {
      const id = await make(thing);
      const before = await look(thing, id);
      const others = await ask(name, id, "bob");
      const { code, name: resendName } = others.json as { code?: string; name?: string };
      expect([name, others.status, code ?? resendName]).toEqual([name, 404, "not_found"]);
      expect(others.text).not.toContain(canary);
      expect((await ask(name, id, null)).status).toBe(401);
      expect(await look(thing, id)).toBe(before);

      // Nobody can tell somebody else's from one that never was.
      const never = await ask(name, unknown, "bob");
      expect([never.status, never.json.detail]).toEqual([404, others.json.detail]);
      for (const malformed of [
        "1",
        `${id}x`,
        "..%2f..%2fhealth",
        "%00",
        "%F0%9F%92%A9",
        "' or 1=1 --",
      ]) {
        expect((await ask(name, malformed, "ada")).status).toBe(404);
      }
      expect([name, (await ask(name, id, "ada")).status]).toEqual([name, own]);
      const admins = await ask(name, await make(thing), "root", "admin");
      expect([name, admins.status]).toEqual([name, own]);
    },
  );

  test.each(Object.entries(rows).filter(([, row]) => row.of === undefined))(
    "%s: by her, by somebody else, by an admin, by nobody",
    async (name, { needs, own, isOverview }) => {
      expect((await ask(name, "", null)).status).toBe(401);
      const others = await ask(name, "", "bob");
      expect([name, others.status]).toEqual([name, own]);
      expect(others.text).not.toContain(canary);
      const hers = await ask(name, "", "ada");
      expect([name, hers.status]).toEqual([name, own]);
      const admins = await ask(name, "", "root", "admin");
      expect([name, admins.status]).toEqual([name, needs === "admin" ? 200 : own]);
      if (!isOverview) return;
      const strangers = withoutNoise((await ask(name, "", "dora")).json.data);
      expect(strangers).toBe(empty[name] ?? "");
      expect(withoutNoise(hers.json.data)).not.toBe(strangers);
      expect(withoutNoise(admins.json.data)).not.toBe(strangers);
    },
  );

  test.each([["read"], ["send"], ["read", "send"]])(
    "an API key of %j does that and no more",
    async (...scopes) => {
      const { key, prefix, hash } = createApiKey();
      await api.deps.apiKeys.create(
        {
          id: Bun.randomUUIDv7(),
          name: scopes.join(),
          scopes: scopes as ("read" | "send")[],
          prefix,
          hash,
          expiresAt: null,
          madeBy: null,
          origin: null,
        },
        { role: "user", sub: "carl" },
      );
      const headers = { authorization: `Bearer ${key}` };
      for (const [name, { needs }] of Object.entries(rows)) {
        const [method = "", path = ""] = name.split(" ");
        const target = path
          .replace(":id", unknown)
          .replace(":n", "0")
          .replace(":kid", "kid")
          .replace(":delivery", "msg_none");
        const { status } = await api.request(method, target, { headers });
        const refused = isResendPath(path) ? 401 : 403;
        expect([name, status === refused]).toEqual([
          name,
          needs !== "any" && !needs.split("_and_").every((scope) => scopes.includes(scope)),
        ]);
      }
    },
  );

  test("a list that is cut, sorted and searched in every way shows nobody else's", async () => {
    const searches = [
      ...["limit=100", "limit=100&offset=0", "status=failed", "status=deferred", "status=pending"],
      ...[
        `metadata.canary=${canary}`,
        "recipient=bob@example.com",
        "scheduled_after=2000-01-01T00:00:00Z",
      ],
    ];
    for (const search of searches) {
      const { status, json, text } = await api.request(
        "GET",
        `/api/v1/scheduled-emails?${search}`,
        { as: "carl" },
      );
      expect([search, status, json.data]).toEqual([search, 200, [] as unknown as typeof json.data]);
      expect(text).not.toContain(canary);
    }
    // A cursor of ada's leads bob into his own list.
    const { json } = await api.request("GET", "/api/v1/scheduled-emails?limit=1");
    const cursor = String(json.page?.next_cursor);
    const next = await api.request("GET", `/api/v1/scheduled-emails?cursor=${cursor}`, {
      as: "carl",
    });
    expect([next.status, next.text.includes(canary)]).toEqual([200, false]);
  });
});

/** Times that pass and ids that are made for each answer. */
function withoutNoise(data: unknown): string {
  return JSON.stringify(data, (name, value: unknown) =>
    ["bulk_id", "oldest_due_ms"].includes(name) ? undefined : value,
  );
}
