import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { appRoutes } from "@bull-board/api/dist/routes.js";
import { startTestBoard, type TestBoard, tokenOf } from "../../testing/product/test-board.ts";
import { dumpRedis } from "../../testing/servers/dump.ts";
import { replyAt } from "../../testing/servers/smtp-sink-rules.ts";
import { installedBoardFiles, packBoardFiles, unpackBoardFiles } from "./board-files.ts";

setDefaultTimeout(30_000);

let board: TestBoard;
beforeAll(async () => {
  board = await startTestBoard([
    replyAt("rcpt", "550 5.1.1 No such user: gone@example.com", { argument: "gone@example.com" }),
    replyAt("rcpt", "550 5.7.1 Go away", { argument: "spam@example.com" }),
  ]);
}, 60_000);
afterAll(() => board?.close());

interface BoardQueue {
  name: string;
  counts: Record<string, number>;
  isPaused: boolean;
  jobs: BoardJob[];
  pagination: { pageCount: number };
}
interface BoardJob {
  id: string;
  name: string;
  failedReason: string;
  stacktrace: string[];
  data: { recipients: { address: string; status: string; reply: string }[] } & object;
}

/** The queue of this name as the front end asks for it. */
async function show(name: string, query = "page=1&jobsPerPage=50"): Promise<BoardQueue> {
  const response = await board.request("GET", `/api/queues?activeQueue=${name}&${query}`);
  expect(response.status).toBe(200);
  const { queues } = (await response.json()) as { queues: BoardQueue[] };
  const found = queues.find((queue) => queue.name === name);
  if (found === undefined) throw new Error(`no queue ${name}`);
  return found;
}

const journal = (action: string) =>
  board.sql.query(
    "select owner_id, actor, origin, detail from mailer.journal where action = $1 order by id",
    [action],
  );
/** The pauses, as the database has them. */
const pauses = () => board.sql.query("select kind, name, paused_by, reason from mailer.pauses");
const stateOf = async (id: string) => (await board.delivery.read(id)).status;
const paths = ["", "/", "/queue/emails", "/static/images/logo.svg", "/static/none.js"];
const readPaths = [...paths, "/api/queues", "/api/redis/stats"];

describe("who is no admin", () => {
  test.each(readPaths)("gets nothing at %p", async (path) => {
    const stranger = await board.request("GET", path, { Authorization: null });
    expect(stranger.status).toBe(401);
    expect(stranger.headers.get("WWW-Authenticate")).toBe("Bearer");
    const user = await board.request("GET", path, {
      Authorization: `Bearer ${await tokenOf("ann")}`,
    });
    expect(user.status).toBe(403);
    for (const response of [stranger, user]) {
      expect(await response.text()).not.toMatch(/__UI_CONFIG__|dead-letters|redis_version/);
    }
  });

  test("changes nothing", async () => {
    const user = `Bearer ${await tokenOf("ann")}`;
    for (const Authorization of [null, user, "Bearer nonsense"]) {
      const response = await board.request("PUT", "/api/queues/emails/pause", { Authorization });
      expect(response.status).toBe(Authorization === user ? 403 : 401);
    }
    expect(await pauses()).toEqual([]);
  });
});

