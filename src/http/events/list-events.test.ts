import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { issueToken } from "../../auth/jwt.ts";
import { createLiveEvents } from "../../journal/live-events.ts";
import { createEvents } from "../../store/events.ts";
import { createJournal } from "../../store/journal.ts";
import {
  type ApiRequest,
  noUserReply,
  startTestApi,
  type TestApi,
} from "../../testing/product/test-api.ts";
import { createApp } from "../app.ts";

setDefaultTimeout(60_000);

interface Told {
  id: string;
  type: string;
  timestamp: string;
  data: { email_id: string; sequence: number; status: string; [more: string]: unknown };
}

let api: TestApi;
let bounced: string;
let sent: string;
beforeAll(async () => {
  api = await startTestApi();
  bounced = await api.schedule({ tags: ["first"], metadata: { order: 7 } });
  await api.deliver(bounced, noUserReply);
  sent = await api.schedule({ tags: ["second"] });
  await api.deliver(sent);
  await api.schedule({}, { as: "bob" });
  await seal();
});
afterAll(() => api?.close());

async function seal(): Promise<void> {
  const store = createJournal(api.database);
  while ((await store.seal(1_000)).hasMore);
}

const list = (query = "", request?: ApiRequest) =>
  api.request<Told[]>("GET", `/api/v1/events${query}`, request);

describe("GET /api/v1/events", () => {
  test("tells of the caller's emails, newest first, with the payload of the contract", async () => {
    const { status, json } = await list();
    expect(status).toBe(200);
    expect(json.data.map(({ type }) => type)).toEqual([
      ...["email.sent", "email.sending", "email.scheduled"],
      ...["email.failed", "email.bounced", "email.sending", "email.scheduled"],
    ]);
    const bounce = json.data.find(({ type }) => type === "email.bounced");
    expect(bounce).toEqual({
      id: expect.stringMatching(/^\d+$/),
      type: "email.bounced",
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      data: {
        email_id: bounced,
        sequence: 3,
        status: "failed",
        attempt: 1,
        recipient: "bob@example.com",
        smtp_code: 550,
        reply: expect.stringContaining("No such user"),
        tags: ["first"],
        metadata: { order: 7 },
      },
    });
  });

  test.each([
    ["?type=email.sent", 1],
    ["?type=email.sent,email.bounced", 2],
    ["?type=email.*", 7],
    ["?tag=second", 3],
    ["?status=failed", 2],
    ["?tag=first&type=email.sent", 0],
    ["?owner=ada", 7],
  ])("filters by %s", async (query, count) => {
    expect((await list(query)).json.data).toHaveLength(count);
  });

  test("in pages, each way, tells everything once", async () => {
    const all = (await list()).json.data.map(({ id }) => id);
    const back: string[] = [];
    for (let query = "?limit=2"; ; ) {
      const { data, page } = (await list(query)).json;
      back.push(...data.map(({ id }) => id));
      if (page?.next_cursor === null) break;
      query = `?limit=2&cursor=${page?.next_cursor}`;
    }
    expect(back).toEqual(all);
    const skipping = await list("?limit=2&offset=3");
    expect(skipping.json.data.map(({ id }) => id)).toEqual(all.slice(3, 5));
    expect(skipping.json.page).toMatchObject({ limit: 2, offset: 3, next_cursor: all[4] ?? "" });
    expect((await list("?offset=100")).json).toMatchObject({
      data: [],
      page: { next_cursor: null },
    });
    const forth: string[] = [];
    for (let after = "0"; ; ) {
      const { data, page } = (await list(`?limit=2&after=${after}`)).json;
      forth.push(...data.map(({ id }) => id));
      if (page?.next_after === after) break;
      after = String(page?.next_after);
    }
    expect(forth).toEqual(all.toReversed());
  });

  test("a call that has looked at enough says how many of the offset it left out", async () => {
    const query = { types: ["email.sent", "email.scheduled"], limit: 5, isNewestFirst: true };
    const ada = { role: "user", sub: "ada" } as const;
    const read = await createEvents(api.database).read({ ...query, offset: 2, scanMax: 1 }, ada);
    expect(read).toMatchObject({ events: [], skipped: 1, isAtEnd: false });
  });

  test("shows an admin everybody's, or one owner's", async () => {
    const all = { as: "root", role: "admin" } as const;
    expect((await list("", all)).json.data).toHaveLength(8);
    expect((await list("?owner=bob", all)).json.data).toHaveLength(1);
    expect(await list("?owner=bob")).toMatchObject({ status: 403 });
  });

  test.each([
    ["?type=email.opened", "/type"],
    ["?status=done", "/status"],
    ["?limit=101", "/limit"],
    ["?cursor=x", "/cursor"],
    ["?after=-1", "/after"],
    ["?after=1&cursor=2", "/cursor"],
    ["?offset=1&cursor=2", "/cursor"],
    ["?after=1&offset=2", "/offset"],
    ["?offset=-1", "/offset"],
    ["?kind=email.sent", "/kind"],
  ])("422 names what is wrong with %s", async (query, pointer) => {
    const { status, json } = await list(query);
    expect([status, json.errors?.[0]?.pointer]).toEqual([422, pointer]);
  });
});

