import { Hono } from "hono";
import { type ConsoleDeps, mountConsole } from "../../admin/console.tsx";
import { createSessions } from "../../admin/session/session.ts";
import { createSignInLinks } from "../../admin/session/sign-in-link.ts";
import { createAuthenticator, issueToken } from "../../auth/jwt.ts";
import { createKeyRing } from "../../crypto/create-key-ring.ts";
import { bulkDepsOf } from "../../http/bulk-deps.ts";
import { makeApiKey } from "../../http/credentials/create-api-key.ts";
import { isPauseReason, pausesShownTo } from "../../http/operations/pause-sending.ts";
import { draftWarnings } from "../../http/request/draft-warnings.ts";
import { toDraft } from "../../http/request/to-draft.ts";
import { toEdit } from "../../http/request/to-edit.ts";
import { changeWebhook, makeWebhook } from "../../http/webhooks/webhooks.ts";
import { createLogger } from "../../log.ts";
import type { Emails } from "../../store/emails.ts";
import { createMinutes } from "../../store/minutes.ts";
import { createProbeRequests } from "../../store/probe-requests.ts";
import { createProcesses } from "../../store/processes.ts";
import { createTimelines } from "../../store/timeline.ts";
import { createMemorySessions } from "../fixtures/memory-sessions.ts";
import type { TestApi } from "./test-api.ts";

/** What the pages of the console read and act through. */
export type PageParts = Pick<
  ConsoleDeps,
  | "audit"
  | "health"
  | "minutes"
  | "processes"
  | "probeRequests"
  | "skewMs"
  | "pauses"
  | "pausesShownTo"
  | "isPauseReason"
  | "regions"
  | "timelines"
  | "apiKeys"
  | "makeApiKey"
  | "settings"
  | "webhooks"
  | "endpoints"
  | "makeWebhook"
  | "changeWebhook"
  | "accept"
  | "toDraft"
  | "draftWarnings"
  | "senderName"
  | "emails"
  | "keyRing"
  | "semaphore"
  | "change"
  | "bulk"
  | "toEdit"
>;

const quietTimeline = {
  ...{ planned: [], past: { sent: [], deferred: [], failed: [] }, pastSince: new Date() },
  ...{ sent: 0, deferred: 0, failed: 0, lateP50Ms: null, lateP99Ms: null },
};

/** For tests that stand before the pages: there are no emails, and nothing can be done. */
export function idlePages(): PageParts {
  const none = { emails: [], total: 0, next: null };
  const emails: Partial<Emails> = {
    list: async () => none,
    get: async () => null,
    events: async () => null,
  };
  const keyRing = createKeyRing({ current: "ab".repeat(32), old: [] });
  const timelines = { read: async () => quietTimeline };
  const deadLetters = { groups: async () => ({ groups: [], total: 0 }) };
  return {
    emails,
    keyRing,
    timelines,
    senderName: null,
    bulk: { deadLetters },
  } as unknown as PageParts;
}

/** Over the database of a test API. */
export function pagesOf({ deps, database }: TestApi): PageParts {
  const { emails, keyRing, semaphore, change, accept, config, now } = deps;
  return {
    ...{ emails, keyRing, semaphore, change, accept },
    senderName: config.sender.from,
    toDraft: (body) => toDraft(body, { config, now: now(), regions: [] }),
    draftWarnings: (draft, sizeBytes) => draftWarnings(draft, sizeBytes, now()),
    bulk: bulkDepsOf(deps),
    webhooks: deps.webhooks,
    endpoints: deps.endpoints,
    makeWebhook: (body, by) => makeWebhook(deps, body, by),
    changeWebhook: (webhook, body, by) => changeWebhook(deps, webhook, body, by),
    settings: () => [],
    apiKeys: deps.apiKeys,
    makeApiKey: (body, by) => makeApiKey(deps, body, by),
    audit: deps.audit,
    health: deps.health,
    minutes: createMinutes(database, { workerId: deps.workerId, region: config.region }),
    processes: createProcesses(database),
    probeRequests: createProbeRequests(database, config.region),
    skewMs: () => ({ database: 3, redis: null }),
    pauses: deps.pauses,
    pausesShownTo: (visitor) => pausesShownTo(visitor, deps.pauses.last),
    isPauseReason,
    regions: () => [config.region],
    timelines: createTimelines(database),
    toEdit: (body, current, { isReplay }) =>
      toEdit(body, current, { config, now: now(), isReplay }),
  };
}

const secret = "a secret of enough length";
export const consoleBase = "http://127.0.0.1:3000";
const auth = { secret, issuer: null, audience: "authenticated" };

/** The console in this process, asked as a browser would ask. */
export function createTestConsole(overrides: Partial<ConsoleDeps> = {}) {
  const app = new Hono();
  const signInLinks = createSignInLinks();
  mountConsole(app, {
    ...idlePages(),
    log: createLogger({ level: "silent" }),
    authenticator: createAuthenticator(auth),
    sessions: createSessions({
      secret,
      store: createMemorySessions().store,
    }),
    signInLinks,
    findTrouble: async () => null,
    findPause: () => null,
    publicUrl: null,
    isBehindProxy: () => false,
    program: "DATA_DIR=/d /opt/mailer",
    ...overrides,
  });
  const get = (path: string, headers: Record<string, string> = {}) =>
    app.request(`${consoleBase}${path}`, { headers });
  const post = (path: string, fields: Fields, headers: Record<string, string>) =>
    app.request(`${consoleBase}${path}`, { method: "POST", body: formOf(fields), headers });
  return { app, get, post, signInLinks };
}

type Fields = Record<string, string | string[]>;

function formOf(fields: Fields): URLSearchParams {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value].flat()) form.append(name, one);
  }
  return form;
}

/** A bearer header of this owner. */
export async function bearerOf(sub: string, role?: "admin"): Promise<Record<string, string>> {
  const given = { ...auth, sub, ttlSeconds: 60, ...(role === undefined ? {} : { role }) };
  return { Authorization: `Bearer ${await issueToken(given)}` };
}