describe("the page and its files", () => {
  test("the page names files that are there, and nothing of elsewhere", async () => {
    const response = await board.request("GET", "/queue/emails");
    expect(response.status).toBe(200);
    const html = await response.text();
    const named = [...html.matchAll(/(?:src|href)="(static\/[^"]+)"/g)].map(([, name]) => name);
    expect(named.length).toBeGreaterThan(2);
    for (const name of named) {
      expect([name, (await board.request("GET", `/${name}`)).status]).toEqual([name, 200]);
    }
    expect(html).not.toMatch(/(src|href)="(https?:)?\/\//);
  });

  test("no script of the page is inline, and the policy allows none", async () => {
    const response = await board.request("GET", "");
    const policy = response.headers.get("Content-Security-Policy");
    expect(policy).toContain(
      "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr",
    );
    expect(policy).toContain("frame-ancestors 'none'");
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    const inline = (await response.text()).match(/<script(?![^>]* src=)[^>]*>/g);
    expect(inline).toEqual(['<script id="__UI_CONFIG__" type="application/json">']);
  });

  test("the template of this version asks for nothing that our page leaves out", () => {
    const template = new TextDecoder().decode(installedBoardFiles().get("index.ejs"));
    const placeholders = [...template.matchAll(/<%[-=] (\w+) %>/g)].map(([, name]) => name);
    expect(placeholders).toEqual([
      "basePath",
      "title",
      "favIconAlternative",
      "favIconDefault",
      "uiConfig",
    ]);
    const scripts = template.match(/<script/g) ?? [];
    const known = template.match(/<script (defer src="static|id="__UI_CONFIG__")/g) ?? [];
    expect(known.length).toBe(scripts.length);
  });

  test("every file of the front end is served as what it is, and cached by its name", async () => {
    const types = {
      js: /^text\/javascript/,
      css: /^text\/css/,
      json: /^application\/json/,
      svg: /^image\/svg\+xml/,
      png: /^image\/png/,
      ico: /^image\//,
      txt: /^text\/plain/,
    };
    let hashed = 0;
    for (const [path, content] of installedBoardFiles()) {
      if (!path.startsWith("static/")) continue;
      const response = await board.request("GET", `/${path}`);
      expect([path, response.status]).toEqual([path, 200]);
      expect(await response.bytes()).toEqual(content);
      const kind = path.split(".").at(-1) as keyof typeof types;
      expect(response.headers.get("Content-Type")).toMatch(types[kind]);
      const cache = response.headers.get("Cache-Control");
      expect(cache).toStartWith("private, ");
      if (cache?.includes("immutable")) hashed++;
      const etag = response.headers.get("ETag");
      const again = await board.request("GET", `/${path}`, { "If-None-Match": etag });
      expect(again.status).toBe(304);
    }
    expect(hashed).toBeGreaterThan(40);
  });

  test("what the build embeds unpacks to what is installed", async () => {
    const archive = await packBoardFiles(installedBoardFiles());
    const unpacked = await unpackBoardFiles(new Blob([archive.slice()]));
    expect([...unpacked].sort()).toEqual([...installedBoardFiles()].sort());
  });

  test("files outside of the front end are not there", async () => {
    for (const path of ["/static/../index.ejs", "/static/%2e%2e/index.ejs", "/index.ejs"]) {
      expect((await board.request("GET", path)).status).toBe(404);
    }
  });
});

describe("what the board offers and we do not", () => {
  const allowed = [
    "put /api/queues/emails/pause",
    "put /api/queues/emails/resume",
    "put /api/queues/emails/j1/retry",
    "put /api/queues/emails/j1/promote",
    "put /api/queues/emails/j1/clean",
    "put /api/queues/dead-letters/j1/retry",
    "put /api/queues/maintenance/j1/promote",
  ];
  const changes = appRoutes.api
    .flatMap(({ method, route }) => [method].flat().map((each) => ({ method: each, route })))
    .filter(({ method }) => method !== "get")
    .flatMap(({ method, route }) =>
      [route].flat().flatMap((pattern) =>
        ["emails", "dead-letters", "ticks", "maintenance"].map((queue) => ({
          method,
          path: pattern
            .replace(":queueName", queue)
            .replace(":jobId", "j1")
            .replace(":queueStatus", "failed")
            .replace(":schedulerId", "s1"),
        })),
      ),
    )
    .filter(({ method, path }) => !allowed.includes(`${method} ${path}`));

  test.each(changes)("is refused: $method $path", async ({ method, path }) => {
    const before = await board.queue.getJobCounts();
    const entries = await board.sql.query("select from mailer.journal");
    const response = await board.request(method.toUpperCase(), path);
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { key: "ERRORS.FORBIDDEN" } });
    expect(await board.queue.getJobCounts()).toEqual(before);
    expect(await board.queue.isPaused()).toBe(false);
    expect(await pauses()).toEqual([]);
    expect(await board.sql.query("select from mailer.journal")).toHaveLength(entries.length);
  });

  test("covers what can empty, edit and add", () => {
    expect(changes.map(({ path }) => path.split("/").at(-1))).toEqual(
      expect.arrayContaining(["obliterate", "empty", "add", "update-data", "promote", "clean"]),
    );
  });
});

describe("the periodic work", () => {
  test("is run now by an admin, with an entry that says who and from where", async () => {
    await board.maintenance.waitUntilReady();
    await board.maintenance.add("retention", {}, { jobId: "next", delay: 600_000 });
    const response = await board.request("PUT", "/api/queues/maintenance/next/promote");
    expect(response.status).toBeLessThan(300);
    expect(await board.maintenance.getWaitingCount()).toBe(1);
    const rows = await board.sql.query(
      "select detail, origin from mailer.journal where action = 'maintenance.run_now'",
    );
    expect(rows).toEqual([{ detail: { task: "retention" }, origin: "192.0.2.7" }]);
  });
});

describe("pause and resume", () => {
  test("stop and start the region, each with an entry that says who and from where", async () => {
    expect((await board.request("PUT", "/api/queues/emails/pause")).status).toBe(200);
    const reason = "paused on the board";
    expect(await pauses()).toEqual([{ kind: "region", name: "here", paused_by: "olga", reason }]);
    expect((await show("emails")).isPaused).toBe(true);
    expect((await board.request("PUT", "/api/queues/emails/resume")).status).toBe(200);
    expect(await pauses()).toEqual([]);
    expect((await show("emails")).isPaused).toBe(false);
    const entry = { owner_id: "olga", actor: "olga", origin: "192.0.2.7" };
    expect(await journal("sending.paused")).toEqual([
      { ...entry, detail: { region: "here", reason } },
    ]);
    expect(await journal("sending.resumed")).toEqual([
      { ...entry, detail: expect.objectContaining({ region: "here", paused_by: "olga" }) },
    ]);
  });

  test.each([
    { Origin: "https://evil.example" },
    { Origin: "null" },
    { "X-Requested-With": null },
    { Origin: null, "X-Requested-With": null },
    { Origin: null, "Sec-Fetch-Site": "same-origin" },
    { "Sec-Fetch-Site": "cross-site" },
    { "Sec-Fetch-Site": "same-site" },
  ] as Record<string, string | null>[])(
    "do nothing when another site asks: %p",
    async (headers) => {
      const response = await board.request("PUT", "/api/queues/emails/pause", headers);
      expect(response.status).toBe(403);
      expect(await pauses()).toEqual([]);
    },
  );

  test("work for a script that shows a bearer token and names itself by a custom header", async () => {
    const headers = { Origin: null, "X-Requested-With": "script" };
    const response = await board.request("PUT", "/api/queues/emails/resume", headers);
    expect(response.status).toBe(200);
  });
});

describe("the queue ticks", () => {
  test("shows what wakes the workers, which holds nothing of an email", async () => {
    const { counts, jobs } = await show("ticks", "status=delayed&page=1&jobsPerPage=10");
    expect(counts.delayed).toBe(1);
    expect(jobs.map(({ id, data }) => [id, data])).toEqual([["here-1", {}]] as never);
  });
});

describe("the queue dead-letters", () => {
  test("shows the reply of the server as the reason, to an admin's eyes only", async () => {
    const id = await board.deadLetter("gone@example.com");
    const { counts, jobs } = await show("dead-letters");
    expect(counts.failed).toBe(jobs.length);
    const job = jobs.find((each) => each.id === id);
    expect(job).toMatchObject({
      name: "Invoice 4711",
      failedReason: "550 5.1.1 No such user: gone@example.com",
      data: { email_id: id, state: "failed", owner: "ada", attempts: 1 },
    });
    expect(job?.stacktrace.join("\n")).toMatch(/^550 5\.1\.1 No such user[\s\S]*#1 .* bounced/);

    const kept = await dumpRedis(board.redis.url);
    expect(kept).toContain("here-1");
    expect(kept).not.toMatch(/gone@|No such user|4711/);
  });

  test("says of each recipient what the server said", async () => {
    const id = await board.deadLetter("gone@example.com", "fine@example.com", "spam@example.com");
    const { job, status } = await jobOf(id);
    expect(status).toBe("failed");
    expect(job.failedReason).toBe(
      "gone@example.com: 550 5.1.1 No such user: gone@example.com\n" +
        "spam@example.com: 550 5.7.1 Go away",
    );
    expect(job.data.recipients.map(({ address, status }) => [address, status])).toEqual([
      ["gone@example.com", "bounced"],
      ["fine@example.com", "sent"],
      ["spam@example.com", "bounced"],
    ]);
  });

  test("a retry is a replay: due again, and in the journal", async () => {
    const id = await board.deadLetter("gone@example.com");
    const before = board.delivery.told.length;
    const response = await board.request("PUT", `/api/queues/dead-letters/${id}/retry`);
    expect(response.status).toBe(204);
    expect(await stateOf(id)).toBe("pending");
    expect(board.delivery.told.slice(before)).toMatchObject([{ delayMs: 0 }]);
    expect((await journal("email.replayed")).at(-1)).toMatchObject({
      owner_id: "ada",
      actor: "olga",
      origin: "192.0.2.7",
    });
    expect((await show("dead-letters")).jobs.map((job) => job.id)).not.toContain(id);
    expect((await jobOf(id)).status).toBe("delayed");

    // Pressed twice, it is sent once.
    const again = await board.request("PUT", `/api/queues/dead-letters/${id}/retry`);
    expect(again.status).toBe(400);
    expect(board.delivery.told).toHaveLength(before + 1);
  });

  test("an email that is held is shown, and a retry releases it", async () => {
    const id = await board.delivery.accept();
    await board.sql.query("update mailer.emails set state = 'held' where id = $1", [id]);
    expect((await jobOf(id)).job.failedReason).toContain("Held");
    const response = await board.request("PUT", `/api/queues/dead-letters/${id}/retry`);
    expect(response.status).toBe(204);
    expect(await stateOf(id)).toBe("pending");
  });

  test("one that cannot be decrypted hides no other", async () => {
    const id = await board.deadLetter("gone@example.com");
    await board.sql.query(
      "update mailer.emails set wrapped_key = (select wrapped_key from mailer.emails where id <> $1 limit 1) where id = $1",
      [id],
    );
    const { jobs } = await show("dead-letters");
    expect(jobs.length).toBeGreaterThan(1);
    expect(jobs.find((job) => job.id === id)?.failedReason).toContain("key");
  });

  test("comes in pages, newest first", async () => {
    const first = await show("dead-letters", "status=failed&page=1&jobsPerPage=2");
    const second = await show("dead-letters", "status=failed&page=2&jobsPerPage=2");
    const all = await show("dead-letters");
    const ids = [...first.jobs, ...second.jobs].map(({ id }) => id);
    expect(ids).toEqual(all.jobs.slice(0, 4).map(({ id }) => id));
    expect(first.pagination.pageCount).toBe(Math.ceil((all.counts.failed ?? 0) / 2));
  });

  test.each(["nonsense", "1", "00000000-0000-7000-8000-000000000000"])(
    "has no job %p",
    async (id) => {
      expect((await board.request("GET", `/api/queues/dead-letters/${id}`)).status).toBe(404);
      const retry = await board.request("PUT", `/api/queues/dead-letters/${id}/retry`);
      expect(retry.status).toBe(404);
    },
  );
});

describe("with Redis gone", () => {
  test("it says so within five seconds, and sending can be paused all the same", async () => {
    board.redis.pause();
    const startedAt = performance.now();
    const [read, pause] = await Promise.all([
      board.request("GET", "/api/queues"),
      board.request("PUT", "/api/queues/emails/pause"),
    ]);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect([read.status, pause.status]).toEqual([503, 200]);
    expect(await pauses()).toMatchObject([{ kind: "region", name: "here" }]);
    expect((await board.request("PUT", "/api/queues/emails/resume")).status).toBe(200);
    board.redis.resume();
    await board.queue.getJobCounts();
    expect((await show("emails")).isPaused).toBe(false);
  });
});

async function jobOf(id: string): Promise<{ job: BoardJob; status: string }> {
  const response = await board.request("GET", `/api/queues/dead-letters/${id}`);
  expect(response.status).toBe(200);
  return (await response.json()) as { job: BoardJob; status: string };
}