describe("GET /api/v1/emails/{id}/events", () => {
  test("pages by its cursor and filters by type", async () => {
    const path = `/api/v1/emails/${bounced}/events`;
    const first = await api.request<Told[]>("GET", `${path}?limit=3`);
    expect(first.json.data.map(({ type }) => type)).toEqual([
      ...["email.scheduled", "email.sending", "email.bounced"],
    ]);
    const rest = await api.request<Told[]>("GET", `${path}?cursor=${first.json.page?.next_cursor}`);
    expect(rest.json.data.map(({ type }) => type)).toEqual(["email.failed"]);
    const skipped = await api.request<Told[]>("GET", `${path}?limit=2&offset=1`);
    expect(skipped.json.data.map(({ type }) => type)).toEqual(["email.sending", "email.bounced"]);
    expect(skipped.json.page).toEqual({ limit: 2, offset: 1, next_cursor: "3" });
    const one = await api.request<Told[]>("GET", `${path}?type=email.failed`);
    expect(one.json.data).toHaveLength(1);
  });
});

/** Reads the frames of a stream. */
async function openStream(path: string, headers: Record<string, string> = {}, app = appOf()) {
  const ending = new AbortController();
  const res = await app.request(path, {
    headers: { accept: "text/event-stream", ...headers },
    signal: ending.signal,
  });
  const reader = res.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const frames: { id?: string; event?: string; data?: Told }[] = [];
  async function more(): Promise<boolean> {
    const read = await reader?.read();
    if (!read || read.done) return false;
    text += read.value;
    for (let cut = text.indexOf("\n\n"); cut >= 0; cut = text.indexOf("\n\n")) {
      frames.push(parseFrame(text.slice(0, cut)));
      text = text.slice(cut + 2);
    }
    return true;
  }
  return {
    res,
    frames,
    more,
    async events(count: number): Promise<Told[]> {
      const told = () => frames.filter(({ data }) => data !== undefined);
      while (told().length < count) if (!(await more())) break;
      return told().map(({ id = "", data }) => ({ ...(data as Told), id }));
    },
    close: async () => {
      ending.abort();
      await reader?.cancel();
    },
  };
}

function parseFrame(frame: string) {
  const fields = frame.split("\n").map((line) => line.match(/^(\w*): ?(.*)$/)?.slice(1) ?? []);
  const { data, ...rest } = Object.fromEntries(fields);
  return { ...rest, ...(data && { data: JSON.parse(data) }) };
}

function appOf(deps = api.deps) {
  const app = createApp(deps);
  return {
    request: (path: string, init: RequestInit) => app.request(path, init, {}),
  };
}

async function bearer(as = "ada", role?: "admin"): Promise<Record<string, string>> {
  const claims = { sub: as, ...(role && { role }), ttlSeconds: 3_600 };
  const jwt = { secret: "the secret of the tests", audience: "authenticated", issuer: null };
  return { authorization: `Bearer ${await issueToken({ ...claims, ...jwt })}` };
}

