import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createAuthenticator } from "../auth/jwt.ts";
import { createLogger } from "../log.ts";
import { replyAt } from "../testing/smtp-sink-rules.ts";
import { startTestBoard, type TestBoard, tokenOf } from "../testing/test-board.ts";
import { mountConsole } from "./console.tsx";
import { createSignInLinks } from "./sign-in-link.ts";

setDefaultTimeout(60_000);

const base = "http://127.0.0.1:3000";
const jwt = { secret: "the secret of the tests", audience: "authenticated", issuer: null };
const signInLinks = createSignInLinks();

let board: TestBoard;
let deadLetter: string;
let later: string;
beforeAll(async () => {
  board = await startTestBoard([replyAt("rcpt", "550 5.1.1 No such user")]);
  mountConsole(board.app, {
    authenticator: createAuthenticator(jwt),
    sessions: board.sessions,
    signInLinks,
    captured: null,
    transportName: "smtp.example.com:587",
    findTrouble: async () => null,
    findPause: () => null,
    publicUrl: base,
    isBehindProxy: () => false,
    peerAddress: () => "192.0.2.7",
    log: createLogger({ level: "silent" }),
  });
  later = await board.delivery.accept({ scheduledAt: new Date(Date.now() + 600_000) });
  deadLetter = await board.deadLetter("gone@example.com");
});
afterAll(() => board?.close());

async function send(method: string, path: string, fields?: Record<string, string>, cookie = "") {
  const headers = { Origin: base, "X-Requested-With": "board", Cookie: cookie };
  const body = fields === undefined ? null : new URLSearchParams(fields);
  return await board.app.request(`${base}${path}`, { method, headers, body });
}

/** The cookie of a new session as an admin. */
async function signIn(): Promise<string> {
  const signedIn = await send("POST", "/sign-in", { token: await tokenOf("olga", "admin") });
  return signedIn.headers.get("Set-Cookie")?.split(";")[0] ?? "";
}

const api = "/admin/queues/api/queues";

/** Everything of ours that a click can change, and the entry that it leaves. */
const clicks: Record<string, { action: string; actor?: string; press: () => Promise<Response> }> = {
  "POST /sign-in": {
    action: "session.started",
    press: async () => send("POST", "/sign-in", { token: await tokenOf("olga", "admin") }),
  },
  "POST /sign-in (refused)": {
    action: "session.refused",
    actor: "stranger",
    press: () => send("POST", "/sign-in", { token: "made up" }),
  },
  "GET /sign-in": {
    action: "session.started",
    actor: "console",
    press: () => send("GET", `/sign-in${newCode()}`),
  },
  "POST /sign-out": {
    action: "session.ended",
    press: async () => send("POST", "/sign-out", {}, await signIn()),
  },
  "PUT /admin/queues/api/queues/:queueName/pause": {
    action: "sending.paused",
    press: async () => send("PUT", `${api}/emails/pause`, undefined, await signIn()),
  },
  "PUT /admin/queues/api/queues/:queueName/resume": {
    action: "sending.resumed",
    press: async () => send("PUT", `${api}/emails/resume`, undefined, await signIn()),
  },
  "PUT /admin/queues/api/queues/:queueName/:jobId/promote": {
    action: "email.rescheduled",
    press: async () => send("PUT", `${api}/emails/${later}/promote`, undefined, await signIn()),
  },
  "PUT /admin/queues/api/queues/:queueName/:jobId/clean": {
    action: "email.cancelled",
    press: async () => send("PUT", `${api}/emails/${later}/clean`, undefined, await signIn()),
  },
  "PUT /admin/queues/api/queues/:queueName/:jobId/retry": {
    action: "email.replayed",
    press: async () => {
      const path = `${api}/dead-letters/${deadLetter}/retry`;
      return send("PUT", path, undefined, await signIn());
    },
  },
};

function newCode(): string {
  return new URL(signInLinks.create(base)).search;
}

const newest = async () =>
  (
    await board.sql.query(
      "select id, actor, origin, action from mailer.journal order by id desc limit 1",
    )
  )[0];

test("the list below is whole: whatever else changes something is refused by the board", async () => {
  const changing = [...board.app.routes, ...board.boardRoutes]
    .filter(({ method }) => !["GET", "HEAD", "ALL"].includes(method))
    .map(({ method, path }) => `${method} ${path}`);
  const cookie = await signIn();
  const refused: string[] = [];
  for (const route of new Set(changing)) {
    if (route in clicks) continue;
    const [method = "", path = ""] = route.split(" ");
    const asked = path.replace(":queueName", "emails").replace(/:\w+/g, "x");
    const { status } = await send(method, asked, undefined, cookie);
    expect([route, status]).toEqual([route, 403]);
    refused.push(route);
  }
  expect(refused.length).toBeGreaterThan(10);
  const known = Object.keys(clicks).filter((route) => !/^GET|refused/.test(route));
  expect(changing).toEqual(expect.arrayContaining(known));
});

test.each(Object.entries(clicks))(
  "%s leaves an entry that says who did it and from where",
  async (_, { action, actor = "olga", press }) => {
    const before = await newest();
    expect((await press()).status).toBeLessThan(action === "session.refused" ? 402 : 400);
    const entry = await newest();
    expect(entry).toMatchObject({ actor, origin: "192.0.2.7", action });
    expect(entry?.id).not.toBe(before?.id);
  },
);

test("a session that was signed out reaches the board no more", async () => {
  const cookie = await signIn();
  expect((await send("GET", `${api}`, undefined, cookie)).status).toBe(200);
  await send("POST", "/sign-out", {}, cookie);
  expect((await send("GET", `${api}`, undefined, cookie)).status).toBe(401);
  expect((await send("PUT", `${api}/emails/pause`, undefined, cookie)).status).toBe(401);
});
