import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type Checkpoint,
  isSoundlySigned,
  parseCheckpoint,
  signCheckpoint,
} from "../../journal/checkpoint.ts";
import { openExport } from "../../journal/export.ts";
import { verifyJournal } from "../../journal/verify-journal.ts";
import type { Audit } from "../../store/audit.ts";
import { createCheckpointKeeper } from "../../store/checkpoint-keeper.ts";
import { createJournal } from "../../store/journal.ts";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { directSql } from "../../testing/servers/direct-sql.ts";
import { createApp } from "../app.ts";

interface EntryJson {
  position: number;
  number: number;
  owner_id: string;
  actor: string;
  origin: string | null;
  action: string;
  email_id: string | null;
  at: string;
  hash: string;
}

const root = { as: "root", role: "admin" } as const;
const ndjson = { accept: "application/x-ndjson" };

let api: TestApi;
/** Emails of ada, bob and ada, of which the first is cancelled. */
let ids: string[];

beforeAll(async () => {
  api = await startTestApi();
  ids = [];
  for (const as of ["ada", "bob", "ada"]) ids.push(await api.schedule({}, { as }));
  await api.request("DELETE", `/api/v1/cancel/${ids[0]}`);
  const journal = createJournal(api.database);
  while ((await journal.seal(100)).hasMore);
}, 60_000);
afterAll(() => api.close());

function audit(query = "", request: Parameters<TestApi["request"]>[2] = {}) {
  return api.request<EntryJson[]>("GET", `/api/v1/audit${query}`, request);
}

async function* chunks(text: string) {
  yield new TextEncoder().encode(text);
}