describe("text/event-stream", () => {
  test("goes on behind Last-Event-ID: what was, then what comes, each once", async () => {
    const all = (await list("?after=0")).json.data;
    const from = all[2]?.id ?? "";
    const stream = await openStream("/api/v1/events", {
      ...(await bearer()),
      "last-event-id": from,
    });
    expect(stream.res.headers.get("content-type")).toStartWith("text/event-stream");
    const before = await stream.events(all.length - 3);
    expect(before.map(({ id }) => id)).toEqual(all.slice(3).map(({ id }) => id));
    const id = await api.schedule({ tags: ["live"] });
    await seal();
    const told = await stream.events(before.length + 1);
    expect(told.at(-1)).toMatchObject({ type: "email.scheduled", data: { email_id: id } });
    expect(stream.frames.filter(({ event }) => event).at(-1)?.event).toBe("email.scheduled");
    await stream.close();
  });

  test("without a place begins now; with an email's, at its beginning", async () => {
    const now = await openStream("/api/v1/events?tag=fresh", await bearer());
    const whole = await openStream(`/api/v1/emails/${sent}/events`, await bearer());
    expect((await whole.events(3)).map(({ type }) => type)).toEqual([
      ...["email.scheduled", "email.sending", "email.sent"],
    ]);
    const id = await api.schedule({ tags: ["fresh"] });
    await seal();
    expect(await now.events(1)).toMatchObject([{ data: { email_id: id } }]);
    await now.close();
    await whole.close();
    while (api.deps.liveEvents.size > 0) await Bun.sleep(1);
  });

  test("is answered once it knows its place: what is sealed after the answer is told", async () => {
    const { events } = api.deps;
    const read: typeof events.read = async (...args) => {
      await Bun.sleep(200);
      return await events.read(...args);
    };
    const deps = { ...api.deps, events: { ...events, read } };
    deps.liveEvents = createLiveEvents({ events: deps.events, log: deps.log });
    const stream = await openStream("/api/v1/events", await bearer(), appOf(deps));
    const id = await api.schedule();
    await seal();
    expect(await stream.events(1)).toMatchObject([{ data: { email_id: id } }]);
    deps.liveEvents.close();
    await stream.close();
  });

  test("of a database that is gone breaks off, for the caller to connect again", async () => {
    const failing = { ...api.deps.events, read: () => Promise.reject(new Error("no database")) };
    const deps = { ...api.deps, events: failing };
    deps.liveEvents = createLiveEvents({ events: failing, log: deps.log });
    const stream = await openStream("/api/v1/events", await bearer(), appOf(deps));
    expect(stream.res.status).toBe(200);
    while (await stream.more());
  });

  test("tells nobody of another owner's emails, and an admin of everybody's", async () => {
    const ada = await openStream("/api/v1/events?after=0", await bearer());
    const bob = await openStream("/api/v1/events?after=0", await bearer("bob"));
    const root = await openStream("/api/v1/events?after=0", await bearer("root", "admin"));
    const theirs = await api.schedule({}, { as: "bob" });
    const hers = await api.schedule();
    await seal();
    const total = (await list("?limit=100", { as: "root", role: "admin" })).json.data;
    expect(await root.events(total.length)).toHaveLength(total.length);
    const own = total.filter(({ data }) => data.email_id === theirs);
    expect(own).toHaveLength(1);
    expect((await bob.events(2)).at(-1)?.data.email_id).toBe(theirs);
    const ofAda = await ada.events(total.length - 2);
    expect(ofAda.at(-1)?.data.email_id).toBe(hers);
    expect(ofAda.map(({ data }) => data.email_id)).not.toContain(theirs);
    const foreign = await openStream(`/api/v1/emails/${theirs}/events`, await bearer());
    expect(foreign.res.status).toBe(404);
    await Promise.all([ada, bob, root].map((one) => one.close()));
  });

  test("ends when its credential does", async () => {
    let isRevoked = false;
    const { authenticate } = api.deps.authenticator;
    const authenticator = {
      authenticate: async (header: string | undefined) =>
        await authenticate(isRevoked ? "Bearer gone" : header),
    };
    const stream = await openStream(
      "/api/v1/events",
      await bearer(),
      appOf({ ...api.deps, authenticator }),
    );
    expect(stream.res.status).toBe(200);
    isRevoked = true;
    while (await stream.more());
  });

  test("of a page's visitor ends with the session, and a database that is gone ends nothing", async () => {
    const looks: (() => Promise<boolean>)[] = [
      async () => true,
      async () => Promise.reject(new Error("no database")),
      async () => false,
    ];
    const env = {
      principal: { ownerId: "ada", isAdmin: false, credential: "session" } as const,
      isStillIn: async () => (await looks.shift()?.()) ?? false,
    };
    let clock = 0;
    const app = createApp({ ...api.deps, monotonicMs: () => (clock += 5_000) } as typeof api.deps);
    const stream = await openStream(
      "/api/v1/events",
      {},
      {
        request: (path, init) => app.request(path, init, env),
      },
    );
    expect(stream.res.status).toBe(200);
    while (await stream.more());
    expect(looks).toEqual([]);
  });

  test("ends when the process stops", async () => {
    const deps = { ...api.deps };
    deps.liveEvents = createLiveEvents({ events: deps.events, log: deps.log });
    const stream = await openStream("/api/v1/events", await bearer(), appOf(deps));
    expect(stream.res.status).toBe(200);
    await stream.more();
    deps.liveEvents.close();
    while (await stream.more());
  });

  test("opens by a token of the caller's, within a minute, there and nowhere else", async () => {
    const { json, status } = await api.request<{ token: string; expires_at: string }>(
      "POST",
      "/api/v1/events/token",
    );
    expect(status).toBe(201);
    const { token } = json.data;
    const stream = await openStream(`/api/v1/events?after=0&token=${token}`);
    expect(stream.res.status).toBe(200);
    expect(await stream.events(1)).toMatchObject([{ data: { status: "pending" } }]);
    await stream.close();
    const asList = await api.request("GET", `/api/v1/events?token=${token}`, { as: null });
    expect(asList.status).toBe(401);
    const later = { ...api.deps, now: () => new Date(Date.now() + 61_000) };
    expect((await openStream(`/api/v1/events?token=${token}`, {}, appOf(later))).res.status).toBe(
      401,
    );
    const forged = `${token.slice(0, -4)}AAAA`;
    expect((await openStream(`/api/v1/events?token=${forged}`)).res.status).toBe(401);
  });

  test("422 for a Last-Event-ID that is none, and for a page's parameters", async () => {
    const headers = { ...(await bearer()), "last-event-id": "abc" };
    expect((await openStream("/api/v1/events", headers)).res.status).toBe(422);
    expect((await openStream("/api/v1/events?limit=5", await bearer())).res.status).toBe(422);
  });
});
