import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createAuthenticator } from "../../auth/jwt.ts";
import { createLogger } from "../../log.ts";
import { startTestBoard, type TestBoard, tokenOf } from "../../testing/product/test-board.ts";
import { replyAt } from "../../testing/servers/smtp-sink-rules.ts";
import { mountConsole } from "../console.tsx";
import { createSignInLinks } from "../session/sign-in-link.ts";

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
    ...board.pages,
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
    actor: "taskforce-mailer:stranger",
    press: () => send("POST", "/sign-in", { token: "made up" }),
  },
  "GET /sign-in": {
    action: "session.started",
    actor: "taskforce-mailer:console",
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
  ...pageClicks(),
};

/** The buttons of our own pages. */
function pageClicks(): typeof clicks {
  const accept = () => board.delivery.accept({ scheduledAt: new Date(Date.now() + 600_000) });
  const onEmail = (name: string, action: string, fields = {}, before?: string) => ({
    [`POST /console/emails/:id/${name}`]: {
      action,
      press: async () => {
        const cookie = await signIn();
        const path = `/console/emails/${await accept()}`;
        if (before !== undefined) await send("POST", `${path}/${before}`, {}, cookie);
        return await send("POST", `${path}/${name}`, fields, cookie);
      },
    },
  });
  const onGroup = (name: string, action: string) => ({
    [`POST /console/dead-letters/${name}`]: {
      action,
      press: async () => {
        await board.deadLetter("gone@example.com");
        const cookie = await signIn();
        const page = await (await send("GET", "/console/dead-letters", undefined, cookie)).text();
        const group = /name="group" value="([\w-]+)"/.exec(page)?.[1] ?? "";
        return await send("POST", `/console/dead-letters/${name}`, { group }, cookie);
      },
    },
  });
  return {
    ...onEmail("cancel", "email.cancelled"),
    ...onEmail("send-now", "email.rescheduled"),
    ...onEmail("reschedule", "email.rescheduled", { at: "2031-07-01T09:00", zone: "UTC" }),
    ...onEmail("hold", "email.held"),
    ...onEmail("release", "email.released", {}, "hold"),
    ...onEmail("destroy", "email.shredded", {}, "cancel"),
    "POST /console/emails/:id/dismiss": {
      action: "email.dismissed",
      press: async () => {
        const id = await board.deadLetter("gone@example.com");
        const fields = { reason: "asked them" };
        return await send("POST", `/console/emails/${id}/dismiss`, fields, await signIn());
      },
    },
    "POST /console/emails/:id/replay": {
      action: "email.replayed",
      press: async () => {
        const id = await board.deadLetter("gone@example.com");
        return await send("POST", `/console/emails/${id}/replay`, {}, await signIn());
      },
    },
    "POST /console/health/probe": {
      action: "transport.probe_requested",
      press: async () => {
        await tellOfTransport();
        const fields = { transport: "smtp.example.net:25" };
        return await send("POST", "/console/health/probe", fields, await signIn());
      },
    },
    "POST /console/health/pause": {
      action: "sending.paused",
      press: async () => {
        const fields = { kind: "region", name: "here", reason: "a test" };
        return await send("POST", "/console/health/pause", fields, await signIn());
      },
    },
    "POST /console/health/resume": {
      action: "sending.resumed",
      press: async () => {
        const fields = { kind: "region", name: "here" };
        return await send("POST", "/console/health/resume", fields, await signIn());
      },
    },
    "POST /console/keys": {
      action: "key.created",
      press: async () => send("POST", "/console/keys", keyFields, await signIn()),
    },
    "POST /console/keys/:id/revoke": {
      action: "key.revoked",
      press: async () => {
        const cookie = await signIn();
        const made = await send("POST", "/console/keys", keyFields, cookie);
        const [path = ""] = /\/console\/keys\/[\w-]{36}\/revoke/.exec(await made.text()) ?? [];
        return await send("POST", path, {}, cookie);
      },
    },
    "POST /console/webhooks": {
      action: "webhook.created",
      press: async () => send("POST", "/console/webhooks", webhookFields, await signIn()),
    },
    ...onWebhook("disable", "webhook.changed"),
    ...onWebhook("enable", "webhook.changed"),
    ...onWebhook("edit", "webhook.changed", { url: "https://example.com/2", events: "email.*" }),
    ...onWebhook("rotate-secret", "webhook.changed"),
    ...onWebhook("delete", "webhook.deleted"),
    ...onGroup("replay", "email.replayed"),
    ...onGroup("dismiss", "email.dismissed"),
    "POST /console/emails/undo": {
      action: "email.released",
      press: async () => {
        const cookie = await signIn();
        const fields = { action: "hold", id: await accept(), confirmed: "true" };
        const held = await send("POST", "/console/emails/bulk", fields, cookie);
        const flash = /tfm_flash=([^;]+)/.exec(held.headers.get("Set-Cookie") ?? "")?.[1] ?? "";
        const { undo } = JSON.parse(decodeURIComponent(flash));
        return await send("POST", "/console/emails/undo", undo, cookie);
      },
    },
    "POST /console/emails/bulk": {
      action: "email.cancelled",
      press: async () => {
        const fields = { action: "cancel", id: await accept(), confirmed: "true" };
        return await send("POST", "/console/emails/bulk", fields, await signIn());
      },
    },
  };
}

/** Another process says that nothing gets through. */
async function tellOfTransport(): Promise<void> {
  const state = { name: "smtp.example.net:25", breaker: "open", detail: "it is down", since: null };
  await board.sql.query(
    `insert into mailer.workers (id, region, role, started_at, beat_at, reply_timeout_ms, state)
     values ($1, 'here', 'worker', now(), now(), 1000, $2)`,
    [Bun.randomUUIDv7(), JSON.stringify({ transports: [state], queue: null, unsettled: 0 })],
  );
}

const webhookFields = { url: "https://example.com/hook", events: "email.*" };

function onWebhook(name: string, action: string, fields = {}): typeof clicks {
  const press = async () => {
    const cookie = await signIn();
    const made = await send("POST", "/console/webhooks", webhookFields, cookie);
    const [path = ""] = /\/console\/webhooks\/[\w-]{36}/.exec(await made.text()) ?? [];
    return await send("POST", `${path}/${name}`, fields, cookie);
  };
  return { [`POST /console/webhooks/:id/${name}`]: { action, press } };
}

const keyFields = { name: "shop", scopes: "send", ends: "year" };

/** The theme is kept by the browser, and a form that is not filled in is refused. */
const ofTheBrowser = [
  "POST /console/theme",
  "POST /console/compose",
  "POST /console/compose/test",
  "POST /console/compose/preview",
  "POST /console/emails/:id/edit",
  // A test tells of nothing that happened; a replay has its own test.
  "POST /console/webhooks/:id/test",
  "POST /console/webhooks/:id/deliveries/:delivery/replay",
];

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
    if (route in clicks || ofTheBrowser.includes(route)) continue;
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