describe("GET /api/v1/audit: 200", () => {
  test("a user gets its own entries, newest first, with who, what, when and from where", async () => {
    const { status, json } = await audit();
    expect(status).toBe(200);
    expect(json.data.map(({ action, email_id }) => [action, email_id])).toEqual([
      ["email.cancelled", ids[0] ?? ""],
      ["email.scheduled", ids[2] ?? ""],
      ["email.scheduled", ids[0] ?? ""],
    ]);
    for (const entry of json.data) {
      expect(entry).toMatchObject({ owner_id: "ada", actor: "ada", origin: "192.0.2.7" });
      expect(entry.at).toMatch(/^\d{4}-\d\d-\d\dT.*\.\d{6}Z$/);
      expect(entry.hash).toMatch(/^[0-9a-f]{64}$/);
      expect(entry).not.toHaveProperty("canonical");
    }
    expect(json.page).toEqual({ limit: 20, offset: 0, next_cursor: null });
  });

  test("an admin gets everybody's, or one owner's", async () => {
    expect((await audit("", root)).json.data).toHaveLength(4);
    for (const query of ["?owner=bob", "?owner_id=bob", "?owner=bob&owner_id=bob"]) {
      const { json } = await audit(query, root);
      expect(json.data.map(({ email_id }) => email_id)).toEqual([ids[1] ?? ""]);
    }
    expect((await audit("?owner=bob&owner_id=ada", root)).status).toBe(422);
  });

  test("pages by cursor meet every entry once", async () => {
    const seen: number[] = [];
    let cursor = "";
    do {
      const { json } = await audit(`?limit=1${cursor}`, root);
      seen.push(...json.data.map(({ position }) => position));
      cursor = json.page?.next_cursor ? `&cursor=${json.page.next_cursor}` : "";
    } while (cursor !== "" && seen.length < 10);
    expect(seen).toEqual([4, 3, 2, 1]);
  });

  test("an offset leaves out the newest", async () => {
    const { json } = await audit("?limit=2&offset=1", root);
    expect(json.data.map(({ position }) => position)).toEqual([3, 2]);
    expect(json.page).toEqual({ limit: 2, offset: 1, next_cursor: "2" });
  });

  test("what is asked for is what is answered", async () => {
    const all = (await audit("", root)).json.data;
    const at = new Date(all[1]?.at ?? "").toISOString();
    const exactly = at.replace("Z", "000Z");
    const later = new Date(Date.parse(at) + 60_000).toISOString();
    const counts: [string, number][] = [
      [`?email_id=${ids[0]}`, 2],
      [`?email_id=${(ids[0] ?? "").toUpperCase()}`, 2],
      [`?email_id=${crypto.randomUUID()}`, 0],
      ["?action=email.cancelled", 1],
      ["?action=key.created", 0],
      ["?actor=bob", 1],
      ["?actor=bob&owner_id=ada", 0],
      [`?after=${at}&before=${later}`, all.filter((entry) => entry.at >= exactly).length],
      [`?before=${at}`, all.filter((entry) => entry.at < exactly).length],
    ];
    for (const [query, count] of counts) {
      expect([query, (await audit(query, root)).json.data.length]).toEqual([query, count]);
    }
    // A user's own, by the same questions.
    expect((await audit(`?email_id=${ids[1]}`)).json.data).toEqual([]);
    expect((await audit("?owner_id=ada")).json.data).toHaveLength(3);
  });

  test("an export holds what a verifier needs and nothing else is asked", async () => {
    for (const [request, count] of [
      [{ ...root, headers: ndjson }, 4],
      [{ headers: ndjson }, 3],
    ] as const) {
      const { headers, text } = await audit("", request);
      expect(headers.get("content-type")).toContain("application/x-ndjson");
      const verdict = await verifyJournal((await openExport(chunks(text))).entries);
      expect(verdict).toMatchObject({ ok: true, checked: count });
    }
  });

  test("verify and checkpoint are of one's own chain, or for an admin of all", async () => {
    const get = async (path: string, request = {}) =>
      (await api.request("GET", `/api/v1/audit/${path}`, request)).json.data;
    expect(await get("verify")).toEqual({ ok: true, checked: 3, first_broken: null });
    const all = { ok: true, checked: 4, first_broken: null, checkpoints: 0 };
    expect(await get("verify", root)).toEqual(all);
    expect(await get("verify?owner_id=bob", root)).toMatchObject({ ok: true, checked: 1 });
    for (const [request, owner, chains] of [
      [{}, "ada", 1],
      [root, null, 2],
    ] as const) {
      const checkpoint = parseCheckpoint(JSON.stringify(await get("checkpoint", request)));
      expect(checkpoint).toMatchObject({ owner_id: owner, chains, position: 4 });
      expect(isSoundlySigned(checkpoint)).toBe(true);
    }
  });

  test("the stored checkpoints are listed for admins, newest first, in pages", async () => {
    const keeper = createCheckpointKeeper(api.database, { region: "local" });
    const { checkpointKey } = api.deps;
    const state = await keeper.state();
    for (const position of [2, 3, 4]) {
      const checkpoint = signCheckpoint({ ...state, position }, null, checkpointKey);
      expect(await keeper.keep(position, JSON.stringify(checkpoint))).toBe(true);
    }
    const get = (query: string) =>
      api.request<Checkpoint[]>("GET", `/api/v1/audit/checkpoints${query}`, root);
    const { json } = await get("?limit=2");
    expect(json.data.map(({ position }) => position)).toEqual([4, 3]);
    expect(json.data.every((one) => isSoundlySigned(one) && one.owner_id === null)).toBe(true);
    expect(json.page).toEqual({ limit: 2, offset: 0, next_cursor: "3" });
    const next = await get("?limit=2&cursor=3");
    expect(next.json).toMatchObject({ data: [{ position: 2 }], page: { next_cursor: null } });
    expect((await get("?offset=2")).json.data.map(({ position }) => position)).toEqual([2]);
    // Two of them lie: what they say of position 2 and 3 was true of 4.
    const verified = await api.request("GET", "/api/v1/audit/verify", root);
    expect(verified.json.data).toMatchObject({ ok: false, position: 2, reason: "state" });
    expect((await audit("/checkpoints")).json).toMatchObject({ code: "forbidden" });
  });

  test("verify names the first broken entry", async () => {
    const sql = await directSql(api.database);
    await sql.query("alter table mailer.journal disable trigger user");
    const second = "id = (select entry_id from mailer.seals where owner_id = 'ada' and number = 2)";
    await sql.query(`update mailer.journal set actor = 'eve' where ${second}`);
    const { json } = await api.request("GET", "/api/v1/audit/verify");
    await sql.query(`update mailer.journal set actor = 'ada' where ${second}`);
    await sql.query("alter table mailer.journal enable trigger user");
    await sql.close();
    expect(json.data).toEqual({
      ok: false,
      checked: 1,
      first_broken: 2,
      owner_id: "ada",
      position: 3,
      reason: "hash",
    });
  });
});

describe("GET /api/v1/audit: refusals", () => {
  test("401 without a credential, 403 for another's entries", async () => {
    expect((await audit("/checkpoints", { as: null })).status).toBe(401);
    for (const path of ["", "/verify", "/checkpoint"]) {
      expect((await audit(path, { as: null })).status).toBe(401);
      expect((await audit(`${path}?owner_id=bob`)).json).toMatchObject({ code: "forbidden" });
    }
    expect((await audit("?owner=bob")).json).toMatchObject({ code: "forbidden" });
  });

  test.each([
    ["?email_id=4711", "/email_id"],
    ["?action=Email", "/action"],
    ["?action=email.%25", "/action"],
    ["?after=yesterday", "/after"],
    ["?before=2026-11-24T04:00:00", "/before"],
    ["?owner_id=", "/owner_id"],
    ["?actor=", "/actor"],
    ["?limit=0", "/limit"],
    ["?limit=101", "/limit"],
    ["?cursor=0", "/cursor"],
    ["?cursor=9&offset=1", "/cursor"],
    ["?offset=x", "/offset"],
    ["?cursor=1%20or%201=1", "/cursor"],
    ["?owners=ada", "/owners"],
    ["?owner=", "/owner"],
  ])("422 for %s, by its pointer", async (query, pointer) => {
    const { status, json } = await audit(query);
    expect([status, json.errors?.[0]?.pointer]).toEqual([422, pointer]);
  });

  test("422 for a page of an export", async () => {
    const { status, json } = await audit("?limit=5", { headers: ndjson });
    expect([status, json.errors?.[0]?.pointer]).toEqual([422, "/limit"]);
  });
});

describe("an export of many pages", () => {
  const ada = { ownerId: "ada", isAdmin: false, credential: "jwt" } as const;

  /** The API over a journal without end, of which a page may fail. */
  function endless(failsAt = Number.POSITIVE_INFINITY) {
    const asked = { pages: 0 };
    const read: Audit["read"] = async (query, as) => {
      asked.pages += 1;
      if (asked.pages === failsAt) throw new Error("the database is gone");
      const [entry] = await api.deps.audit.read({ ...query, after: 0, limit: 1 }, as);
      if (!entry) throw new Error("ada has entries");
      return Array.from({ length: query.limit }, () => entry);
    };
    const authenticator = { authenticate: async () => ada };
    const app = createApp({ ...api.deps, authenticator, audit: { ...api.deps.audit, read } });
    return { app, asked };
  }

  test("is read no faster than its caller reads, has no time limit, and ends with him", async () => {
    const { app, asked } = endless();
    const timeouts: number[] = [];
    const server = { timeout: (_: Request, seconds: number) => timeouts.push(seconds) };
    const res = await app.request("/api/v1/audit", { headers: ndjson }, { server });
    expect([asked.pages, timeouts]).toEqual([0, [0]]);
    const reader = res.body?.getReader();
    await reader?.read();
    await reader?.read();
    expect(asked.pages).toBe(2);
    await reader?.cancel();
    expect(await reader?.read()).toMatchObject({ done: true });
    expect(asked.pages).toBe(2);
  });

  test("that fails midway breaks the connection off: half of it is not taken for all", async () => {
    const { app } = endless(3);
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request, bunServer) => app.fetch(request, { server: bunServer }),
    });
    try {
      const res = await fetch(new URL("/api/v1/audit", server.url), { headers: ndjson });
      expect(res.status).toBe(200);
      await expect(res.text()).rejects.toThrow();
    } finally {
      await server.stop(true);
    }
  });
});
